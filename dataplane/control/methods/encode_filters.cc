// Filters, ports and restores as JSON.
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/encode.h"
#include "nlohmann/json.hpp"
#include "restore/filter_status.h"

namespace sluice {
namespace {

using nlohmann::json;

// What an operator wants to know first, in one word.
std::string_view StateOf(const FilterListing& filter) {
  if (!filter.status.enabled()) return "ports disabled";
  if (filter.failed) {
    return filter.fail_policy == FailPolicy::kOpen ? "failed, emergency rules"
                                                   : "failed, blocking";
  }
  if (filter.status.expects()) {
    if (filter.status.state == RestoreState::kExpect) return "expects restore";
    if (filter.status.under_way()) return "restoring";
  }
  if (!filter.enabled) return "disabled";
  return filter.loaded ? "active" : "no ruleset, blocking";
}

json ToJson(const HoldCounts& hold) {
  return {{"held", hold.held},         {"waiting", hold.waiting},
          {"replayed", hold.replayed}, {"bypassed", hold.bypassed},
          {"dropped", hold.dropped},   {"refused", hold.refused},
          {"longest_ms", hold.longest}};
}

}  // namespace

json ToJson(const RestoreAnswer& answer) {
  const RestoreReport& r = answer.report;
  json value = {{"code", std::string(Name(answer.code))},
                {"state", std::string(Name(answer.status.state))},
                {"incarnation", answer.status.incarnation},
                {"attempt", answer.status.attempt},
                {"report",
                 {{"states_imported", r.states_imported},
                  {"states_merged", r.states_merged},
                  {"states_orphaned", r.states_orphaned},
                  {"states_refused", r.states_refused},
                  {"tables", r.tables},
                  {"rules", r.rules}}}};
  if (answer.snapshot != kNoSnapshotId) {
    value["snapshot"] = Hex(answer.snapshot);
  }
  if (answer.failure != RestoreFailure::kNone) {
    value["failure"] = std::string(Name(answer.failure));
  }
  if (!answer.detail.empty()) value["detail"] = answer.detail;
  return value;
}

json ToJson(const FilterListing& filter) {
  json value = {
      {"name", filter.name},
      {"ports", filter.ports},
      {"macs", filter.macs},
      {"state", std::string(StateOf(filter))},
      {"ports_enabled", filter.status.enabled()},
      {"incarnation", filter.status.incarnation},
      {"expects_restore", filter.status.expects()},
      {"restore_state", std::string(Name(filter.status.state))},
      {"attempt", filter.status.attempt},
      {"fail", filter.fail_policy == FailPolicy::kOpen ? "open" : "closed"},
      {"failed", filter.failed},
      {"loaded", filter.loaded},
      {"enabled", filter.enabled},
      {"states", filter.states},
      {"rules", filter.rules},
      {"tables", filter.tables},
      {"table_addresses", filter.table_addresses},
      {"generation", filter.generation},
      {"hash", filter.hash},
      {"created", filter.created},
      {"last_purge", filter.last_purge},
      {"hold", ToJson(filter.hold)}};
  if (!filter.source.empty()) value["source"] = filter.source;
  if (filter.restore) value["restore"] = ToJson(*filter.restore);
  return value;
}

json ToJson(const PortListing& port) {
  json value = {
      {"name", port.name},
      {"filter", port.filter},
      {"present", !port.device.empty()},
      {"enabled", port.enabled},
      {"excluded", port.excluded},
      {"link_up", port.link_up},
      {"speed", port.speed},
      {"incarnation", port.incarnation},
      {"rx_queues", port.rx_queues},
      {"tx_queues", port.tx_queues},
      {"received",
       {{"packets", port.received_packets}, {"bytes", port.received_bytes}}},
      {"transmitted",
       {{"packets", port.transmitted_packets},
        {"bytes", port.transmitted_bytes}}},
      {"copies", port.copies},
      {"copies_lost", port.copies_lost},
      {"missed", port.missed},
      {"errors", port.errors}};
  if (port.guarded) value["guarded"] = true;
  if (!port.wire.empty()) value["wire"] = port.wire;
  if (!port.segment.empty()) value["segment"] = port.segment;
  if (!port.router.empty()) value["router"] = port.router;
  if (!port.parent.empty()) {
    value["parent"] = port.parent;
    value["vlan"] = port.vlan;
    if (port.inner_vlan != 0) value["inner_vlan"] = port.inner_vlan;
  }
  if (!port.vhost.empty()) {
    value["vhost"] = port.vhost;
    if (port.vhost_client) value["vhost_client"] = true;
  }
  if (!port.device.empty()) {
    value["device"] = port.device;
    value["driver"] = port.driver;
    value["mac"] = port.mac;
  }
  return value;
}

}  // namespace sluice
