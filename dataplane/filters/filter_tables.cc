#include "dataplane/filters/filter_tables.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/table_edits.h"

namespace sluice {
namespace {

constexpr size_t IndexOf(TableCounter counter) {
  return static_cast<size_t>(counter);
}
constexpr size_t IndexOf(TableOp op) { return static_cast<size_t>(op); }

// Of a table's TableCounts or an entry's EntryCounts.
template <typename Counts>
TableTraffic TrafficOf(const Counts& counts) {
  static constexpr std::pair<TableCounter, TableOp> kKinds[] = {
      {TableCounter::kBlock, TableOp::kBlock},
      {TableCounter::kPass, TableOp::kPass},
      {TableCounter::kMatch, TableOp::kMatch},
      {TableCounter::kXPass, TableOp::kXPass},
  };
  TableTraffic traffic;
  for (size_t way : {0, 1}) {
    for (const auto& [counter, op] : kKinds) {
      if (IndexOf(op) >= counts.packets[way].size()) continue;
      traffic.packets[way][IndexOf(counter)] =
          counts.packets[way][IndexOf(op)];
      traffic.bytes[way][IndexOf(counter)] = counts.bytes[way][IndexOf(op)];
    }
  }
  return traffic;
}

// Networks that begin with the same address: one for each length.
constexpr size_t kMostOfOneAddress = 130;

using Contents = std::map<Prefix, bool>;  // to: negated

// What an edit does to each of its entries, from what the table held.
std::vector<std::pair<TableEntry, TableFeedback>> FeedbackOf(
    const TableEdit& edit, const AddressTable& table) {
  Contents before;
  for (const TableEntry& entry : table.Entries()) {
    before[entry.prefix] = entry.negated;
  }
  std::vector<std::pair<TableEntry, TableFeedback>> changes;
  Contents seen;
  for (const TableEntry& entry : edit.entries) {
    TableFeedback feedback = TableFeedback::kNone;
    const auto [twin, first] = seen.emplace(entry.prefix, entry.negated);
    const auto old = before.find(entry.prefix);
    const bool present = old != before.end();
    if (!first) {
      feedback = twin->second == entry.negated ? TableFeedback::kDuplicate
                                               : TableFeedback::kConflict;
    } else if (edit.command == TableCommand::kDelete) {
      if (present && old->second == entry.negated) {
        feedback = TableFeedback::kDeleted;
      }
    } else if (!present) {
      feedback = TableFeedback::kAdded;
    } else if (old->second != entry.negated) {
      feedback = edit.command == TableCommand::kReplace
                     ? TableFeedback::kChanged
                     : TableFeedback::kConflict;
    }
    changes.emplace_back(entry, feedback);
  }
  if (edit.command == TableCommand::kReplace) {
    for (const auto& [prefix, negated] : before) {
      if (seen.contains(prefix)) continue;
      changes.emplace_back(TableEntry{.prefix = prefix, .negated = negated},
                           TableFeedback::kDeleted);
    }
  }
  return changes;
}

class TableEditJob final : public BuildJob<TableEditResult> {
 public:
  TableEditJob(std::shared_ptr<FilterCore> core,
               std::shared_ptr<EntryTimes> times, TableEdit edit)
      : core_(std::move(core)),
        times_(std::move(times)),
        store_(core_->store),
        key_{.anchor = edit.anchor, .name = edit.table},
        edit_(std::move(edit)) {}

  void Build() override {
    result_ = TableEditResult();
    staged_ = StagedGeneration();
    runs_.reset();
    status_ = Stage();
  }

  bool Outdated() const override {
    return status_.ok() && !store_.IsUpToDate(staged_);
  }

  absl::StatusOr<TableEditResult> Publish() override {
    status_.Update(core_->CheckAlive());
    if (status_.ok()) status_ = store_.Publish(std::move(staged_));
    if (status_.ok() && zeroes_) status_ = ZeroTable(store_, key_);
    if (status_.ok() && runs_) times_->Set(key_, *std::move(runs_));
    if (!status_.ok()) return status_;
    return std::move(result_);
  }

