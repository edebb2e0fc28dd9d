#include "pftable/compile/policy_pool.h"

#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

uint64_t HashOf(const Anchor& anchor) {
  uint64_t hash = std::hash<std::string_view>()(anchor.name);
  hash = CombineHash(hash, anchor.rules.filter.size());
  for (const TableDefinition& table : anchor.tables) {
    hash = CombineHash(hash, std::hash<std::string_view>()(table.name));
    hash = CombineHash(hash, table.entries.size());
  }
  for (const Anchor& child : anchor.children) {
    hash = CombineHash(hash, HashOf(child));
  }
  return hash;
}

// Equal policies have equal ones; unequal ones are compared.
uint64_t HashOf(const Policy& policy) {
  uint64_t hash = HashOf(policy.main);
  if (policy.texts != nullptr) {
    for (const std::string& text : *policy.texts) {
      hash = CombineHash(hash, std::hash<std::string_view>()(text));
    }
  }
  for (const Options::Given& given : policy.options.given) {
    hash = CombineHash(hash, std::hash<std::string_view>()(given.text));
  }
  return hash;
}

bool SameTexts(const Policy& a, const Policy& b) {
  if (a.texts == b.texts) return true;
  return a.texts != nullptr && b.texts != nullptr && *a.texts == *b.texts;
}

bool Same(const Policy& a, const Policy& b) {
  return SameTexts(a, b) && a.files == b.files && a.options == b.options &&
         a.foreign == b.foreign && a.macros == b.macros && a.main == b.main;
}

bool HasEntries(const AddressTable& table,
                std::span<const TableEntry> entries) {
  for (const TableEntry& entry : entries) {
    if (table.Find(entry.prefix.Masked()) != entry.negated) return false;
  }
  return true;
}

}  // namespace

namespace internal {

// By hash, what somebody holds.
template <typename T>
class Shelf {
 public:
  using Held = std::shared_ptr<const T>;

  // To be dropped without the lock, because the last to go takes it.
  std::vector<Held> WithHash(uint64_t hash) const {
    std::vector<Held> found;
    const std::lock_guard lock(mutex_);
    const auto [begin, end] = items_.equal_range(hash);
    for (auto i = begin; i != end; ++i) {
      if (Held held = i->second.lock()) found.push_back(std::move(held));
    }
    return found;
  }
  void Put(uint64_t hash, const Held& held) {
    const std::lock_guard lock(mutex_);
    items_.emplace(hash, held);
  }
  // One with that hash has gone.
  void Sweep(uint64_t hash) noexcept {
    const std::lock_guard lock(mutex_);
    auto [i, end] = items_.equal_range(hash);
    while (i != end) i = i->second.expired() ? items_.erase(i) : std::next(i);
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_multimap<uint64_t, std::weak_ptr<const T>> items_;
};

}  // namespace internal

struct PolicyPool::Shelves {
  // One after another, or two equal ones could be put side by side. Nothing
  // that a destructor takes.
  std::mutex sharing;
  internal::Shelf<Policy> policies;
  internal::Shelf<AddressTable> tables;

  // Puts it there; the last to let go of it takes it off.
  template <typename T>
  static std::shared_ptr<const T> Keep(std::shared_ptr<Shelves> shelves,
                                       internal::Shelf<T> Shelves::*shelf,
                                       uint64_t hash, T value) {
    auto made = std::make_unique<const T>(std::move(value));
    // Frees it too if the count itself cannot be made.
    std::shared_ptr<const T> held(
        made.release(), [shelves, shelf, hash](const T* gone) {
          delete gone;
          (*shelves.*shelf).Sweep(hash);
        });
    (*shelves.*shelf).Put(hash, held);
    return held;
  }
};

PolicyPool::PolicyPool() : shelves_(std::make_shared<Shelves>()) {}
PolicyPool::~PolicyPool() = default;

std::shared_ptr<const Policy> PolicyPool::Share(Policy policy) {
  const uint64_t hash = HashOf(policy);
  const std::lock_guard lock(shelves_->sharing);
  for (const auto& held : shelves_->policies.WithHash(hash)) {
    if (Same(*held, policy)) return held;
  }
  return Shelves::Keep(shelves_, &Shelves::policies, hash, std::move(policy));
}

AddressTable PolicyPool::Share(AddressTable table) {
  if (table.size() < kLeastEntries) return table;
  const uint64_t hash = table.hash();
  const std::lock_guard lock(shelves_->sharing);
  for (const auto& held : shelves_->tables.WithHash(hash)) {
    if (*held == table) return AddressTable::Shared(held);
  }
  return AddressTable::Shared(Shelves::Keep(shelves_, &Shelves::tables, hash,
                                            std::move(table)));
}

AddressTable PolicyPool::Build(std::span<const TableEntry> entries) {
  if (entries.size() >= kLeastEntries) {
    // What it would be if no prefix came twice; otherwise nothing is found, or
    // nothing that has them.
    uint64_t hash = 0;
    for (const TableEntry& entry : entries) {
      hash += AddressTable::HashOf(entry.prefix.Masked(), entry.negated);
    }
    const std::lock_guard lock(shelves_->sharing);
    for (const auto& held : shelves_->tables.WithHash(hash)) {
      if (held->size() == entries.size() && HasEntries(*held, entries)) {
        return AddressTable::Shared(held);
      }
    }
  }
  return Share(BuildTable(entries));
}

size_t PolicyPool::policies() const { return shelves_->policies.size(); }
size_t PolicyPool::tables() const { return shelves_->tables.size(); }

AddressTable BuildTable(std::span<const TableEntry> entries) {
  std::vector<AddressTable::Edit> edits;
  edits.reserve(entries.size());
  for (const TableEntry& entry : entries) {
    edits.push_back({.prefix = entry.prefix.Masked(),
                     .negated = entry.negated,
                     .erase = false});
  }
  return AddressTable().With(edits);
}

}  // namespace sluice
