// The sections [[port]] and [[wire]] of the configuration.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_

#include <string>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/config/config_reader.h"

namespace sluice {

class PortSections {
 public:
  // Neither is owned.
  PortSections(ConfigReader* reader, Config* config)
      : reader_(reader), config_(config) {}

  // What is wrong is reported to the reader. Wires name ports: after them.
  void ReadPorts(const toml::table& root);
  void ReadWires(const toml::table& root);

 private:
  void ReadPort(const toml::table& table, PortConfig* port);
  void ReadDevice(const toml::table& table, PortConfig* port);
  void CheckNames();

  ConfigReader* const reader_;
  Config* const config_;
  // Of each port and group name, in order, for the checks across ports.
  std::vector<toml::source_region> port_places_;
  struct GroupPlace {
    std::string name;
    toml::source_region place;
  };
  std::vector<GroupPlace> groups_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_
