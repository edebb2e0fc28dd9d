// Random operations on a policy store and on its model, compared after each
// step: references (P1), indexes (P2), existence of tables (P3), failed
// operations that change nothing (P4), lookups (P10), memory that readers hold
// (P7). Also on several stores that share what is equal, each beside a model of
// its own: what one does no other sees; what several commit at once is in force
// at all of them or at none. SLUICE_PROPERTY_STEPS and SLUICE_PROPERTY_SEED change the work.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"
#include "tests/property/policy_store_model.h"
#include "tests/support/table_changes.h"

namespace sluice {
namespace {

constexpr uint32_t kEntryLimit = 60;
constexpr uint32_t kTableLimit = 7;
constexpr const char* kTableNames[] = {"t0", "t1", "t2", "t3"};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Readers hold generations; a grace period has passed when all that began
// before it have let go.
class ReaderReclaimer : public Reclaimer {
 public:
  struct Held {
    const Generation* generation;
    uint64_t since;
    uint64_t hash;
    std::vector<uint64_t> contents;
  };

  uint64_t StartGracePeriod() override { return ++clock_; }
  bool HasPassed(uint64_t period) override {
    for (const Held& held : held_) {
      if (held.since < period) return false;
    }
    return true;
  }
  void Hold(const Generation* generation) {
    held_.push_back({generation, clock_, generation->hash,
                     ContentsOf(*generation)});
  }
  // Lets go of the oldest, after a look at what it sees now.
  void LetGo() {
    if (held_.empty()) return;
    const Held& held = held_.front();
    EXPECT_EQ(held.generation->hash, held.hash);
    EXPECT_EQ(ContentsOf(*held.generation), held.contents);
    held_.erase(held_.begin());
  }

 private:
  static std::vector<uint64_t> ContentsOf(const Generation& generation) {
    std::vector<uint64_t> contents;
    for (const GenerationTable& table : generation.table_states) {
      uint64_t sum = table.references;
      for (const TableEntry& entry : table.contents.Entries()) {
        sum = sum * 31 + entry.prefix.length * 2 + entry.negated;
        for (const uint8_t byte : entry.prefix.address.bytes) {
          sum = sum * 31 + byte;
        }
      }
      contents.push_back(sum);
    }
    for (const CompiledRule& rule : generation.rules()) {
      contents.push_back(rule.slot);
    }
    return contents;
  }

  uint64_t clock_ = 0;
  std::vector<Held> held_;
};

class Runner {
 public:
  explicit Runner(uint64_t seed, PolicyPool* pool = nullptr,
                  Publication* publication = nullptr)
      : random_(seed),
        pool_(pool),
        store_(PolicyStoreConfig{.workers = 1, .rule_slots = 512,
                                 .table_slots = 512, .pool = pool,
                                 .publication = publication},
               &interfaces_, &reclaimer_) {}

  void Run(uint64_t steps) {
    Start();
    for (uint64_t step = 0; step < steps; ++step) {
      SCOPED_TRACE(testing::Message() << "step " << step);
      StepAndCheck();
      if (testing::Test::HasFailure()) return;
    }
    Quiesce();
  }
  void Start() {
    Policy first;
    SetLimits(first);
    ASSERT_TRUE(store_.Load(first).ok());
    newest_ = 1;
  }
  void StepAndCheck() {
    Step();
    if (!testing::Test::HasFailure()) Check();
  }
  // With all readers gone one generation is left, and only its slots.
  void Quiesce() {
    if (live_) {
      ASSERT_TRUE(store_.Rollback(newest_).ok());
    }
    for (int i = 0; i < 100000; ++i) reclaimer_.LetGo();
    for (int i = 0; i < 3; ++i) store_.Poll();
    EXPECT_EQ(store_.live_generations(), 1u);
    EXPECT_EQ(store_.rule_slots().used(),
              PolicyListing(store_).AllRules().size());
  }
  const PolicyStore& store() const { return store_; }

  // ---- Commits of several stores -------------------------------------------

