// The records of a filter as JSON. The shapes are described in
// docs/control-protocol.md.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_ENCODE_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_ENCODE_H_

#include <vector>

#include "dataplane/control/api/filter_control.h"
#include "dataplane/control/api/filter_directory.h"
#include "nlohmann/json_fwd.hpp"
#include "restore/restore_job.h"

namespace sluice {

nlohmann::json ToJson(const RuleListing& rule);
nlohmann::json ToJson(const CommitListing& commit);
nlohmann::json ToJson(const ExplainResult& result);
nlohmann::json ToJson(const StateListing& state);
nlohmann::json ToJson(const LimiterListing& limiter);
nlohmann::json ToJson(const SourceListing& source);
nlohmann::json ToJson(const TableListing& table);
nlohmann::json ToJson(const TableAddressListing& address);
nlohmann::json ToJson(const TableEditResult& result);
nlohmann::json ToJson(const TableMatch& result);
nlohmann::json ToJson(const ClassifierInfo& info);
nlohmann::json ToJson(const FilterInfo& info);
nlohmann::json ToJson(const InterfaceListing& interface);
nlohmann::json ToJson(const TimeoutListing& timeout);
nlohmann::json ToJson(const LimitListing& limit);
// An array, because the order is part of the form.
nlohmann::json ToJson(const std::vector<NamedCounter>& counters);

nlohmann::json ToJson(const RestoreAnswer& answer);
nlohmann::json ToJson(const FilterListing& filter);
nlohmann::json ToJson(const PortListing& port);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_ENCODE_H_
