// The section [web].
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_WEB_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_WEB_H_

#include "dataplane/config/config.h"
#include "dataplane/config/config_listen.h"
#include "dataplane/config/config_reader.h"

namespace sluice {

// All but `mode`. Null: there is no section.
const toml::table* ReadWebSection(const toml::table& root,
                                  const ResolvePath& resolve,
                                  ConfigReader* reader, WebConfig* web);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_WEB_H_
