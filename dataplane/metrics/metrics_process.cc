// The process and its policies for Prometheus: workers, buffers, orders; rules
// by label, tables, commits.
#include <array>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "dataplane/metrics/json_read.h"
#include "dataplane/metrics/metrics.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using Kind = PrometheusText::Kind;
using Labels = PrometheusText::Labels;

struct OfWorker {
  const char* member;
  std::string_view name;
  Kind kind;
  std::string_view help;
  bool microseconds = false;
};
constexpr std::array<OfWorker, 10> kOfWorkers = {{
    {"stalled", "sluice_worker_stalled", Kind::kGauge,
     "Whether the worker does not run, and others stand in for it."},
    {"rounds", "sluice_worker_rounds_total", Kind::kCounter,
     "Rounds of the worker over its queues."},
    {"idle_rounds", "sluice_worker_idle_rounds_total", Kind::kCounter,
     "Rounds that found no packet."},
    {"received", "sluice_worker_received_packets_total", Kind::kCounter,
     "Packets that the worker took from ports; by the rounds that were not "
     "idle it is the size of its bursts."},
    {"time_us", "sluice_worker_seconds_total", Kind::kCounter,
     "Time of the worker's rounds, where it is measured.", true},
    {"busy_us", "sluice_worker_busy_seconds_total", Kind::kCounter,
     "The part of it that went into rounds with packets.", true},
    {"handed_out", "sluice_worker_handed_out_packets_total", Kind::kCounter,
     "Packets given to the worker that owns their flow, or that has a transmit "
     "queue."},
    {"handed_in", "sluice_worker_handed_in_packets_total", Kind::kCounter,
     "Packets that other workers gave to this one."},
    {"orphans", "sluice_worker_orphan_packets_total", Kind::kCounter,
     "Packets judged or dropped for a worker that does not run."},
    {"states", "sluice_worker_states", Kind::kGauge,
     "States that the worker owns."},
}};

void AppendWorkers(const json& workers, PrometheusText* text) {
  for (const OfWorker& of : kOfWorkers) {
    text->Begin(of.name, of.kind, of.help);
    for (const json& worker : workers) {
      const json& value = Member(worker, of.member);
      const Labels labels = {
          {"worker", absl::StrCat(Number(worker, "worker"))}};
      if (value.is_boolean()) {
        text->Sample(labels, uint64_t{value.get<bool>() ? 1u : 0u});
      } else if (value.is_number_integer() && of.microseconds) {
        text->Sample(labels, DecimalSeconds(value.get<uint64_t>(), 6));
      } else if (value.is_number_integer()) {
        text->Sample(labels, value.get<uint64_t>());
      }
    }
  }
}

// A protocol as its samples have it.
std::string ProtocolLabel(uint64_t protocol) {
  switch (protocol) {
    case 1: return "icmp";
    case 6: return "tcp";
    case 17: return "udp";
    case 58: return "icmp6";
    case 132: return "sctp";
    default: return "other";
  }
}

void AppendOrders(const json& orders, PrometheusText* text) {
  text->Begin("sluice_control_orders_total", Kind::kCounter,
              "Requests that were answered, by method and outcome.");
  for (const json& order : orders) {
    for (const char* outcome : {"done", "failed"}) {
      text->Sample({{"method", Text(order, "method")}, {"outcome", outcome}},
                   Number(order, outcome));
    }
  }
  struct Time {
    const char* member;
    std::string_view name;
    Kind kind;
    std::string_view help;
  };
  constexpr std::array<Time, 3> kTimes = {{
      {"build_us", "sluice_control_build_seconds_total", Kind::kCounter,
       "Time in which changes were built, beside the packets and the control "
       "lcore."},
      {"publish_us", "sluice_control_publish_seconds_total", Kind::kCounter,
       "Time for which the control lcore was busy to publish changes; packets "
       "wait for none of it."},
      {"longest_publish_us", "sluice_control_longest_publish_seconds",
       Kind::kGauge, "The longest of these."},
  }};
  for (const Time& time : kTimes) {
    text->Begin(time.name, time.kind, time.help);
    for (const json& order : orders) {
      if (!Has(order, time.member)) continue;
      text->Sample({{"method", Text(order, "method")}},
                   DecimalSeconds(Number(order, time.member), 6));
    }
  }
}

// One family with a sample for each element of a list of each filter.
template <typename LabelsOf, typename ValueOf>
void AppendEach(const json& filters, const char* list, std::string_view name,
                Kind kind, std::string_view help, LabelsOf labels_of,
                ValueOf value_of, PrometheusText* text) {
  text->Begin(name, kind, help);
  for (const json& filter : filters) {
    for (const json& element : Member(filter, list)) {
      text->Sample(labels_of(filter, element), value_of(element));
    }
  }
}