 private:
  absl::Status Stage() {
    switch (edit_.command) {
      case TableCommand::kAdd:
        return Keep(
            StageAddAddresses(store_, key_, edit_.entries, edit_.dry_run));
      case TableCommand::kDelete:
        return Keep(
            StageDeleteAddresses(store_, key_, edit_.entries, edit_.dry_run));
      case TableCommand::kReplace:
        return Keep(
            StageReplaceAddresses(store_, key_, edit_.entries, edit_.dry_run));
      case TableCommand::kFlush:
        return Keep(StageFlushTable(store_, key_, edit_.dry_run));
      case TableCommand::kKill: {
        result_.tables_deleted = 1;
        if (edit_.dry_run) break;
        absl::StatusOr<StagedGeneration> staged = StageKillTable(store_, key_);
        if (absl::IsNotFound(staged.status())) {
          result_.tables_deleted = 0;
          return absl::OkStatus();
        }
        if (staged.ok()) staged_ = *std::move(staged);
        return staged.status();
      }
      case TableCommand::kExpire:
        return Expire();
      case TableCommand::kZero:
        if (!edit_.entries.empty()) return ZeroEntries();
        result_.tables_zeroed = 1;
        if (edit_.dry_run) break;
        return ZeroAll();
      case TableCommand::kReset:
        return ResetEntries();
    }
    // Only whether there is such a table.
    return PolicyListing(store_).AddressesAfter(key_, nullptr, 0).status();
  }

