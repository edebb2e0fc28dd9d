// What the sections of what listens, [metrics] and [web], have in common.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_LISTEN_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_LISTEN_H_

#include <cstdint>
#include <functional>
#include <string>

#include "dataplane/config/config_reader.h"
#include "packet/address.h"

namespace sluice {

// Makes paths absolute.
using ResolvePath = std::function<std::string(const std::string&)>;

// Where `listen` goes, and how messages call what listens.
struct ListenKeys {
  std::string* listen;
  Address* address;
  uint16_t* port;
  const char* whose;    // "the metrics'"
  const char* example;  // an address and a port
};

// Reads `listen`, and refuses `mode` and `group` where it is no path.
void ReadListen(const toml::table& table, const ResolvePath& resolve,
                const ListenKeys& keys, ConfigReader* reader);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_LISTEN_H_