  // What this store does in one; none: its part does not fit. A reader holds
  // what is in force.
  std::optional<StagedCommit> TakePart() {
    hash_before_ = store_.generation()->hash;
    number_before_ = store_.generation()->number;
    old_ = store_.current();
    reclaimer_.Hold(old_);
    Begin();
    Policy policy = RandomPolicy();
    if (!store_.Define(newest_, policy).ok()) {
      ExpectUnchanged();
      return std::nullopt;
    }
    auto staged = store_.StageLoad(newest_);
    ExpectUnchanged();
    uint64_t entries = 0;
    tables_ = model_.After(policy, &entries);
    const bool fits =
        entries <= kEntryLimit && tables_.size() <= kTableLimit;
    EXPECT_EQ(staged.ok(), fits) << staged.status();
    defined_ = std::move(policy);
    if (!staged.ok()) return std::nullopt;
    return StagedCommit{.store = &store_, .ticket = newest_,
                        .generation = *std::move(staged)};
  }
  // Somebody else begins: the part is of no use any more.
  void MoveOn() { Begin(); }
  // What the set has come to, published at the epoch behind `before` or not.
  void EndPart(bool done, uint64_t before) {
    if (done) {
      EXPECT_EQ(store_.generation()->number, number_before_ + 1);
      EXPECT_EQ(store_.At(before), old_);
      EXPECT_EQ(store_.At(before + 1), store_.current());
      EXPECT_NE(store_.current(), old_);
      model_.Commit(*defined_, std::move(tables_));
      live_ = false;
      defined_.reset();
    } else {
      ExpectUnchanged();
      EXPECT_EQ(store_.current(), old_);
    }
    Check();
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  void SetLimits(Policy& policy) {
    policy.options.limits[static_cast<size_t>(Limit::kTableEntries)] =
        kEntryLimit;
    policy.options.limits[static_cast<size_t>(Limit::kTables)] = kTableLimit;
  }

  Address RandomAddress() {
    Address a;
    a.family = OneIn(2) ? Family::kIpv4 : Family::kIpv6;
    const int last = AddressBits(a.family) / 8 - 1;
    a.bytes[0] = 10;
    a.bytes[1] = static_cast<uint8_t>(Below(2));
    a.bytes[last] = static_cast<uint8_t>(Below(4));
    return a;
  }
  TableEntry RandomEntry() {
    const Address a = RandomAddress();
    const int bits = AddressBits(a.family);
    const int length = OneIn(2) ? bits : static_cast<int>(Below(bits + 1));
    return {.prefix = Prefix{a, static_cast<uint8_t>(length)}.Masked(),
            .negated = OneIn(3)};
  }
  std::vector<TableEntry> RandomEntries() {
    if (pool_ != nullptr && OneIn(3)) return CommonEntries(Below(3));
    std::vector<TableEntry> entries(Below(OneIn(10) ? 40 : 6));
    for (TableEntry& entry : entries) entry = RandomEntry();
    return entries;
  }
  // The same at all stores, and large enough to be shared.
  static std::vector<TableEntry> CommonEntries(uint32_t which) {
    std::vector<TableEntry> entries;
    for (uint8_t i = 0; i < 18; ++i) {
      Address address = i % 2 == 0 ? *ParseAddress("10.1.0.0")
                                   : *ParseAddress("a00::");
      address.bytes[2] = static_cast<uint8_t>(i);
      entries.push_back({.prefix = {address, 24}, .negated = i % 5 == which});
    }
    return entries;
  }
  // As the parser makes it: each prefix once.
  static void Deduplicate(std::vector<TableEntry>& entries) {
    std::set<Prefix> seen;
    std::erase_if(entries, [&](const TableEntry& entry) {
      return !seen.insert(entry.prefix).second;
    });
  }
  TableKey RandomKey() {
    return {.anchor = OneIn(3) ? "a" : "", .name = kTableNames[Below(4)]};
  }

  void FillAnchor(Anchor& anchor) {
    const uint32_t rules = Below(4);
    for (uint32_t i = 0; i < rules; ++i) {
      Rule& rule = anchor.rules.filter.emplace_back();
      rule.action = OneIn(2) ? RuleAction::kBlock : RuleAction::kPass;
      for (Endpoint* end : {&rule.source, &rule.destination}) {
        if (OneIn(2)) continue;
        end->address.kind = AddressKind::kTable;
        end->address.name = kTableNames[Below(4)];
      }
    }
    for (const char* name : kTableNames) {
      if (OneIn(2)) continue;
      TableDefinition& table = anchor.tables.emplace_back();
      table.name = name;
      table.persist = OneIn(2);
      table.is_const = OneIn(5);
      table.has_contents = OneIn(2);
      if (table.has_contents) {
        table.entries = RandomEntries();
        Deduplicate(table.entries);
      }
    }
  }
  Policy RandomPolicy() {
    Policy policy;
    SetLimits(policy);
    FillAnchor(policy.main);
    if (OneIn(2)) {
      Rule& call = policy.main.rules.filter.emplace_back();
      call.anchor_call = call.anchor_path = "a";
      FillAnchor(policy.main.FindOrCreate("a"));
    }
    return policy;
  }

  Ticket RandomTicket() {
    switch (Below(8)) {
      case 0:
        return newest_ + 1;  // not begun yet
      case 1:
        return newest_ == 0 ? 0 : newest_ - 1;  // stale
      case 2:
        return 0;
      default:
        return newest_;
    }
  }

  void Step() {
    hash_before_ = store_.generation()->hash;
    number_before_ = store_.generation()->number;
    switch (Below(14)) {
      case 0:
      case 1:
        Begin();
        break;
      case 2:
      case 3:
        Define();
        break;
      case 4:
      case 5:
        Commit();
        break;
      case 6:
        if (OneIn(3)) Rollback();
        break;
      case 7:
      case 8:
        Edit(&AddAddresses, &Runner::ModelAdd);
        break;
      case 9:
        Edit(&DeleteAddresses, &Runner::ModelDelete);
        break;
      case 10:
        Edit(&ReplaceAddresses, &Runner::ModelReplace);
        break;
      case 11:
        Flush();
        break;
      case 12:
        Kill();
        break;
      default:
        reclaimer_.Hold(store_.current());
        if (OneIn(3)) store_.Poll();
        break;
    }
    if (OneIn(2)) reclaimer_.LetGo();
  }

  void Begin() {
    newest_ = store_.Begin();
    live_ = true;
    defined_.reset();
  }

  void Define() {
    const Ticket ticket = RandomTicket();
    Policy policy = RandomPolicy();
    uint64_t entries = 0;
    size_t tables = policy.main.tables.size();
    for (const Anchor* anchor :
         {policy.main.Find(""), policy.main.Find("a")}) {
      if (anchor == nullptr) continue;
      if (anchor != &policy.main) tables += anchor->tables.size();
      for (const TableDefinition& table : anchor->tables) {
        entries += table.entries.size();
      }
    }
    const bool usable = live_ && ticket == newest_;
    const bool fits = entries <= kEntryLimit && tables <= kTableLimit;
    const absl::Status status = store_.Define(ticket, policy);
    EXPECT_EQ(status.ok(), usable && fits) << status.message();
    if (!usable) {
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
      return;
    }
    if (fits) {
      defined_ = std::move(policy);
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      defined_.reset();
    }
    ExpectUnchanged();
  }

  void Commit() {
    const Ticket ticket = RandomTicket();
    const absl::Status status = store_.Commit(ticket);
    if (!live_ || ticket != newest_) {
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
      return ExpectUnchanged();
    }
    if (!defined_) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      return ExpectUnchanged();
    }
    live_ = false;
    uint64_t entries = 0;
    PolicyModel::Tables tables = model_.After(*defined_, &entries);
    if (entries > kEntryLimit || tables.size() > kTableLimit) {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      ExpectUnchanged();
    } else {
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(store_.generation()->number, number_before_ + 1);
      model_.Commit(*defined_, std::move(tables));
    }
    defined_.reset();
  }

