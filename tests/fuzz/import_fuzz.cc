// Any bytes as a snapshot for a filter that lives. Refused: the policy's hash,
// the states and what they hold are as they were, and the memory was bounded.
// Accepted: what a filter made of it exports is canonical, that is, comes out
// again as it is when it goes in again.
//
// The mutator computes checksums, length and digest anew after each change,
// and takes texts of rules along with their identities now and then, so that
// the search reaches what lies behind them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "pftable/language/parser.h"
#include "pftable/print/printer.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/allocation_count.h"
#include "tests/unit/restore/import_node.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

constexpr size_t kMemoryFactor = 8;
// What a message, a ticket and the tables of one import take anyway, and a rule
// of a few bytes once it is compiled.
constexpr size_t kRules = 20;
constexpr size_t kMemoryAnyway = 65536 + kRules * 8192;

void Require(bool condition) {
  if (!condition) std::abort();
}

// With sources.
struct Node : ImportNode {
  Node()
      : ImportNode(Family::kIpv4, 1, StateTableOptions{.capacity = 256}),
        nodes(*SourceNodes::Build(
            {.capacity = 64, .secret = HashSecret::FromSeed(4)},
            &reclaimer)) {
    budget.nodes.SetLimit(64);
    source_nodes = nodes.get();
    node_budget = &budget;
    shard().table->SetSourceNodes(nodes.get());
    shard().table->SetFilter(0, &shard().budget, kDefaultTimeoutProfile,
                             &budget);
  }
  std::unique_ptr<SourceNodes> nodes;
  SourceBudget budget;
};

std::unique_ptr<Node> Make() {
  auto node = std::make_unique<Node>();
  Require(node->interfaces.AddPort("em0").ok());
  Require(node->interfaces.AddPort("em1").ok());
  return node;
}

ImportOptions Options() {
  ImportOptions options = WithPolicy(true);
  options.limits.states = 256;
  options.limits.tables = 64;
  options.limits.table_entries = 1000;
  options.limits.rules = kRules;
  options.limits.rulesets = 20;
  return options;
}

// The filter that lives through all of it.
struct Live {
  Live() : node(Make()) {
    Require(LoadText(node->store,
                     "table <t> persist { 10.0.0.0/8 }\npass from <t>\n")
                .ok());
    node->shard().In("udp $A:1 > $B:69 tftp rrq \"f\" octet");
    node->shard().In("tcp $A:2 > $B:80 S seq 1 win 4000");
    before = node->Export();
  }
  void RequireUnchanged() {
    Require(node->store.generation()->hash == before.header.policy_hash);
    Require(node->states() == 2);
    Require(node->shard().budget.used() == 2);
    Require(node->shard().expectations->size() == 1);
    Require(node->budget.nodes.used() == 0);
    Require(node->store.live_generations() == 1);
  }
  std::unique_ptr<Node> node;
  Snapshot before;
};

// What goes in again as it came out.
void RequireCanonical(std::span<const uint8_t> input) {
  const auto first = Make();
  if (!first->ImportBytes(input, Options()).ok()) return;
  Snapshot out = first->Export();
  out.header.generation = 0;
  const auto second = Make();
  Require(second->Import(out, Options()).ok());
  Snapshot again = second->Export();
  again.header.generation = 0;
  const auto bytes = WriteSnapshot(out);
  const auto twice = WriteSnapshot(again);
  Require(bytes.ok() && twice.ok() && *bytes == *twice);
}

void Check(std::span<const uint8_t> input) {
  static Live* const live = new Live;
  StateImporter importer(live->node->Target(), Options());
  ResetAllocationPeak();
  absl::Status status = importer.Prepare(input);
  if (!status.ok()) {
    Require(AllocationPeak() <= kMemoryFactor * input.size() + kMemoryAnyway);
  } else {
    status = live->node->Validate(&importer);
  }
  live->node->Cancel(&importer);
  for (int i = 0; i < 3; ++i) live->node->store.Poll();
  live->RequireUnchanged();
  if (status.ok()) RequireCanonical(input);
}

// Gives each rule the text and identity that a parser makes of its text.
std::vector<uint8_t> WithIdentities(const std::vector<uint8_t>& bytes) {
  auto read = ReadSnapshot(bytes);
  if (!read.ok()) return bytes;
  for (SnapshotRuleset& ruleset : read->snapshot.rulesets) {
    for (SnapshotRule& rule : ruleset.rules) {
      ParseInput input;
      input.text = rule.text;
      input.anchor = ruleset.anchor;
      input.no_dns = true;
      const ParseResult parsed = ParsePolicy(std::move(input));
      if (!parsed.ok()) continue;
      const Ruleset& rules = parsed.policy.main.rules;
      const auto set = [&](SnapshotRuleKind kind, const Rule& made) {
        rule = {kind, RuleIdOf(RuleIdentity(made, ruleset.anchor)),
                PrintRule(made)};
      };
      if (rules.filter.size() == 1) {
        set(SnapshotRuleKind::kFilter, rules.filter[0]);
        continue;
      }
      for (const auto& [kind, list] : OtherRules(rules)) {
        if (list->size() == 1) set(kind, list->front());
      }
    }
  }
  const auto written = WriteSnapshot(read->snapshot);
  return written.ok() ? *written : bytes;
}

}  // namespace
}  // namespace sluice

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                   size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  // Some stay broken.
  if (seed % 16 == 0) return size;
  std::vector<uint8_t> bytes(data, data + size);
  sluice::FixSnapshot(bytes);
  if (seed % 16 < 4) bytes = sluice::WithIdentities(bytes);
  if (bytes.size() > max_size) return size;
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
