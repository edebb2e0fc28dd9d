// The section [metrics].
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_METRICS_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_METRICS_H_

#include <functional>
#include <string>

#include "dataplane/config/config.h"
#include "dataplane/config/config_reader.h"

namespace sluice {

// All but `mode`; `resolve` makes paths absolute. Null: there is no section.
const toml::table* ReadMetricsSection(
    const toml::table& root,
    const std::function<std::string(const std::string&)>& resolve,
    ConfigReader* reader, MetricsConfig* metrics);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_METRICS_H_
