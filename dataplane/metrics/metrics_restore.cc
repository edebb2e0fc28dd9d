// Restores, exports and held packets for Prometheus.
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/metrics/json_read.h"
#include "dataplane/metrics/metrics.h"

namespace sluice {
namespace {

using nlohmann::json;

struct RestoreMetric {
  std::string_view object;  // "": restore.metrics itself
  const char* member;
  std::string_view name;
  PrometheusText::Kind kind;
  int digits;  // of the unit below a second; 0: it is no time
  std::string_view help;
};

constexpr std::array<RestoreMetric, 33> kRestoreMetrics = {{
    {"", "started", "sluice_restore_started_total", PrometheusText::Kind::kCounter, 0,
     "Restores that were begun."},
    {"", "joined", "sluice_restore_joined_total", PrometheusText::Kind::kCounter, 0,
     "Requests that waited for a restore that was under way."},
    {"", "late_duplicates", "sluice_restore_late_duplicates_total",
     PrometheusText::Kind::kCounter, 0,
     "Requests that came after the end and got its result."},
    {"", "stale", "sluice_restore_stale_total", PrometheusText::Kind::kCounter, 0,
     "Requests for an incarnation that is over."},
    {"", "conflicts", "sluice_restore_conflicts_total", PrometheusText::Kind::kCounter, 0,
     "Requests with another snapshot than the one that was applied."},
    {"", "busy", "sluice_restore_busy_total", PrometheusText::Kind::kCounter, 0,
     "Requests that were told to come again."},
    {"", "replaced", "sluice_restore_replaced_total", PrometheusText::Kind::kCounter, 0,
     "Restores that replaced what was restored before."},
    {"", "retries", "sluice_restore_retries_total", PrometheusText::Kind::kCounter, 0,
     "Attempts after the first one."},
    {"", "commits", "sluice_restore_commits_total", PrometheusText::Kind::kCounter, 0,
     "Restores that took effect."},
    {"", "fail_closed", "sluice_restore_fail_closed_total", PrometheusText::Kind::kCounter, 0,
     "Times that a filter blocks since a restore failed."},
    {"", "fail_open", "sluice_restore_fail_open_total", PrometheusText::Kind::kCounter, 0,
     "Times that an emergency ruleset holds since a restore failed."},
    {"", "disables_deferred", "sluice_restore_disables_deferred_total",
     PrometheusText::Kind::kCounter, 0, "Disables of ports that had to wait for a commit."},
    {"report", "states_imported", "sluice_restore_imported_states_total",
     PrometheusText::Kind::kCounter, 0, "States imported."},
    {"report", "states_merged", "sluice_restore_merged_states_total",
     PrometheusText::Kind::kCounter, 0, "States merged with those that lived already."},
    {"report", "states_orphaned", "sluice_restore_orphaned_states_total",
     PrometheusText::Kind::kCounter, 0, "States imported whose rule was not there."},
    {"report", "states_refused", "sluice_restore_refused_states_total",
     PrometheusText::Kind::kCounter, 0, "States that were not imported."},
    {"report", "rules", "sluice_restore_imported_rules_total", PrometheusText::Kind::kCounter,
     0, "Rules imported."},
    {"report", "tables", "sluice_restore_imported_tables_total",
     PrometheusText::Kind::kCounter, 0, "Tables imported."},
    {"", "exports", "sluice_exports_total", PrometheusText::Kind::kCounter, 0,
     "Exports that ended well."},
    {"", "exports_failed", "sluice_exports_failed_total", PrometheusText::Kind::kCounter, 0,
     "Exports that failed."},
    {"", "exported_states", "sluice_exported_states_total", PrometheusText::Kind::kCounter, 0,
     "States exported."},
    {"", "longest_step_ns", "sluice_transfer_longest_step_seconds",
     PrometheusText::Kind::kGauge, 9,
     "The longest that a transfer kept one worker from its packets."},
    {"transfers", "under_way", "sluice_transfers_under_way",
     PrometheusText::Kind::kGauge, 0,
     "Exports and imports of clients whose descriptors are at work."},
    {"transfers", "memory", "sluice_transfer_memory_bytes",
     PrometheusText::Kind::kGauge, 0,
     "Memory that snapshots on their way take."},
    {"transfers", "over_limits", "sluice_transfers_refused_total",
     PrometheusText::Kind::kCounter, 0,
     "Exports and imports that were refused by a limit of [transfer]."},
    {"transfers", "too_slow", "sluice_transfers_too_slow_total",
     PrometheusText::Kind::kCounter, 0,
     "Exports and imports that were ended by a limit of [transfer]."},
    {"transfers", "abandoned", "sluice_transfers_abandoned_total",
     PrometheusText::Kind::kCounter, 0,
     "Exports and imports whose client or filter went away."},
    {"hold", "held", "sluice_hold_held_packets_total", PrometheusText::Kind::kCounter, 0,
     "Packets that had to wait for a restore, of all filters."},
    {"hold", "waiting", "sluice_hold_waiting_packets", PrometheusText::Kind::kGauge, 0,
     "Packets that wait for a restore now, of all filters."},
    {"hold", "replayed", "sluice_hold_replayed_packets_total", PrometheusText::Kind::kCounter,
     0, "Held packets that were judged after the restore."},
    {"hold", "bypassed", "sluice_hold_bypassed_packets_total", PrometheusText::Kind::kCounter,
     0, "ARP, neighbour discovery and DHCP that passed during restores."},
    {"hold", "refused", "sluice_hold_refused_packets_total", PrometheusText::Kind::kCounter, 0,
     "Packets for which the hold queues had no room."},
    {"hold", "longest_ms", "sluice_hold_longest_seconds", PrometheusText::Kind::kGauge, 3,
     "The longest that a packet waited for a restore."},
}};

// Objects whose members are told apart by a label.
struct RestoreLabelled {
  std::string_view object;
  const char* member;
  std::string_view label;
  std::string_view name;
  PrometheusText::Kind kind;
  std::string_view help;
};
constexpr std::array<RestoreLabelled, 7> kRestoreLabelled = {{
    {"", "requests", "source", "sluice_restore_requests_total", PrometheusText::Kind::kCounter,
     "Requests for restores, by who asked."},
    {"", "ends", "state", "sluice_restore_ends_total", PrometheusText::Kind::kCounter,
     "Restores that have ended, by how."},
    {"", "failures", "reason", "sluice_restore_failures_total", PrometheusText::Kind::kCounter,
     "Attempts that failed, by why."},
    {"", "filters", "state", "sluice_restore_filters", PrometheusText::Kind::kGauge,
     "Filters, by the state of their restore."},
    {"hold", "dropped", "reason", "sluice_hold_dropped_packets_total",
     PrometheusText::Kind::kCounter, "Held packets that were dropped, by why."},
    {"state_directory", "saved", "what", "sluice_state_directory_saved_total",
     PrometheusText::Kind::kCounter,
     "Files of the state directory that were written."},
    {"state_directory", "failed", "what",
     "sluice_state_directory_failed_total", PrometheusText::Kind::kCounter,
     "Attempts to write a file of the state directory that failed."},
}};

struct RestoreTimeMetric {
  const char* member;
  std::string_view name;
  std::string_view help;
};
constexpr std::array<RestoreTimeMetric, 4> kRestoreTimes = {{
    {"queue_time", "sluice_restore_queue_seconds",
     "From the request of an attempt to its begin."},
    {"validate_time", "sluice_restore_validate_seconds",
     "Reading and checking of the snapshot, per attempt."},
    {"commit_time", "sluice_restore_commit_seconds",
     "From the last state's place to the policy in force."},
    {"total_time", "sluice_restore_total_seconds",
     "From the request to the end, of restores that took effect."},
}};

const json& RestorePart(const json& restore, std::string_view name) {
  return name.empty() ? restore : Member(restore, std::string(name).c_str());
}

// Bucket i counts whole microseconds below 2^i, the last one all others.
void AppendHistogram(const json& time, PrometheusText* text) {
  const json& buckets = Member(time, "buckets");
  uint64_t below = 0;
  for (size_t i = 0; i + 1 < buckets.size() && i < 64; ++i) {
    if (buckets[i].is_number_unsigned()) below += buckets[i].get<uint64_t>();
    text->Sample({{"le", DecimalSeconds((uint64_t{1} << i) - 1, 6)}}, below,
                 "_bucket");
  }
  const uint64_t count = Number(time, "count");
  text->Sample({{"le", "+Inf"}}, count, "_bucket");
  text->Sample({}, DecimalSeconds(Number(time, "sum_us"), 6), "_sum");
  text->Sample({}, count, "_count");
}

}  // namespace

void AppendRestoreMetrics(const json& restore, PrometheusText* text) {
  if (!restore.is_object()) return;
  for (const RestoreMetric& metric : kRestoreMetrics) {
    text->Begin(metric.name, metric.kind, metric.help);
    const uint64_t value =
        Number(RestorePart(restore, metric.object), metric.member);
    text->Sample({}, metric.digits == 0
                         ? absl::StrCat(value)
                         : DecimalSeconds(value, metric.digits));
  }
  for (const RestoreLabelled& metric : kRestoreLabelled) {
    text->Begin(metric.name, metric.kind, metric.help);
    const json& object =
        Member(RestorePart(restore, metric.object), metric.member);
    if (!object.is_object()) continue;
    for (const auto& [key, value] : object.items()) {
      text->Sample({{metric.label, key}}, Number(object, key.c_str()));
    }
  }
  for (const RestoreTimeMetric& time : kRestoreTimes) {
    text->Begin(time.name, PrometheusText::Kind::kHistogram, time.help);
    AppendHistogram(Member(restore, time.member), text);
  }
}

}  // namespace sluice
