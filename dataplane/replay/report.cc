// What sluice-replay says about a replay: JSON for machines, a few lines for
// people.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/replay/replay.h"
#include "dataplane/replay/state_text.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

uint64_t DropSum(const PortCounters& counters) {
  uint64_t sum = 0;
  for (const Counter& drops : counters.drops) sum += drops.value();
  return sum;
}

// The totals of one port, or of all.
struct Totals {
  uint64_t received = 0;
  uint64_t received_bytes = 0;
  uint64_t forwarded = 0;
  uint64_t transmitted = 0;
  uint64_t transmitted_bytes = 0;
  uint64_t answers = 0;
  uint64_t answers_lost = 0;
  uint64_t non_ip = 0;
  uint64_t dropped = 0;
  int64_t refragmented = 0;
  std::array<uint64_t, kDropReasonCount> drops{};

  void Add(const PortCounters& counters) {
    received += counters.received_packets.value();
    received_bytes += counters.received_bytes.value();
    forwarded += counters.forwarded_packets.value();
    transmitted += counters.transmitted_packets.value();
    transmitted_bytes += counters.transmitted_bytes.value();
    answers += counters.answers.value();
    answers_lost += counters.answers_lost.value();
    non_ip += counters.non_ip.value();
    dropped += DropSum(counters);
    refragmented += counters.made_here();
    for (size_t i = 0; i < kDropReasonCount; ++i) {
      drops[i] += counters.drops[i].value();
    }
  }

  Json ToJson() const {
    Json by_reason = Json::object();
    for (size_t i = 0; i < kDropReasonCount; ++i) {
      if (drops[i] != 0) {
        by_reason[std::string(kDropReasonNames[i])] = drops[i];
      }
    }
    Json json = {{"received", received},
                 {"received_bytes", received_bytes},
                 {"forwarded", forwarded},
                 {"dropped", dropped},
                 {"drops", by_reason},
                 {"non_ip", non_ip},
                 {"answers", answers},
                 {"answers_lost", answers_lost},
                 {"transmitted", transmitted},
                 {"transmitted_bytes", transmitted_bytes}};
    if (refragmented != 0) json["refragmented"] = refragmented;
    return json;
  }

  // " (match 2, short 1)" or nothing.
  std::string Reasons() const {
    std::vector<std::string> reasons;
    for (size_t i = 0; i < kDropReasonCount; ++i) {
      if (drops[i] == 0) continue;
      reasons.push_back(
          absl::StrCat(std::string(kDropReasonNames[i]), " ", drops[i]));
    }
    return reasons.empty()
               ? std::string()
               : absl::StrCat(" (", absl::StrJoin(reasons, ", "), ")");
  }
};

Json Rules(PolicyStore& store) {
  Json rules = Json::array();
  for (const RuleStatus& status : PolicyListing(store).AllRules()) {
    const RuleCounts& counts = status.counts;
    Json rule = {{"anchor", status.rule.anchor},
                 {"number", status.rule.number},
                 {"rule", PrintRule(*status.rule.rule)},
                 {"evaluations", counts.evaluations},
                 {"packets", counts.packets[0] + counts.packets[1]},
                 {"bytes", counts.bytes[0] + counts.bytes[1]},
                 {"states_created", counts.states_created},
                 {"states", counts.states}};
    if (!status.rule.labels.empty()) rule["labels"] = status.rule.labels;
    if (status.expired) rule["expired"] = true;
    rules.push_back(std::move(rule));
  }
  return rules;
}

Json Tables(const PolicyStore& store) {
  Json tables = Json::array();
  for (const TableStatus& status : PolicyListing(store).Tables()) {
    tables.push_back({{"anchor", status.key.anchor},
                      {"name", status.key.name},
                      {"addresses", status.addresses},
                      {"match", status.counts.match},
                      {"no_match", status.counts.no_match}});
  }
  return tables;
}

Json States(StateTable& states, Tick now) {
  std::vector<StateRecord> records;
  uint32_t cursor = 0;
  states.entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
    states.Fold(index);
    records.push_back(states.Record(index, now));
  });
  std::sort(records.begin(), records.end(),
            [](const StateRecord& a, const StateRecord& b) {
              return a.id < b.id;
            });
  Json list = Json::array();
  for (const StateRecord& record : records) {
    list.push_back({{"state", StateLine(states, record, now)},
                    {"packets", record.packets},
                    {"bytes", record.bytes},
                    {"age_ms", record.age},
                    {"expires_in_ms", record.expires_in}});
  }
  const StateStatistics& statistics = states.statistics();
  return {{"count", records.size()},
          {"searches", statistics.searches.value()},
          {"inserts", statistics.inserts.value()},
          {"removals", statistics.removals.value()},
          {"list", std::move(list)}};
}

}  // namespace

std::string Replay::JsonReport() {
  Totals all;
  Json ports = Json::object();
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    Totals one;
    one.Add(simulation_->counters(i));
    all.Add(simulation_->counters(i));
    ports[simulation_->ports()[i].name] = one.ToJson();
  }
  // States first: listing them hands what they have counted to their rules.
  Json states = States(simulation_->states(), simulation_->now());
  const Json report = {
      {"clock",
       {{"first_ns", source_->first()},
        {"last_ns", source_->last()},
        {"clamped", source_->clamped()}}},
      {"captures",
       {{"packets", packets_},
        {"cut", cut_},
        {"lengths_filled", source_->filled()}}},
      {"totals", all.ToJson()},
      {"ports", std::move(ports)},
      {"rules", Rules(simulation_->store())},
      {"tables", Tables(simulation_->store())},
      {"states", std::move(states)},
  };
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Replay::Summary() const {
  std::string text;
  Totals all;
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    Totals one;
    one.Add(simulation_->counters(i));
    all.Add(simulation_->counters(i));
    absl::StrAppend(&text, simulation_->ports()[i].name, ": ", one.received,
                    " received, ", one.forwarded, " passed, ", one.dropped,
                    " dropped", one.Reasons(), ", ", one.answers,
                    " answered\n");
  }
  absl::StrAppend(&text, all.received, " packets received = ", all.forwarded,
                  " transmitted + ", all.dropped, " dropped; ",
                  simulation_->states().size(), " states at the end\n");
  if (cut_ != 0) {
    absl::StrAppend(&text, cut_, cut_ == 1 ? " packet" : " packets",
                    " of which the capture has only the beginning: dropped\n");
  }
  if (source_->filled() != 0) {
    absl::StrAppend(&text, source_->filled(),
                    " without a length (left to the sender's NIC): taken as "
                    "long as captured\n");
  }
  if (source_->clamped() != 0) {
    absl::StrAppend(&text, source_->clamped(),
                    " timestamps went backwards; the clock stood still\n");
  }
  return text;
}

}  // namespace sluice
