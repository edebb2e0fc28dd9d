#include "pftable/engine/generation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

// The tables of a generation in the making, by key.
class TableMerge {
 public:
  TableMerge(const CompiledPolicy& compiled, const Generation* base)
      : compiled_(compiled) {
    if (base == nullptr) return;
    for (const GenerationTable& table : base->table_states) {
      if (table.active) tables_[table.key] = table;
    }
    for (const auto& [key, table] : tables_) {
      entries_ += table.contents.size();
    }
  }

  void Run() {
    for (const CompiledPolicy::DefinedTable& defined :
         compiled_.defined_tables) {
      if (defined.in_force) continue;
      GenerationTable& table = tables_[defined.key];
      table.key = defined.key;
      table.active = true;
      table.persist = defined.persist;
      table.is_const = defined.is_const;
      table.counters = defined.counters;
      // Equal contents stay where they are, so that loading a text twice
      // costs no more than once.
      const bool differs = table.contents != defined.contents;
      if (defined.has_contents && differs) {
        entries_ += defined.contents.size();
      }
      const bool begins_to_count = table.counters && table.entries == nullptr;
      if (defined.has_contents && (differs || begins_to_count)) {
        table.contents = defined.contents;
        if (table.counters && table.entries == defined.counted_before) {
          table.entries = defined.counted;
        }
      }
    }
    for (const TableKey& key : compiled_.referenced_tables) {
      tables_[key].key = key;
    }
    for (auto& [key, table] : tables_) {
      table.references = CountReferences(compiled_, key);
    }
    std::erase_if(tables_, [](const auto& item) {
      return item.second.references == 0 && !item.second.persist;
    });
  }

  std::map<TableKey, GenerationTable>& tables() { return tables_; }
  // Of the tables that were, and of those that replace some.
  uint64_t entries() const { return entries_; }

 private:
  const CompiledPolicy& compiled_;
  std::map<TableKey, GenerationTable> tables_;
  uint64_t entries_ = 0;
};

uint64_t HashTable(const GenerationTable& table) {
  uint64_t hash = CombineHash(HashText(table.key.anchor),
                              HashText(table.key.name));
  hash = CombineHash(hash, uint64_t{table.active} | table.persist << 1 |
                               table.is_const << 2 | table.counters << 3);
  return CombineHash(hash, table.contents.hash());
}

}  // namespace

const TableView* Generation::TableOfSlot(uint16_t slot) const {
  size_t low = 0;
  size_t high = tables_by_slot.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (tables_by_slot[middle].slot < slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == tables_by_slot.size() || tables_by_slot[low].slot != slot) {
    return nullptr;
  }
  return &tables_by_slot[low];
}

const GenerationTable* Generation::FindTable(const TableKey& key) const {
  for (const GenerationTable& table : table_states) {
    if (table.key == key) return &table;
  }
  return nullptr;
}

const GenerationTable* Generation::Resolve(size_t referenced) const {
  const GenerationTable* table = &table_states[referenced];
  if (!table->active && !table->key.anchor.empty()) {
    table = FindTable({.anchor = "", .name = table->key.name});
  }
  return table != nullptr && table->active ? table : nullptr;
}

uint32_t CountReferences(const CompiledPolicy& compiled,
                         const TableKey& key) {
  uint32_t references = 0;
  for (size_t i = 0; i < compiled.referenced_tables.size(); ++i) {
    const TableKey& referenced = compiled.referenced_tables[i];
    if (referenced.name == key.name &&
        (key.anchor.empty() || referenced.anchor == key.anchor)) {
      references += compiled.table_references[i];
    }
  }
  return references;
}

absl::StatusOr<std::unique_ptr<Generation>> MakeGeneration(
    std::shared_ptr<const CompiledPolicy> compiled, const Generation* base,
    TableSlots& table_slots, const InterfaceRegistry& interfaces,
    bool comes_back) {
  TableMerge merge(*compiled, base);
  merge.Run();
  const EngineOptions& options = compiled->options;
  if (merge.tables().size() > options.limit(Limit::kTables)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        merge.tables().size(), " tables, those that stay included; limit ",
        options.limit(Limit::kTables), " (set limit tables)"));
  }
  if (!comes_back &&
      merge.entries() > options.limit(Limit::kTableEntries)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        merge.entries(), " addresses in tables, old and new together; limit ",
        options.limit(Limit::kTableEntries), " (set limit table-entries)"));
  }

  auto generation = std::make_unique<Generation>();
  generation->policy = std::move(compiled);
  TakeAddresses(*generation, interfaces);
  generation->number = base != nullptr ? base->number + 1 : 1;
  if (base != nullptr) generation->index = base->index;
  for (auto& [key, table] : merge.tables()) {
    if (table.handle == nullptr) {
      absl::StatusOr<TableHandlePtr> handle =
          table_slots.Acquire(key);
      if (!handle.ok()) return handle.status();
      table.handle = *std::move(handle);
    }
    generation->table_states.push_back(std::move(table));
  }
  FinishGeneration(*generation);
  return generation;
}