  void Rollback() {
    const Ticket ticket = RandomTicket();
    const bool usable = live_ && ticket == newest_;
    EXPECT_EQ(store_.Rollback(ticket).ok(), usable);
    if (usable) {
      live_ = false;
      defined_.reset();
    }
    ExpectUnchanged();
  }

  // What the model makes of an edit: how many entries change at most, and the
  // new contents.
  struct Edited {
    std::map<Prefix, bool> entries;
    uint64_t more = 0;
    TableChange change;
  };
  static Edited ModelAdd(const ModelTable& table,
                         const std::vector<TableEntry>& request) {
    Edited edited;
    edited.entries = table.entries;
    for (const TableEntry& entry : request) {
      if (edited.entries.try_emplace(entry.prefix, entry.negated).second) {
        ++edited.change.added;
      }
    }
    edited.more = edited.change.added;
    return edited;
  }
  static Edited ModelDelete(const ModelTable& table,
                            const std::vector<TableEntry>& request) {
    Edited edited;
    edited.entries = table.entries;
    std::set<Prefix> seen;
    for (const TableEntry& entry : request) {
      if (!seen.insert(entry.prefix).second) continue;
      const auto there = edited.entries.find(entry.prefix);
      if (there == edited.entries.end() || there->second != entry.negated) {
        continue;
      }
      edited.entries.erase(there);
      ++edited.change.deleted;
    }
    return edited;
  }
  static Edited ModelReplace(const ModelTable& table,
                             const std::vector<TableEntry>& request) {
    Edited edited;
    for (const TableEntry& entry : request) {
      edited.entries.try_emplace(entry.prefix, entry.negated);
    }
    for (const auto& [prefix, negated] : edited.entries) {
      const auto before = table.entries.find(prefix);
      if (before == table.entries.end()) {
        ++edited.change.added;
      } else if (before->second != negated) {
        ++edited.change.changed;
      }
    }
    for (const auto& [prefix, negated] : table.entries) {
      edited.change.deleted += !edited.entries.contains(prefix);
    }
    edited.more = edited.entries.size();
    return edited;
  }

