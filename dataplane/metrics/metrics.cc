// Filters and ports for Prometheus.
#include "dataplane/metrics/metrics.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "dataplane/base/text.h"
#include "dataplane/metrics/json_read.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using Kind = PrometheusText::Kind;
using Labels = PrometheusText::Labels;

// An unlimited limit, as limits.show says it.
constexpr uint64_t kUnlimited = UINT32_MAX;
constexpr uint64_t kBytesAMegabit = 125'000;

// ---- Numbers of a filter or a port that stand in one member ----------------

// How a member becomes the value.
enum class Value : uint8_t {
  kNumber,
  kTruth,
  kMilliseconds,  // printed as seconds
};

struct Member1 {
  std::string_view path;  // "hold.held"
  std::string_view name;
  Kind kind;
  std::string_view help;
  Value value = Value::kNumber;
};

constexpr std::array<Member1, 21> kOfFilters = {{
    {"enabled", "sluice_filter_enabled", Kind::kGauge,
     "Whether the filter judges (1) or passes everything (0).", Value::kTruth},
    {"loaded", "sluice_filter_loaded", Kind::kGauge,
     "Whether a ruleset was ever loaded or restored.", Value::kTruth},
    {"failed", "sluice_filter_failed", Kind::kGauge,
     "Whether the fail policy is in force.", Value::kTruth},
    {"ports_enabled", "sluice_filter_ports_enabled", Kind::kGauge,
     "Whether a port of the filter is enabled.", Value::kTruth},
    {"incarnation", "sluice_filter_incarnation", Kind::kGauge,
     "Grows each time that the filter's ports are enabled."},
    {"generation", "sluice_filter_generation", Kind::kGauge,
     "Number of the policy in force."},
    {"states", "sluice_filter_states", Kind::kGauge, "States."},
    {"info.half_open_states", "sluice_filter_half_open_states", Kind::kGauge,
     "States of TCP connections whose handshake is not complete."},
    {"rules", "sluice_filter_rules", Kind::kGauge, "Rules in force."},
    {"tables", "sluice_filter_tables", Kind::kGauge, "Tables."},
    {"table_addresses", "sluice_filter_table_addresses", Kind::kGauge,
     "Addresses in all tables."},
    {"created", "sluice_filter_created_timestamp_seconds", Kind::kGauge,
     "When the filter was made, in Unix time."},
    {"last_purge", "sluice_filter_last_purge_timestamp_seconds", Kind::kGauge,
     "When states last ended by their time, in Unix time; 0: never."},
    {"hold.held", "sluice_filter_held_packets_total", Kind::kCounter,
     "Packets that had to wait for a restore."},
    {"hold.waiting", "sluice_filter_waiting_packets", Kind::kGauge,
     "Packets that wait for a restore now."},
    {"hold.replayed", "sluice_filter_replayed_packets_total", Kind::kCounter,
     "Held packets that were judged after the restore."},
    {"hold.bypassed", "sluice_filter_bypassed_packets_total", Kind::kCounter,
     "ARP, neighbour discovery and DHCP that passed during a restore."},
    {"hold.dropped", "sluice_filter_held_dropped_packets_total",
     Kind::kCounter, "Held packets that were dropped."},
    {"hold.refused", "sluice_filter_hold_refused_packets_total",
     Kind::kCounter, "Packets for which the hold queue had no room."},
    {"hold.longest_ms", "sluice_filter_longest_hold_seconds", Kind::kGauge,
     "The longest that a packet waited for a restore.", Value::kMilliseconds},
    {"attempt", "sluice_filter_restore_attempt", Kind::kGauge,
     "Attempts of the incarnation's restore."},
}};