void AppendLabels(const json& filters, PrometheusText* text) {
  struct Counter {
    const char* member;
    std::string_view name;
    Kind kind;
    std::string_view help;
  };
  constexpr std::array<Counter, 5> kCounters = {{
      {"evaluations", "sluice_rule_evaluations_total", Kind::kCounter,
       "Packets for which a rule with the label was looked at."},
      {"packets", "sluice_rule_packets_total", Kind::kCounter,
       "Packets of rules with the label and of their states."},
      {"bytes", "sluice_rule_bytes_total", Kind::kCounter,
       "Bytes of rules with the label and of their states."},
      {"states", "sluice_rule_states", Kind::kGauge,
       "States that rules with the label have made."},
      {"state_creations", "sluice_rule_state_creations_total", Kind::kCounter,
       "States that rules with the label ever made."},
  }};
  for (const Counter& counter : kCounters) {
    AppendEach(
        filters, "labels", counter.name, counter.kind, counter.help,
        [](const json& filter, const json& label) -> Labels {
          return {{"filter", Text(filter, "name")},
                  {"label", Text(label, "label")}};
        },
        [&](const json& label) { return Number(label, counter.member); },
        text);
  }
}

void AppendTables(const json& filters, PrometheusText* text) {
  const auto labels = [](const json& filter, const json& table) -> Labels {
    return {{"filter", Text(filter, "name")},
            {"anchor", Text(table, "anchor")},
            {"table", Text(table, "name")}};
  };
  AppendEach(filters, "table_list", "sluice_table_addresses", Kind::kGauge,
             "Addresses in the table.", labels,
             [](const json& table) { return Number(table, "addresses"); },
             text);
  AppendEach(filters, "table_list", "sluice_table_matches_total",
             Kind::kCounter, "Addresses of packets that the table has.", labels,
             [](const json& table) { return Number(table, "match"); }, text);
  AppendEach(filters, "table_list", "sluice_table_misses_total",
             Kind::kCounter, "Addresses of packets that the table has not.",
             labels, [](const json& table) { return Number(table, "no_match"); },
             text);
}

void AppendCommits(const json& filters, PrometheusText* text) {
  text->Begin("sluice_filter_commit_timestamp_seconds", Kind::kGauge,
              "When the rules in force were loaded, in Unix time.");
  for (const json& filter : filters) {
    const json& commit = Member(filter, "commit");
    if (commit.is_null()) continue;
    text->Sample({{"filter", Text(filter, "name")}}, Number(commit, "when"));
  }
  text->Begin("sluice_filter_commit_build_seconds", Kind::kGauge,
              "How long they took to build.");
  for (const json& filter : filters) {
    const json& commit = Member(filter, "commit");
    if (commit.is_null()) continue;
    text->Sample({{"filter", Text(filter, "name")}},
                 DecimalSeconds(Number(commit, "build_ms"), 3));
  }
}

}  // namespace

void AppendProcessMetrics(const json& process, PrometheusText* text) {
  AppendWorkers(Member(process, "workers"), text);
  if (const json& mbufs = Member(process, "mbufs"); mbufs.is_object()) {
    text->Begin("sluice_mbufs", Kind::kGauge, "Packets that the pool has.");
    text->Sample({}, Number(mbufs, "size"));
    text->Begin("sluice_mbufs_used", Kind::kGauge,
                "Those in use; what the caches of lcores keep is free.");
    text->Sample({}, Number(mbufs, "in_use"));
  }
  if (const json& log = Member(process, "packet_log"); log.is_object()) {
    text->Begin("sluice_packet_log_records_total", Kind::kCounter,
                "Packets of log rules: written, left out for the rate, lost "
                "for want of room.");
    for (const char* fate : {"written", "suppressed", "lost"}) {
      text->Sample({{"fate", fate}}, Number(log, fate));
    }
  }
  text->Begin("sluice_states", Kind::kGauge,
              "States of all filters, by the phase of the end that has come "
              "less far.");
  for (const json& phase : Member(process, "phases")) {
    text->Sample({{"protocol", ProtocolLabel(Number(phase, "protocol"))},
                  {"phase", Text(phase, "phase")}},
                 Number(phase, "states"));
  }
  AppendOrders(Member(process, "orders"), text);
}

void AppendPolicyMetrics(const json& answers, PrometheusText* text) {
  const json& filters = Member(answers, "filters");
  AppendLabels(filters, text);
  AppendTables(filters, text);
  AppendCommits(filters, text);
  text->Begin("sluice_metrics_left_out", Kind::kGauge,
              "What there are no series for, because there may be no more.");
  for (const char* of : {"filters", "labels", "tables"}) {
    const json& count = Member(Member(answers, "left_out"), of);
    if (!count.is_number_integer()) continue;
    text->Sample({{"of", of}}, count.get<uint64_t>());
  }
}

}  // namespace sluice