  using StoreEdit = absl::StatusOr<TableChange> (*)(
      PolicyStore&, const TableKey&, std::span<const TableEntry>, bool);
  using ModelEdit = Edited (*)(const ModelTable&,
                               const std::vector<TableEntry>&);

  void Edit(StoreEdit store_edit, ModelEdit model_edit) {
    const TableKey key = RandomKey();
    const std::vector<TableEntry> request = RandomEntries();
    const bool dry_run = OneIn(6);
    const auto result = store_edit(store_, key, request, dry_run);

    const auto known = model_.tables().find(key);
    const bool there =
        known != model_.tables().end() && known->second.active;
    const bool creates = model_edit != &Runner::ModelDelete;
    if (there && known->second.is_const) {
      EXPECT_EQ(result.status().code(),
                absl::StatusCode::kFailedPrecondition);
      return ExpectUnchanged();
    }
    // A table may be there before its anchor.
    if (!there && !creates) {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
      return ExpectUnchanged();
    }
    ModelTable table = there ? known->second : ModelTable();
    const Edited edited = model_edit(table, request);
    if ((known == model_.tables().end() &&
         model_.tables().size() >= kTableLimit) ||
        model_.EntryCount() + edited.more > kEntryLimit) {
      EXPECT_EQ(result.status().code(),
                absl::StatusCode::kResourceExhausted);
      return ExpectUnchanged();
    }
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result->table_created, !there);
    EXPECT_EQ(result->added, edited.change.added);
    EXPECT_EQ(result->deleted, edited.change.deleted);
    EXPECT_EQ(result->changed, edited.change.changed);
    EXPECT_EQ(result->total, request.size());
    if (dry_run) return ExpectUnchanged();
    table.active = true;
    if (!there) table.persist = true;
    table.entries = edited.entries;
    model_.tables()[key] = table;
  }

  void Flush() {
    const TableKey key = RandomKey();
    const auto result = FlushTable(store_, key);
    const auto known = model_.tables().find(key);
    if (known == model_.tables().end() || !known->second.active) {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
      return ExpectUnchanged();
    }
    if (known->second.is_const) {
      EXPECT_EQ(result.status().code(),
                absl::StatusCode::kFailedPrecondition);
      return ExpectUnchanged();
    }
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->deleted, known->second.entries.size());
    known->second.entries.clear();
  }

  void Kill() {
    const TableKey key = RandomKey();
    const absl::Status status = KillTable(store_, key);
    const auto known = model_.tables().find(key);
    if (known == model_.tables().end() || !known->second.active) {
      EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
      return ExpectUnchanged();
    }
    if (known->second.is_const) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      return ExpectUnchanged();
    }
    ASSERT_TRUE(status.ok());
    known->second = ModelTable();
    model_.DropUnused();
  }

  void ExpectUnchanged() {
    EXPECT_EQ(store_.generation()->hash, hash_before_);
    EXPECT_EQ(store_.generation()->number, number_before_);
  }

  void Check() {
    const absl::Status invariants = CheckInvariants(store_);
    ASSERT_TRUE(invariants.ok()) << invariants.message();
    const std::vector<TableStatus> listed = PolicyListing(store_).Tables();
    ASSERT_EQ(listed.size(), model_.tables().size());
    for (const TableStatus& status : listed) {
      const auto known = model_.tables().find(status.key);
      ASSERT_NE(known, model_.tables().end())
          << status.key.anchor << "<" << status.key.name << ">";
      EXPECT_EQ(status.active, known->second.active);
      EXPECT_EQ(status.persist, known->second.persist);
      EXPECT_EQ(status.is_const, known->second.is_const);
      EXPECT_EQ(status.addresses, known->second.entries.size());
      EXPECT_EQ(status.references, model_.CountReferences(status.key));
    }
    CheckLookups();
  }

  void CheckLookups() {
    const Generation& generation = *store_.current();
    for (size_t i = 0; i < generation.tables.size(); ++i) {
      const TableKey& key = generation.policy->referenced_tables[i];
      const ModelTable* table = model_.Resolve(key);
      for (int n = 0; n < 4; ++n) {
        const Address address = RandomAddress();
        EXPECT_EQ(generation.tables[i].addresses.Contains(address),
                  table != nullptr && table->Contains(address))
            << key.anchor << "<" << key.name << "> " << ToString(address);
      }
    }
  }

  std::mt19937_64 random_;
  PolicyPool* const pool_;
  InterfaceRegistry interfaces_;
  ReaderReclaimer reclaimer_;
  PolicyStore store_;
  PolicyModel model_;
  Ticket newest_ = 0;
  bool live_ = false;  // the newest ticket has not ended
  std::optional<Policy> defined_;
  // Of a commit of several that is under way.
  const Generation* old_ = nullptr;
  PolicyModel::Tables tables_;
  uint64_t hash_before_ = 0;
  uint64_t number_before_ = 0;
};