constexpr std::array<Member1, 12> kOfPorts = {{
    {"link_up", "sluice_port_up", Kind::kGauge, "Whether the link is up.",
     Value::kTruth},
    {"enabled", "sluice_port_enabled", Kind::kGauge,
     "Whether the port is enabled.", Value::kTruth},
    {"excluded", "sluice_port_excluded", Kind::kGauge,
     "Whether packets pass the port unjudged.", Value::kTruth},
    {"incarnation", "sluice_port_incarnation", Kind::kGauge,
     "Grows each time that the port is enabled or disabled."},
    {"received.packets", "sluice_port_receive_packets_total", Kind::kCounter,
     "Packets received."},
    {"received.bytes", "sluice_port_receive_bytes_total", Kind::kCounter,
     "Bytes received."},
    {"missed", "sluice_port_receive_missed_packets_total", Kind::kCounter,
     "Packets that the device dropped because no descriptor was free."},
    {"transmitted.packets", "sluice_port_transmit_packets_total",
     Kind::kCounter, "Packets transmitted."},
    {"transmitted.bytes", "sluice_port_transmit_bytes_total", Kind::kCounter,
     "Bytes transmitted."},
    {"copies", "sluice_port_copies_total", Kind::kCounter,
     "Copies of packets that came by it and were flooded on its segment."},
    {"copies_lost", "sluice_port_copies_lost_total", Kind::kCounter,
     "Copies for which there was no buffer."},
    {"errors", "sluice_port_errors_total", Kind::kCounter,
     "Errors of reception, transmission and buffers, as the driver counts."},
}};

const json& MemberAt(const json& object, std::string_view path) {
  const size_t dot = path.find('.');
  const json& member =
      Member(object, std::string(path.substr(0, dot)).c_str());
  return dot == std::string_view::npos ? member
                                       : MemberAt(member, path.substr(dot + 1));
}

std::string ValueOf(const json& member, Value how) {
  if (how == Value::kTruth) return member == json(true) ? "1" : "0";
  const uint64_t number =
      member.is_number_integer() ? member.get<uint64_t>() : 0;
  return how == Value::kMilliseconds ? DecimalSeconds(number, 3)
                                     : absl::StrCat(number);
}

// One family for each of `members`, one sample for each of `elements`.
template <size_t kSize>
void AppendMembers(const std::array<Member1, kSize>& members,
                   const json& elements, std::string_view label,
                   PrometheusText* text) {
  for (const Member1& member : members) {
    text->Begin(member.name, member.kind, member.help);
    for (const json& element : elements) {
      const json& value = MemberAt(element, member.path);
      // A port whose device is not there has no counters.
      if (value.is_null() ||
          (Member(element, "present") == json(false) &&
           member.kind == Kind::kCounter)) {
        continue;
      }
      text->Sample({{label, Text(element, "name")}},
                   ValueOf(value, member.value));
    }
  }
}

// ---- Named counters --------------------------------------------------------

uint64_t Named(const json& counters, std::string_view name) {
  for (const json& counter : counters) {
    if (Text(counter, "name") == name) return Number(counter, "value");
  }
  return 0;
}

void AppendStateCounters(const json& filters, PrometheusText* text) {
  struct Counter {
    std::string_view counted;
    std::string_view name;
    std::string_view help;
  };
  constexpr std::array<Counter, 3> kCounters = {{
      {"searches", "sluice_filter_state_searches_total",
       "Packets for which a state was looked for."},
      {"inserts", "sluice_filter_state_inserts_total", "States made."},
      {"removals", "sluice_filter_state_removals_total", "States removed."},
  }};
  for (const Counter& counter : kCounters) {
    text->Begin(counter.name, Kind::kCounter, counter.help);
    for (const json& filter : filters) {
      text->Sample(
          {{"filter", Text(filter, "name")}},
          Named(MemberAt(filter, "info.state_counters"), counter.counted));
    }
  }
  text->Begin("sluice_filter_dropped_packets_total", Kind::kCounter,
              "Packets dropped, by reason.");
  for (const json& filter : filters) {
    for (const json& counter : MemberAt(filter, "info.drop_counters")) {
      text->Sample({{"filter", Text(filter, "name")},
                    {"reason", Text(counter, "name")}},
                   Number(counter, "value"));
    }
  }
}

