// The records of a filter as JSON. The shapes are described in
// docs/control-protocol.md.
#ifndef SLUICE_DATAPLANE_CONTROL_ENCODE_H_
#define SLUICE_DATAPLANE_CONTROL_ENCODE_H_

#include "dataplane/control/filter_control.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

nlohmann::json ToJson(const RuleRecord& rule);
nlohmann::json ToJson(const StateRecord& state);
nlohmann::json ToJson(const TableRecord& table);
nlohmann::json ToJson(const TableAddressRecord& address);
nlohmann::json ToJson(const TableEditResult& result);
nlohmann::json ToJson(const TableTestResult& result);
nlohmann::json ToJson(const FilterInfo& info);
nlohmann::json ToJson(const InterfaceRecord& interface);
nlohmann::json ToJson(const TimeoutRecord& timeout);
nlohmann::json ToJson(const LimitRecord& limit);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_ENCODE_H_
