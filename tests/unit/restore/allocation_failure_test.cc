// The n-th allocation fails, for all n, of a commit, of edits, of an export
// and of an import: what asked for it is told so, and the filter is as it was,
// or everything is done. The address sanitizer sees what leaks.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/table_changes.h"
#include "tests/unit/restore/allocation_count.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kRules[] =
    "set limit states 5000\n"
    "table <bad> persist { 10.9.0.0/16, 2001:db8:9::/48 }\n"
    "block in from <bad>\n"
    "pass in proto udp tag T keep state (udp.multiple 77) label \"udp\"\n"
    "pass out\n"
    "pass out\n"
    "anchor inner {\n table <inside> { 10.1.1.1 }\n pass in from <inside>\n}\n";
constexpr char kOtherRules[] =
    "table <bad> persist { 10.8.0.0/16 }\n"
    "table <good> { 10.9.0.1, 2001:db8::/32 }\n"
    "block in from <bad> to <good>\n"
    "pass in tag U\n";

Policy PolicyOf(const char* text) {
  ParseInput input;
  input.text = text;
  ParseResult parsed = ParsePolicy(std::move(input));
  EXPECT_TRUE(parsed.ok());
  return std::move(parsed.policy);
}

// What of a filter may not change.
struct Picture {
  uint64_t hash;
  uint64_t number;
  uint32_t rule_slots;
  size_t generations;
  Snapshot snapshot;

  explicit Picture(ImportNode& node) {
    for (int i = 0; i < 3; ++i) node.store.Poll();
    hash = node.store.generation()->hash;
    number = node.store.generation()->number;
    rule_slots = node.store.rule_slots().used();
    generations = node.store.live_generations();
    snapshot = node.Export();
  }
  friend bool operator==(const Picture&, const Picture&) = default;
};