// `name` is part of the metrics' names, `member` of the filter's information.
void AppendHelper(const json& filters, const std::string& name,
                  const std::string& what, PrometheusText* text) {
  const std::string member = "info." + name + "_counters";
  const std::string prefix = "sluice_filter_" + name;
  const auto append = [&](const char* counted) {
    for (const json& filter : filters) {
      const json& counters = MemberAt(filter, member.c_str());
      if (counters.empty()) continue;  // the helper is off
      text->Sample({{"filter", Text(filter, "name")}},
                   Named(counters, counted));
    }
  };
  text->Begin((prefix + "_expectations").c_str(), Kind::kGauge,
              ("Flows that " + what + " waits for.").c_str());
  append("in_use");
  text->Begin((prefix + "_families").c_str(), Kind::kGauge,
              ("States of " + what + " that wait for others or have them.")
                  .c_str());
  append("families");
  text->Begin((prefix + "_events_total").c_str(), Kind::kCounter,
              ("What " + what + " did with expected flows.").c_str());
  for (const json& filter : filters) {
    for (const json& counter : MemberAt(filter, member.c_str())) {
      const std::string name = Text(counter, "name");
      if (name == "in_use" || name == "families") continue;
      text->Sample({{"filter", Text(filter, "name")}, {"event", name}},
                   Number(counter, "value"));
    }
  }
}

// Main has the sums of all filters.
void AppendFragments(const json& filters, PrometheusText* text) {
  const auto each = [&](bool held, auto sample) {
    for (const json& filter : filters) {
      for (const json& counter : MemberAt(filter, "info.fragment_counters")) {
        if ((Text(counter, "name") == "held") == held) sample(counter);
      }
    }
  };
  text->Begin("sluice_fragments_held", Kind::kGauge,
              "Fragments that wait for the rest of their datagrams.");
  each(true, [&](const json& counter) {
    text->Sample({}, Number(counter, "value"));
  });
  text->Begin("sluice_fragment_events_total", Kind::kCounter,
              "Datagrams put together, and fragments dropped because the rest "
              "did not come, for want of room or because of their offsets.");
  each(false, [&](const json& counter) {
    text->Sample({{"event", Text(counter, "name")}},
                 Number(counter, "value"));
  });
}

// Main has those of the daemon.
void AppendFlows(const json& filters, PrometheusText* text) {
  const auto each = [&](bool lost, auto sample) {
    for (const json& filter : filters) {
      for (const json& counter : MemberAt(filter, "info.flow_counters")) {
        const std::string name = Text(counter, "name");
        if ((name.ends_with("lost") || name == "export-unfit") != lost) {
          continue;
        }
        sample(name, Number(counter, "value"));
      }
    }
  };
  text->Begin("sluice_flow_records_total", Kind::kCounter,
              "Lines of the session log and flows sent to the collector.");
  each(false, [&](const std::string& name, uint64_t value) {
    text->Sample({{"what", name}}, value);
  });
  text->Begin("sluice_flow_records_lost_total", Kind::kCounter,
              "Records of states that a worker's ring had no room for, lines "
              "that were not written, and flows that were not sent or that "
              "the protocol has no form for.");
  each(true, [&](const std::string& name, uint64_t value) {
    text->Sample({{"what", name}}, value);
  });
}

void AppendLimiters(const json& filters, PrometheusText* text) {
  const auto append = [&](const char* name, Kind kind, const char* help,
                          const char* member, const char* reason = "") {
    if (name != nullptr) text->Begin(name, kind, help);
    for (const json& filter : filters) {
      for (const json& limiter : Member(filter, "limiters")) {
        if (!Has(limiter, member)) continue;
        Labels labels = {{"filter", Text(filter, "name")},
                         {"limiter", Text(limiter, "name")},
                         {"kind", Text(limiter, "kind")}};
        if (*reason != '\0') labels.emplace_back("reason", reason);
        text->Sample(labels, Number(limiter, member));
      }
    }
  };
  append("sluice_filter_limiter_limit", Kind::kGauge,
         "States that a limiter admits; of a source limiter, for each source.",
         "limit");
  append("sluice_filter_limiter_states", Kind::kGauge,
         "States that a limiter counts.", "states");
  append("sluice_filter_limiter_sources", Kind::kGauge,
         "Sources that a source limiter remembers.", "sources");
  append("sluice_filter_limiter_admitted_total", Kind::kCounter,
         "States that a limiter has admitted.", "admitted");
  append("sluice_filter_limiter_refused_total", Kind::kCounter,
         "Packets that a limiter did not admit: it was full, they came too "
         "fast, or there was no room for another source.",
         "hardlimited", "full");
  append(nullptr, Kind::kCounter, "", "ratelimited", "too-fast");
  append(nullptr, Kind::kCounter, "", "addrlimited", "no-source");
}