TEST(PolicyStoreProperty, AgreesWithTheModel) {
  const uint64_t steps = FromEnvironment("SLUICE_PROPERTY_STEPS", 10000);
  const uint64_t first = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  for (uint64_t seed = first; seed < first + 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "SLUICE_PROPERTY_SEED=" << seed);
    std::cout << "seed " << seed << ", " << steps << " steps\n";
    Runner(seed).Run(steps);
    if (testing::Test::HasFailure()) break;
  }
}

// Tables of two stores are one if they are equal, and are large enough.
uint64_t CheckSharing(const PolicyStore& a, const PolicyStore& b) {
  uint64_t shared = 0;
  for (const GenerationTable& x : a.current()->table_states) {
    if (x.contents.size() < PolicyPool::kLeastEntries) continue;
    for (const GenerationTable& y : b.current()->table_states) {
      if (x.contents.Entries() != y.contents.Entries()) continue;
      EXPECT_EQ(x.contents.view(), y.contents.view());
      ++shared;
    }
  }
  return shared;
}

TEST(PolicyStoreProperty, ManyStoresShareAndNeverMeet) {
  const uint64_t steps = FromEnvironment("SLUICE_PROPERTY_STEPS", 10000);
  const uint64_t seed = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  PolicyPool pool;
  Publication publication;
  std::mt19937_64 random(seed);
  uint64_t shared = 0;
  uint64_t sets = 0;
  uint64_t refused = 0;
  {
    std::vector<std::unique_ptr<Runner>> runners;
    for (uint64_t i = 0; i < 5; ++i) {
      runners.push_back(
          std::make_unique<Runner>(seed + i, &pool, &publication));
      runners.back()->Start();
    }
    for (uint64_t step = 0; step < steps; ++step) {
      SCOPED_TRACE(testing::Message() << "step " << step);
      runners[step % runners.size()]->StepAndCheck();
      shared += CheckSharing(runners[step % 5]->store(),
                             runners[(step + 1) % 5]->store());
      if (testing::Test::HasFailure()) return;
      if (step % 7 != 0) continue;
      // Two to four of them at once; now and then one moves on meanwhile.
      std::shuffle(runners.begin(), runners.end(), random);
      const size_t count = 2 + random() % 3;
      std::vector<StagedCommit> set;
      std::vector<Runner*> members;
      for (size_t i = 0; i < count; ++i) {
        std::optional<StagedCommit> part = runners[i]->TakePart();
        if (!part) continue;
        set.push_back(*std::move(part));
        members.push_back(runners[i].get());
      }
      if (members.empty()) continue;
      const bool moves = random() % 4 == 0;
      const size_t who = random() % members.size();
      if (moves) members[who]->MoveOn();
      const uint64_t before = publication.epoch();
      size_t culprit = members.size();
      const absl::Status status = PublishTogether(set, &culprit);
      ASSERT_EQ(status.ok(), !moves) << status;
      if (moves) {
        ASSERT_EQ(culprit, who);
      }
      ASSERT_EQ(publication.epoch(), before + (moves ? 0 : 1));
      for (Runner* member : members) member->EndPart(!moves, before);
      ++(moves ? refused : sets);
      if (testing::Test::HasFailure()) return;
    }
    for (const auto& runner : runners) {
      ASSERT_TRUE(CheckInvariants(runner->store()).ok());
      runner->Quiesce();
    }
  }
  EXPECT_GT(shared, steps / 100);
  EXPECT_GT(sets, steps / 30);
  EXPECT_GT(refused, 0u);
  std::cout << "tables found shared: " << shared << ", commits of several: "
            << sets << ", refused: " << refused << "\n";
  EXPECT_EQ(pool.tables(), 0u);
  EXPECT_EQ(pool.policies(), 0u);
}

}  // namespace
}  // namespace sluice