class AllocationFailureTest : public testing::TestWithParam<Family> {
 protected:
  static std::unique_ptr<ImportNode> Make(const char* rules,
                                          PolicyPool* pool = nullptr) {
    auto node = std::make_unique<ImportNode>(
        GetParam(), 1, StateTableOptions{.capacity = 100}, pool);
    EXPECT_TRUE(LoadText(node->store, rules).ok());
    return node;
  }
  static void Fill(ImportNode& node) {
    Shard& shard = node.shard();
    shard.values.rule_slot =
        PolicyListing(node.store).AllRules().at(1).rule.slot;
    shard.values.flags = kStateRuleTimeouts;
    shard.values.tag = node.store.tags().Find("T");
    shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    shard.Out("udp $S:3000 > $C:5000 tftp oack blksize 1024");
    shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    shard.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
  }
  static void ExpectSame(ImportNode& node, const Picture& before,
                         int64_t number) {
    ASSERT_TRUE(Picture(node) == before) << "after failure " << number;
    ASSERT_EQ(node.shard().budget.used(), node.states());
    const absl::Status sound = CheckInvariants(node.store);
    ASSERT_TRUE(sound.ok()) << sound << " after failure " << number;
  }
  // Calls attempt(n) with the n-th allocation failing until all have failed;
  // it returns what became of it. `name` is for the record.
  template <typename Attempt>
  static void ForEachFailure(const char* name, Attempt&& attempt) {
    int64_t number = 0;
    bool failed = true;
    for (; failed; ++number) {
      attempt(number, &failed);
      if (HasFatalFailure()) return;
    }
    std::cout << name << ": " << number - 1 << " allocations\n";
      EXPECT_GT(number, 5);
  }
  // One call with a failing allocation in it.
  template <typename F>
  static absl::Status Failing(int64_t number, bool* failed, F&& f) {
    FailAllocation(number);
    absl::Status status = f();
    *failed = AllocationHasFailed();
    FailAllocation(-1);
    return status;
  }
  static void ExpectNoMemory(const absl::Status& status, int64_t number) {
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted)
        << status << " at failure " << number;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, AllocationFailureTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

// Some find a way without what they asked for, as sorting does: then all is
// done, and the next attempt needs a filter as it was.
TEST_P(AllocationFailureTest, CommitOfARuleset) {
  PolicyPool pool;
  std::unique_ptr<ImportNode> node;
  std::unique_ptr<Picture> before;
  ForEachFailure("commit", [&](int64_t number, bool* failed) {
    if (node == nullptr) {
      node = Make(kRules, &pool);
      Fill(*node);
      before = std::make_unique<Picture>(*node);
    }
    Policy policy = PolicyOf(kOtherRules);
    const absl::Status status = Failing(number, failed, [&] {
      return node->store.Load(std::move(policy));
    });
    if (!status.ok()) {
      ExpectNoMemory(status, number);
      return ExpectSame(*node, *before, number);
    }
    ASSERT_NE(node->store.generation()->hash, before->hash);
    ASSERT_EQ(PolicyListing(node->store).AllRules().size(), 2u);
    ASSERT_TRUE(CheckInvariants(node->store).ok());
    node = nullptr;
  });
}

// Rules of one store and a table of the other, which change at once.
TEST_P(AllocationFailureTest, CommitOfSeveral) {
  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  const bool v4 = GetParam() == Family::kIpv4;
  const TableKey bad = {"", "bad"};
  const std::vector<TableEntry> entries = {
      {.prefix = *ParsePrefix(v4 ? "10.7.0.0/16" : "2001:db8:7::/48")},
      {.prefix = *ParsePrefix(v4 ? "10.7.1.1" : "2001:db8:7::1"),
       .negated = true}};
  struct Pair {
    Publication publication;
    PolicyPool pool;
    std::array<std::unique_ptr<PolicyStore>, 2> stores;
    std::array<uint64_t, 2> Hashes() const {
      return {stores[0]->generation()->hash, stores[1]->generation()->hash};
    }
    std::array<uint32_t, 2> Slots() const {
      for (int i = 0; i < 3; ++i) {
        for (const auto& store : stores) store->Poll();
      }
      return {stores[0]->rule_slots().used(), stores[1]->rule_slots().used()};
    }
  };
  std::unique_ptr<Pair> pair;
  std::array<uint64_t, 2> hashes;
  std::array<uint32_t, 2> slots;
  ForEachFailure("commit of several", [&](int64_t number, bool* failed) {
    if (pair == nullptr) {
      pair = std::make_unique<Pair>();
      for (auto& store : pair->stores) {
        store = std::make_unique<PolicyStore>(
            PolicyStoreConfig{.workers = 1, .rule_slots = 64,
                              .table_slots = 8, .pool = &pair->pool,
                              .publication = &pair->publication},
            &interfaces, &reclaimer);
        ASSERT_TRUE(LoadText(*store, kRules).ok());
      }
      hashes = pair->Hashes();
      slots = pair->Slots();
    }
    PolicyStore& first = *pair->stores[0];
    PolicyStore& second = *pair->stores[1];
    Policy policy = PolicyOf(kOtherRules);
    const uint64_t epoch = pair->publication.epoch();
    const Ticket ticket = first.Begin();
    const absl::Status status = Failing(number, failed, [&]() -> absl::Status {
      if (absl::Status s = first.Define(ticket, std::move(policy)); !s.ok()) {
        return s;
      }
      absl::StatusOr<StagedGeneration> rules = first.StageLoad(ticket);
      if (!rules.ok()) return rules.status();
      return OrNoMemory("change both", [&]() -> absl::Status {
        std::vector<StagedCommit> set;
        set.push_back({.store = &first, .ticket = ticket,
                       .generation = *std::move(rules)});
        set.push_back({.store = &second, .ticket = 0,
                       .generation = StagedGeneration(*second.generation())});
        const StagedTableEdit edit = {.kind = TableEditKind::kReplace,
                                      .key = bad, .entries = entries};
        absl::Status s =
            EditStaged(second, &set[1].generation, std::span(&edit, 1));
        return s.ok() ? PublishTogether(set) : s;
      });
    });
    if (!status.ok()) {
      ExpectNoMemory(status, number);
      ASSERT_TRUE(first.Rollback(ticket).ok()) << "the ticket lives on";
      ASSERT_EQ(pair->Hashes(), hashes) << "after failure " << number;
      ASSERT_EQ(pair->publication.epoch(), epoch);
      ASSERT_EQ(pair->Slots(), slots);
      for (const auto& store : pair->stores) {
        ASSERT_TRUE(CheckInvariants(*store).ok());
      }
      return;
    }
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_NE(pair->Hashes()[i], hashes[i]) << "half of it, " << number;
      ASSERT_TRUE(CheckInvariants(*pair->stores[i]).ok());
    }
    pair = nullptr;
  });
}