void AppendLimits(const json& filters, PrometheusText* text) {
  const auto append = [&](const char* member, bool infinite = false) {
    for (const json& filter : filters) {
      for (const json& limit : Member(filter, "limits")) {
        const uint64_t value = Number(limit, member);
        const Labels labels = {{"filter", Text(filter, "name")},
                               {"limit", Text(limit, "name")}};
        if (infinite && value == kUnlimited) {
          text->Sample(labels, "+Inf");
        } else {
          text->Sample(labels, value);
        }
      }
    }
  };
  text->Begin("sluice_filter_limit", Kind::kGauge,
              "The most that there may be, as `set limit` names it.");
  append("value", /*infinite=*/true);
  text->Begin("sluice_filter_limit_used", Kind::kGauge,
              "How much of the limit is in use.");
  append("in_use");
  text->Begin("sluice_filter_limit_alarms_total", Kind::kCounter,
              "Times that 80 percent of the limit were reached.");
  append("alarms");
}

void AppendClassifier(const json& filters, PrometheusText* text) {
  const auto append = [&](std::string_view name, std::string_view help,
                          const char* counted) {
    text->Begin(name, Kind::kGauge, help);
    for (const json& filter : filters) {
      const json& classifier = MemberAt(filter, "info.classifier");
      if (!Truth(classifier, "compiled")) continue;
      text->Sample({{"filter", Text(filter, "name")}},
                   Named(Member(classifier, "counters"), counted));
    }
  };
  append("sluice_filter_classifier_rules",
         "Rules that are compiled, anchors written out, by direction and "
         "family.",
         "rules");
  append("sluice_filter_classifier_verified",
         "Conditions of them that are compared packet by packet, because "
         "classes would have been too many.",
         "verified");
  append("sluice_filter_classifier_bytes", "Memory that they take.", "bytes");
  text->Begin("sluice_filter_classifier_walked", Kind::kGauge,
              "Whether rules are walked one by one (1) though they are many.");
  for (const json& filter : filters) {
    for (const json& part : MemberAt(filter, "info.classifier.parts")) {
      text->Sample({{"filter", Text(filter, "name")},
                    {"direction", Text(part, "direction")},
                    {"family", Text(part, "family")}},
                   uint64_t{Truth(part, "slow") ? 1u : 0u});
    }
  }
}

// What the daemon as a whole counts, which filter main has.
void AppendTotals(const json& filters, PrometheusText* text) {
  struct Counter {
    std::string_view counted;
    std::string_view name;
    std::string_view help;
  };
  constexpr std::array<Counter, 7> kCounters = {{
      {"received", "sluice_received_packets_total",
       "Packets that workers took from ports."},
      {"transmitted", "sluice_transmitted_packets_total",
       "Packets that ports took."},
      {"dropped", "sluice_dropped_packets_total", "Packets dropped."},
      {"unaccounted", "sluice_unaccounted_packets_total",
       "Packets neither transmitted nor dropped nor held: 0, unless the "
       "program errs."},
      {"handed-on", "sluice_handed_on_packets_total",
       "Packets that another worker had to judge."},
      {"handed-to-transmit", "sluice_handed_to_transmit_packets_total",
       "Packets that another worker had to transmit."},
      {"ports-removed", "sluice_ports_removed_total",
       "Ports whose device went away at run time."},
  }};
  const auto main = std::ranges::find_if(filters, [](const json& filter) {
    return Text(filter, "name") == "main";
  });
  if (main == filters.end()) return;
  for (const Counter& counter : kCounters) {
    text->Begin(counter.name, Kind::kCounter, counter.help);
    text->Sample({}, Named(MemberAt(*main, "info.packet_counters"),
                           counter.counted));
  }
}

// The daemon's own, which each filter's answer repeats.
void AppendControl(const json& filters, PrometheusText* text) {
  for (const json& filter : filters) {
    const json& control = MemberAt(filter, "info.control");
    if (!control.is_object()) continue;
    text->Begin("sluice_control_longest_turn_seconds", Kind::kGauge,
                "The longest that the control lcore answered nobody.");
    text->Sample({}, DecimalSeconds(Number(control, "longest_turn_us"), 6));
    text->Begin("sluice_control_slow_turns_total", Kind::kCounter,
                "How often it answered nobody for more than 100 ms.");
    text->Sample({}, Number(control, "slow_turns"));
    return;
  }
}

