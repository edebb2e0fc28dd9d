// What a filter's policy does, said as simply as possible: the model that the
// policy store is compared with.
#ifndef SLUICE_TESTS_PROPERTY_POLICY_STORE_MODEL_H_
#define SLUICE_TESTS_PROPERTY_POLICY_STORE_MODEL_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "pftable/engine/table_slots.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct ModelTable {
  bool active = false;
  bool persist = false;
  bool is_const = false;
  std::map<Prefix, bool> entries;  // to "negated"

  bool Contains(const Address& address) const {
    int best = -1;
    bool found = false;
    for (const auto& [prefix, negated] : entries) {
      if (prefix.length > best && prefix.Contains(address)) {
        best = prefix.length;
        found = !negated;
      }
    }
    return active && found;
  }
  friend bool operator==(const ModelTable&, const ModelTable&) = default;
};

class PolicyModel {
 public:
  using Tables = std::map<TableKey, ModelTable>;
  // The tables that rules name, each as often as they do.
  using References = std::multiset<TableKey>;

  const Tables& tables() const { return tables_; }
  Tables& tables() { return tables_; }
  const References& references() const { return references_; }

  size_t CountReferences(const TableKey& key) const {
    size_t count = 0;
    for (const TableKey& named : references_) {
      count += named == key ||
               (key.anchor.empty() && named.name == key.name);
    }
    return count;
  }

  static References ReferencesOf(const Policy& policy) {
    References references;
    auto collect = [&](const Anchor& anchor, const std::string& path) {
      for (const Rule& rule : anchor.rules.filter) {
        for (const Endpoint* end : {&rule.source, &rule.destination}) {
          if (end->address.kind == AddressKind::kTable) {
            references.insert({.anchor = path, .name = end->address.name});
          }
        }
      }
    };
    collect(policy.main, "");
    for (const Anchor& child : policy.main.children) {
      collect(child, child.name);
    }
    return references;
  }

  // The tables after a commit of `policy`, of which nothing is in force yet,
  // and how many entries old and new ones have together.
  Tables After(const Policy& policy, uint64_t* entries) const {
    PolicyModel next;
    next.references_ = ReferencesOf(policy);
    *entries = 0;
    for (const auto& [key, table] : tables_) {
      if (!table.active) continue;
      next.tables_[key] = table;
      *entries += table.entries.size();
    }
    auto define = [&](const Anchor& anchor, const std::string& path) {
      for (const TableDefinition& definition : anchor.tables) {
        ModelTable& table =
            next.tables_[{.anchor = path, .name = definition.name}];
        table.active = true;
        table.persist = definition.persist;
        table.is_const = definition.is_const;
        if (!definition.has_contents) continue;
        std::map<Prefix, bool> fresh;
        for (const TableEntry& entry : definition.entries) {
          fresh[entry.prefix] = entry.negated;
        }
        if (fresh != table.entries) *entries += fresh.size();
        table.entries = std::move(fresh);
      }
    };
    define(policy.main, "");
    for (const Anchor& child : policy.main.children) {
      define(child, child.name);
    }
    for (const TableKey& named : next.references_) next.tables_[named];
    next.DropUnused();
    return next.tables_;
  }

  void Commit(const Policy& policy, Tables tables) {
    references_ = ReferencesOf(policy);
    tables_ = std::move(tables);
  }

  // A table lives while it is named or persists.
  void DropUnused() {
    std::erase_if(tables_, [this](const auto& item) {
      return CountReferences(item.first) == 0 && !item.second.persist;
    });
    // Nothing stands for a table of the main anchor that only an anchor's
    // rule would fall back to.
    std::erase_if(tables_, [this](const auto& item) {
      return !item.second.active && !references_.contains(item.first);
    });
  }

  // What a rule in `anchor` finds under the name.
  const ModelTable* Resolve(const TableKey& key) const {
    const auto own = tables_.find(key);
    if (own != tables_.end() && own->second.active) return &own->second;
    const auto main = tables_.find({.anchor = "", .name = key.name});
    return main != tables_.end() && main->second.active ? &main->second
                                                        : nullptr;
  }

  uint64_t EntryCount() const {
    uint64_t count = 0;
    for (const auto& [key, table] : tables_) count += table.entries.size();
    return count;
  }

 private:
  Tables tables_;
  References references_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_PROPERTY_POLICY_STORE_MODEL_H_