TEST_P(AllocationFailureTest, EditsOfTables) {
  PolicyPool pool;
  std::vector<TableEntry> entries;
  for (int i = 0; i < 20; ++i) {
    entries.push_back({.prefix = *ParsePrefix(
                           GetParam() == Family::kIpv4
                               ? absl::StrCat("192.0.2.", i)
                               : absl::StrCat("2001:db8:2::", i))});
  }
  const TableKey bad = {"", "bad"};
  const TableKey fresh = {"", "fresh"};
  const auto each = [&](const char* name, auto&& edit) {
    std::unique_ptr<ImportNode> node;
    std::unique_ptr<Picture> before;
    ForEachFailure(name, [&](int64_t number, bool* failed) {
      if (node == nullptr) {
        node = Make(kRules, &pool);
        ASSERT_TRUE(ReplaceAddresses(node->store, bad, entries).ok());
        before = std::make_unique<Picture>(*node);
      }
      const absl::Status status =
          Failing(number, failed, [&] { return edit(node->store); });
      if (!status.ok()) {
        ExpectNoMemory(status, number);
        return ExpectSame(*node, *before, number);
      }
      ASSERT_NE(node->store.generation()->hash, before->hash);
      ASSERT_TRUE(CheckInvariants(node->store).ok());
      node = nullptr;
    });
  };
  each("add", [&](PolicyStore& store) {
    return AddAddresses(store, fresh, entries).status();
  });
  each("replace", [&](PolicyStore& store) {
    return ReplaceAddresses(store, bad, std::span(entries).last(18)).status();
  });
  each("delete", [&](PolicyStore& store) {
    return DeleteAddresses(store, bad, std::span(entries).first(3)).status();
  });
  each("flush",
       [&](PolicyStore& store) { return FlushTable(store, bad).status(); });
  each("kill", [&](PolicyStore& store) { return KillTable(store, bad); });
}

TEST_P(AllocationFailureTest, Export) {
  const auto node = Make(kRules);
  Fill(*node);
  const Picture before(*node);
  const std::vector<uint8_t> good = *WriteSnapshot(before.snapshot);
  ForEachFailure("export", [&](int64_t number, bool* failed) {
    std::vector<uint8_t> bytes;
    const absl::Status status = Failing(number, failed, [&] {
      absl::StatusOr<Snapshot> snapshot = node->TryExport();
      if (!snapshot.ok()) return snapshot.status();
      auto written = WriteSnapshot(*snapshot);
      if (written.ok()) bytes = *std::move(written);
      return written.status();
    });
    ExpectSame(*node, before, number);
    if (status.ok()) {
      // Whole, or not at all.
      ASSERT_EQ(bytes, good) << "at failure " << number;
    } else {
      ExpectNoMemory(status, number);
    }
  });
}

TEST_P(AllocationFailureTest, Import) {
  const auto from = Make(kRules);
  Fill(*from);
  const Snapshot snapshot = from->Export();
  const std::vector<uint8_t> bytes = *WriteSnapshot(snapshot);
  for (const bool policy : {true, false}) {
    PolicyPool pool;
    // With orphans, if it keeps its own policy.
    auto to = Make("pass\n", &pool);
    to->shard().In("udp $A:1 > $B:2");
    auto before = std::make_unique<Picture>(*to);
    ForEachFailure("import", [&](int64_t number, bool* failed) {
      auto importer = std::make_unique<StateImporter>(to->Target(),
                                                      WithPolicy(policy));
      const absl::Status status = Failing(number, failed, [&] {
        return to->Run(importer.get(), std::span<const uint8_t>(bytes))
            .status();
      });
      if (status.ok()) {
        // The whole of it.
        ASSERT_EQ(to->states(), 4u);
        ASSERT_EQ(to->shard().expectations->size(), 1u);
        ASSERT_EQ(PolicyListing(to->store).AllRules().size(), policy ? 6u : 1u);
        ASSERT_TRUE(CheckInvariants(to->store).ok());
        importer = nullptr;
        to = Make("pass\n", &pool);
        to->shard().In("udp $A:1 > $B:2");
        before = std::make_unique<Picture>(*to);
        return;
      }
      ExpectNoMemory(status, number);
      to->Cancel(importer.get());
      importer = nullptr;
      ExpectSame(*to, *before, number);
      ASSERT_TRUE(to->shard().expectations->empty());
    });
  }
}

}  // namespace
}  // namespace sluice