void TakeAddresses(Generation& generation,
                   const InterfaceRegistry& interfaces) {
  // Before they are read, so that what changes meanwhile is known to be newer.
  generation.address_version = interfaces.address_version();
  generation.addresses =
      Resolve(generation.policy->dynamic_addresses, interfaces);
}

namespace {

// What a table gives out: its entries without what negated ones take away.
bool IsLinkLocal(const Address& address) {
  return address.family == Family::kIpv6 && address.bytes[0] == 0xfe &&
         (address.bytes[1] & 0xc0) == 0x80;
}

// Of each entry what no longer entry says otherwise of: that one gives its own
// addresses out, or, negated, none.
void AddTable(const GenerationTable& table, const CompiledPool& pool,
              const CompiledPolicy& policy, PoolSpaces& spaces) {
  const auto weights = policy.table_weights.find(table.key);
  const std::vector<TableEntry> entries = table.contents.Entries();
  std::vector<Prefix> holes;
  for (size_t i = 0; i < entries.size(); ++i) {
    const TableEntry& entry = entries[i];
    if (entry.negated || (pool.family != Family::kNone &&
                          entry.prefix.address.family != pool.family)) {
      continue;
    }
    uint16_t weight = 1;
    if (weights != policy.table_weights.end()) {
      const auto given = weights->second.find(entry.prefix);
      if (given != weights->second.end()) weight = given->second;
    }
    // They follow it, each before those within itself.
    holes.clear();
    for (size_t k = i + 1; k < entries.size() &&
                           entry.prefix.Contains(entries[k].prefix.address);
         ++k) {
      const Prefix& inner = entries[k].prefix;
      if (holes.empty() || !holes.back().Contains(inner.address)) {
        holes.push_back(inner);
      }
    }
    spaces.Of(entry.prefix.address.family)
        .AddAround(entry.prefix, holes, weight);
  }
}

PoolSpaces SpacesOf(const CompiledPool& pool, const Generation& generation) {
  using Kind = AddressCondition::Kind;
  PoolSpaces spaces;
  const CompiledPolicy& policy = *generation.policy;
  for (const CompiledPool::Member& member : pool.members) {
    const AddressCondition& address = member.address;
    const size_t first4 = spaces.v4.blocks.size();
    const size_t first6 = spaces.v6.blocks.size();
    PoolSpace& space = spaces.Of(member.family);
    switch (address.kind) {
      case Kind::kPrefix: {
        const Address mask =
            Address::FromBytes(member.family, address.second.data());
        uint8_t length = 0;
        while (length < AddressBits(member.family) && mask.bit(length)) {
          ++length;
        }
        space.Add({.address = Address::FromBytes(member.family,
                                                 address.first.data()),
                   .length = length},
                  member.weight);
        break;
      }
      case Kind::kRange:
        space.Add(Address::FromBytes(member.family, address.first.data()),
                  Address::FromBytes(member.family, address.second.data()),
                  member.weight);
        break;
      case Kind::kList: {
        for (const Prefix& prefix : generation.addresses[address.index]) {
          // An interface's own on its link is nobody's beyond that.
          if (IsLinkLocal(prefix.address)) continue;
          if (pool.family == Family::kNone ||
              prefix.address.family == pool.family) {
            spaces.Of(prefix.address.family).Add(prefix, member.weight);
          }
        }
        break;
      }
      case Kind::kTable: {
        const TableKey& key = policy.referenced_tables[address.index];
        const GenerationTable* table = generation.FindTable(key);
        if (table != nullptr && !table->active && !key.anchor.empty()) {
          table = generation.FindTable({.anchor = "", .name = key.name});
        }
        if (table != nullptr && table->active) {
          AddTable(*table, pool, policy, spaces);
        }
        break;
      }
      case Kind::kAny:
        if (!member.by_interface) break;
        spaces.v4.AddNone();
        spaces.v6.AddNone();
        break;
      case Kind::kNever:
      case Kind::kNoRoute:
      case Kind::kUrpfFailed:
        break;
    }
    if (!member.by_interface) continue;
    spaces.v4.LeadTo(first4, member.interface);
    spaces.v6.LeadTo(first6, member.interface);
  }
  spaces.v4.Finish(pool.sticky_address);
  spaces.v6.Finish(pool.sticky_address);
  return spaces;
}

}  // namespace