  absl::Status Keep(absl::StatusOr<StagedEdit> edit) {
    if (!edit.ok()) return edit.status();
    staged_ = std::move(edit->generation);
    result_.added = edit->change.added;
    result_.deleted = edit->change.deleted;
    result_.changed = edit->change.changed;
    result_.table_created = edit->change.table_created;
    if (edit_.feedback) result_.changes = FeedbackOf(edit_, edit->before);
    if (staged_.next == nullptr) return absl::OkStatus();
    std::vector<Prefix> fresh;
    for (const TableEntry& entry : edit_.entries) {
      if (edit_.command == TableCommand::kDelete) break;
      const Prefix prefix = entry.prefix.Masked();
      const std::optional<bool> old = edit->before.Find(prefix);
      const bool turned =
          edit_.command == TableCommand::kReplace && old != entry.negated;
      if (!old || turned) fresh.push_back(prefix);
    }
    const GenerationTable* const table = staged_.next->FindTable(key_);
    if (table != nullptr && !fresh.empty()) {
      runs_ = times_->With(key_, std::move(fresh), std::time(nullptr),
                           table->contents);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const GenerationTable*> Table(const Generation& generation) {
    const GenerationTable* const table = generation.FindTable(key_);
    if (table == nullptr || !table->active) {
      return PolicyListing(store_).AddressesAfter(key_, nullptr, 0).status();
    }
    return table;
  }

  absl::Status Expire() {
    const std::shared_ptr<const Generation> generation = store_.generation();
    const absl::StatusOr<const GenerationTable*> table = Table(*generation);
    if (!table.ok()) return table.status();
    const EntryTimes::Runs runs = times_->Get(key_);
    const int64_t base =
        store_.table_slots().cleared_at((*table)->handle->slot());
    const int64_t now = std::time(nullptr);
    std::vector<TableEntry> old;
    for (const TableEntry& entry : (*table)->contents.Entries()) {
      const int64_t known = EntryTimes::Find(runs, entry.prefix);
      const int64_t since = known != 0 ? known : base;
      if (now > since && static_cast<uint64_t>(now - since) > edit_.age) {
        old.push_back(entry);
      }
    }
    if (edit_.feedback) {
      for (const TableEntry& entry : old) {
        result_.changes.emplace_back(entry, TableFeedback::kDeleted);
      }
    }
    absl::StatusOr<StagedEdit> edit =
        StageDeleteAddresses(store_, key_, old, edit_.dry_run);
    if (!edit.ok()) return edit.status();
    staged_ = std::move(edit->generation);
    result_.deleted = edit->change.deleted;
    return absl::OkStatus();
  }

  // Counters of entries are zeroed here and not when the rest is published: a
  // million of them would hold the control lcore up.
  absl::Status ZeroAll() {
    const std::shared_ptr<const Generation> generation = store_.generation();
    const absl::StatusOr<const GenerationTable*> table = Table(*generation);
    if (!table.ok()) return table.status();
    if ((*table)->entries != nullptr) (*table)->entries->ZeroAll();
    zeroes_ = true;
    runs_.emplace();
    return absl::OkStatus();
  }

  absl::Status ZeroEntries() {
    const std::shared_ptr<const Generation> generation = store_.generation();
    const absl::StatusOr<const GenerationTable*> table = Table(*generation);
    if (!table.ok()) return table.status();
    std::vector<Prefix> known;
    for (const TableEntry& entry : edit_.entries) {
      const Prefix prefix = entry.prefix.Masked();
      const bool there = (*table)->contents.Find(prefix).has_value();
      if (there) known.push_back(prefix);
      if (edit_.feedback) {
        result_.changes.emplace_back(
            entry, there ? TableFeedback::kCleared : TableFeedback::kNone);
      }
    }
    return Clear(std::move(known), **table);
  }

  absl::Status ResetEntries() {
    const std::shared_ptr<const Generation> generation = store_.generation();
    const absl::StatusOr<const GenerationTable*> table = Table(*generation);
    if (!table.ok()) return table.status();
    result_.addresses = (*table)->contents.size();
    std::vector<Prefix> counted;
    if (const EntryCounters* const counters = (*table)->entries.get()) {
      for (const TableEntry& entry : (*table)->contents.Entries()) {
        if (counters->Counts(entry.prefix).IsZero()) continue;
        counted.push_back(entry.prefix);
        if (edit_.feedback) {
          result_.changes.emplace_back(entry, TableFeedback::kCleared);
        }
      }
    }
    return Clear(std::move(counted), **table);
  }

  // From now on they have counted nothing.
  absl::Status Clear(std::vector<Prefix> entries,
                     const GenerationTable& table) {
    result_.addresses_zeroed = entries.size();
    if (edit_.dry_run || entries.empty()) return absl::OkStatus();
    if (table.entries != nullptr) {
      for (const Prefix& entry : entries) table.entries->Zero(entry);
    }
    runs_ = times_->With(key_, std::move(entries), std::time(nullptr),
                         table.contents);
    return absl::OkStatus();
  }

  const std::shared_ptr<FilterCore> core_;
  const std::shared_ptr<EntryTimes> times_;
  PolicyStore& store_;
  const TableKey key_;
  const TableEdit edit_;
  absl::Status status_ = absl::InternalError("the edit was not built");
  StagedGeneration staged_;
  bool zeroes_ = false;
  std::optional<EntryTimes::Runs> runs_;  // to be the table's
  TableEditResult result_;
};

class FlushTablesJob final : public BuildJob<uint64_t> {
 public:
  FlushTablesJob(std::shared_ptr<FilterCore> core, std::string anchor,
                 bool below)
      : core_(std::move(core)),
        store_(core_->store),
        anchor_(std::move(anchor)),
        below_(below) {}

  void Build() override { kills_ = StageKillTables(store_, anchor_, below_); }

  bool Outdated() const override {
    return kills_.ok() && !store_.IsUpToDate(kills_->generation);
  }

  absl::StatusOr<uint64_t> Publish() override {
    if (!kills_.ok()) return kills_.status();
    absl::Status status = core_->CheckAlive();
    if (status.ok()) status = store_.Publish(std::move(kills_->generation));
    if (!status.ok()) return status;
    return uint64_t{kills_->killed};
  }

 private:
  const std::shared_ptr<FilterCore> core_;
  PolicyStore& store_;
  const std::string anchor_;
  const bool below_;
  absl::StatusOr<StagedKills> kills_ = absl::InternalError("not built");
};

}  // namespace

std::vector<TableListing> FilterTables::ListTables() {
  std::vector<TableListing> tables;
  for (const TableStatus& status : PolicyListing(core_->store).Tables()) {
    tables.push_back({.name = status.key.name,
                      .anchor = status.key.anchor,
                      .is_const = status.is_const,
                      .persist = status.persist,
                      .active = status.active,
                      .referenced = status.references > 0,
                      .counters = status.counters,
                      .addresses = status.addresses,
                      .rules = status.references,
                      .cleared = status.cleared_at,
                      .match = status.counts.match,
                      .no_match = status.counts.no_match,
                      .traffic = TrafficOf(status.counts)});
  }
  return tables;
}

void FilterTables::Edited(const TableKey& key, const AddressTable& before,
                          const std::vector<TableEntry>& entries) {
  const std::shared_ptr<const Generation> generation =
      core_->store.generation();
  const GenerationTable* const table = generation->FindTable(key);
  if (table == nullptr) return;
  std::vector<Prefix> fresh;
  for (const TableEntry& entry : entries) {
    const Prefix prefix = entry.prefix.Masked();
    if (!before.Find(prefix)) fresh.push_back(prefix);
  }
  times_->Set(key, times_->With(key, std::move(fresh), std::time(nullptr),
                                table->contents));
}

bool FilterTables::CountsByAddress(const std::string& table,
                                   const std::string& anchor) {
  const std::shared_ptr<const Generation> generation =
      core_->store.generation();
  const GenerationTable* const found =
      generation->FindTable({.anchor = anchor, .name = table});
  return found != nullptr && found->entries != nullptr;
}

absl::StatusOr<TableSlice> FilterTables::ListTable(const std::string& table,
                                                 const std::string& anchor,
                                                 const std::string& cursor,
                                                 size_t limit) {
  // The cursor is the entry after which the listing goes on: additions and
  // removals elsewhere neither repeat nor skip any other.
  std::optional<Prefix> last;
  if (!cursor.empty()) {
    last = ParsePrefix(cursor);
    if (!last) {
      return absl::InvalidArgumentError("not a cursor of this filter");
    }
  }
  absl::StatusOr<std::vector<TableEntry>> entries =
      PolicyListing(core_->store)
          .AddressesAfter({.anchor = anchor, .name = table},
                          last ? &*last : nullptr,
                          limit + kMostOfOneAddress);
  if (!entries.ok()) return entries.status();
  const bool more = entries->size() > limit;
  // A page ends where an address does: of one, the longest network is first.
  const auto same = [&](size_t a, size_t b) {
    return (*entries)[a].prefix.address == (*entries)[b].prefix.address;
  };
  size_t end = std::min(limit, entries->size());
  while (more && end > 0 && end < entries->size() && same(end - 1, end)) ++end;
  const std::optional<Prefix> last_shown =
      end == 0 ? std::nullopt
               : std::optional<Prefix>((*entries)[end - 1].prefix);
  const bool rest = end < entries->size();
  entries->resize(end);
  for (size_t i = 0; i < end;) {
    size_t next = i + 1;
    while (next < end && same(i, next)) ++next;
    std::reverse(entries->begin() + static_cast<std::ptrdiff_t>(i),
                 entries->begin() + static_cast<std::ptrdiff_t>(next));
    i = next;
  }
  TableSlice slice;
  const EntryTimes::Runs runs =
      times_->Get({.anchor = anchor, .name = table});
  const std::shared_ptr<const Generation> generation =
      core_->store.generation();
  const GenerationTable* const listed =
      generation->FindTable({.anchor = anchor, .name = table});
  const int64_t base =
      listed == nullptr
          ? 0
          : core_->store.table_slots().cleared_at(listed->handle->slot());
  const std::map<Prefix, uint16_t>* weights = nullptr;
  if (listed != nullptr) {
    const auto& of_tables = generation->policy->table_weights;
    const auto given = of_tables.find(listed->key);
    if (given != of_tables.end()) weights = &given->second;
  }
  for (const TableEntry& entry : *entries) {
    const int64_t known = EntryTimes::Find(runs, entry.prefix);
    TableAddressListing listing = {.entry = entry,
                                   .cleared = known != 0 ? known : base,
                                   .traffic = std::nullopt};
    if (weights != nullptr) {
      const auto given = weights->find(entry.prefix);
      if (given != weights->end()) listing.entry.weight = given->second;
    }
    if (listed != nullptr && listed->entries != nullptr) {
      listing.traffic = TrafficOf(listed->entries->Counts(entry.prefix));
    }
    slice.addresses.push_back(std::move(listing));
  }
  if (rest && last_shown) {
    slice.next = absl::StrCat(ToString(last_shown->address), "/",
                              last_shown->length);
  }
  return slice;
}

std::unique_ptr<BuildJob<TableEditResult>> FilterTables::BeginTableEdit(
    TableEdit edit) {
  return std::make_unique<TableEditJob>(core_, times_, std::move(edit));
}

std::unique_ptr<BuildJob<uint64_t>> FilterTables::BeginFlushTables(
    const std::string& anchor, bool below) {
  return std::make_unique<FlushTablesJob>(core_, anchor, below);
}

absl::StatusOr<std::vector<TableMatch>> FilterTables::TestTable(
    const std::string& table, const std::string& anchor,
    const std::vector<Address>& addresses) {
  const absl::StatusOr<std::vector<std::optional<TableEntry>>> entries =
      PolicyListing(core_->store)
          .Longest({.anchor = anchor, .name = table}, addresses);
  if (!entries.ok()) return entries.status();
  std::vector<TableMatch> matches;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const std::optional<TableEntry>& entry = (*entries)[i];
    matches.push_back({.address = addresses[i],
                       .match = entry.has_value() && !entry->negated,
                       .entry = entry.value_or(TableEntry{})});
  }
  return matches;
}

}  // namespace sluice