// ---- What is text ----------------------------------------------------------

void AppendInfos(const json& answers, PrometheusText* text) {
  text->Begin("sluice_build_info", Kind::kGauge, "The running program.");
  text->Sample({{"version", Text(Member(answers, "version"), "version")}},
               uint64_t{1});
  text->Begin("sluice_filter_info", Kind::kGauge,
              "A filter: its state in words, fail policy and the hash of its "
              "rules.");
  for (const json& filter : Member(answers, "filters")) {
    text->Sample({{"filter", Text(filter, "name")},
                  {"state", Text(filter, "state")},
                  {"restore", Text(filter, "restore_state")},
                  {"fail", Text(filter, "fail")},
                  {"hash", Text(filter, "hash")}},
                 uint64_t{1});
  }
  text->Begin("sluice_port_info", Kind::kGauge,
              "A port: its filter, wire and device, none if it is not there.");
  for (const json& port : Member(answers, "ports")) {
    text->Sample({{"port", Text(port, "name")},
                  {"filter", Text(port, "filter")},
                  {"wire", Text(port, "wire")},
                  {"device", Text(port, "device")},
                  {"driver", Text(port, "driver")},
                  {"mac", Text(port, "mac")}},
                 uint64_t{1});
  }
  text->Begin("sluice_port_speed_bytes", Kind::kGauge,
              "Bytes a second that the link carries, where that is known.");
  for (const json& port : Member(answers, "ports")) {
    const uint64_t speed = Number(port, "speed");
    if (speed == 0) continue;
    text->Sample({{"port", Text(port, "name")}}, speed * kBytesAMegabit);
  }
}

std::string_view NameOf(Kind kind) {
  switch (kind) {
    case Kind::kCounter: return "counter";
    case Kind::kGauge: return "gauge";
    case Kind::kHistogram: return "histogram";
  }
  return "untyped";
}

}  // namespace

void PrometheusText::Begin(std::string_view name, Kind kind,
                           std::string_view help) {
  name_ = name;
  absl::StrAppend(&text_, "# HELP ", name_, " ",
                  absl::StrReplaceAll(View(help),
                                      {{"\\", "\\\\"}, {"\n", "\\n"}}),
                  "\n# TYPE ", name_, " ", View(NameOf(kind)), "\n");
}

void PrometheusText::Sample(const Labels& labels, std::string_view value,
                            std::string_view suffix) {
  absl::StrAppend(&text_, name_, View(suffix));
  const char* before = "{";
  for (const auto& [name, label] : labels) {
    absl::StrAppend(
        &text_, before, View(name), "=\"",
        absl::StrReplaceAll(
            label, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
        "\"");
    before = ",";
  }
  absl::StrAppend(&text_, labels.empty() ? " " : "} ", View(value), "\n");
}

void PrometheusText::Sample(const Labels& labels, uint64_t value,
                            std::string_view suffix) {
  Sample(labels, absl::StrCat(value), suffix);
}

std::string DecimalSeconds(uint64_t units, int digits) {
  uint64_t second = 1;
  for (int i = 0; i < digits; ++i) second *= 10;
  return absl::StrFormat("%d.%0*d", units / second, digits, units % second);
}

std::string FormatPrometheus(const json& answers) {
  PrometheusText text;
  const json& filters = Member(answers, "filters");
  AppendInfos(answers, &text);
  AppendTotals(filters, &text);
  AppendControl(filters, &text);
  AppendMembers(kOfFilters, filters, "filter", &text);
  AppendStateCounters(filters, &text);
  AppendHelper(filters, "tftp", "the TFTP helper", &text);
  AppendHelper(filters, "ftp", "the FTP helper", &text);
  AppendHelper(filters, "sctp", "SCTP", &text);
  AppendFragments(filters, &text);
  AppendFlows(filters, &text);
  AppendLimiters(filters, &text);
  AppendLimits(filters, &text);
  AppendClassifier(filters, &text);
  AppendMembers(kOfPorts, Member(answers, "ports"), "port", &text);
  AppendRouterMetrics(Member(answers, "routers"), &text);
  AppendProcessMetrics(Member(answers, "process"), &text);
  AppendPolicyMetrics(answers, &text);
  AppendRestoreMetrics(Member(answers, "restore"), &text);
  return text.text();
}

}  // namespace sluice