namespace {

TableView ViewOf(const GenerationTable& table) {
  return {.addresses = table.contents.view(),
          .slot = table.handle->slot(),
          .bit = TableIndex::kNoBit,
          .entries = table.entries.get()};
}

}  // namespace

void FinishGeneration(Generation& generation) {
  const std::vector<TableKey>& referenced =
      generation.policy->referenced_tables;
  std::map<TableKey, size_t> order;
  for (size_t i = 0; i < referenced.size(); ++i) order[referenced[i]] = i;
  auto rank = [&](const GenerationTable& table) {
    const auto known = order.find(table.key);
    return known != order.end() ? known->second : referenced.size();
  };
  std::vector<GenerationTable>& states = generation.table_states;
  std::sort(states.begin(), states.end(),
            [&](const GenerationTable& a, const GenerationTable& b) {
              const size_t rank_a = rank(a);
              const size_t rank_b = rank(b);
              return rank_a != rank_b ? rank_a < rank_b : a.key < b.key;
            });

  generation.tables_by_slot.clear();
  for (GenerationTable& table : states) {
    if (!table.active || !table.counters) {
      table.entries = nullptr;
    } else if (table.entries == nullptr ||
               !table.entries->Fits(table.contents)) {
      table.entries = EntryCounters::Make(
          table.contents, table.handle->workers(), table.entries.get());
    }
    if (table.active) {
      generation.tables_by_slot.push_back(ViewOf(table));
    }
  }
  std::sort(generation.tables_by_slot.begin(),
            generation.tables_by_slot.end(),
            [](const TableView& a, const TableView& b) {
              return a.slot < b.slot;
            });

  generation.tables.assign(referenced.size(), TableView());
  for (size_t i = 0; i < referenced.size(); ++i) {
    const GenerationTable* const table = generation.Resolve(i);
    if (table != nullptr) generation.tables[i] = ViewOf(*table);
  }
  BindIndex(generation);

  generation.pools.clear();
  for (const CompiledPool& pool : generation.policy->pools) {
    generation.pools.push_back(SpacesOf(pool, generation));
  }

  uint64_t hash = generation.policy->hash;
  for (const GenerationTable& table : states) hash += HashTable(table);
  generation.hash = MixBits(hash);
}

void BindRecords(const Generation& generation, const Generation* before,
                 RuleSlots& rule_slots) {
  const auto same_slot = [](const TableView& a, const TableView& b) {
    return a.slot == b.slot;
  };
  // An edit of a table leaves them as they are, however many rules there are.
  if (before != nullptr && before->policy == generation.policy &&
      std::equal(before->tables.begin(), before->tables.end(),
                 generation.tables.begin(), generation.tables.end(),
                 same_slot)) {
    return;
  }
  if (generation.tables.empty()) return;
  // Without memory: it must not fail halfway.
  const auto main_table = [&](const std::string& name) {
    for (const GenerationTable& table : generation.table_states) {
      if (table.key.anchor.empty() && table.key.name == name) return &table;
    }
    return static_cast<const GenerationTable*>(nullptr);
  };
  auto handle_of = [&](const AddressCondition& condition) -> TableHandlePtr {
    if (condition.kind != AddressCondition::Kind::kTable) return nullptr;
    const uint16_t slot = generation.tables[condition.index].slot;
    if (slot == kNoTableSlot) return nullptr;
    const GenerationTable* table = &generation.table_states[condition.index];
    if (table->handle->slot() != slot) table = main_table(table->key.name);
    return table->handle;
  };
  for (const CompiledRule& rule : generation.policy->rules) {
    if (rule.source.kind == AddressCondition::Kind::kTable ||
        rule.destination.kind == AddressCondition::Kind::kTable) {
      rule_slots.BindTables(rule.slot, handle_of(rule.source),
                            handle_of(rule.destination),
                            rule.source.negated, rule.destination.negated);
    }
  }
}

}  // namespace sluice
