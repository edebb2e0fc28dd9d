#include "pftable/compile/policy_pool.h"

#include <algorithm>
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
         a.foreign == b.foreign && a.left_out == b.left_out && a.macros == b.macros &&
         a.fingerprints == b.fingerprints && a.main == b.main;
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
  // Puts it there if all others with that hash are `known`; otherwise returns
  // those that are not.
  std::vector<Held> Put(uint64_t hash, const Held& held,
                        const std::vector<Held>& known) {
    std::vector<Held> others;
    const std::lock_guard lock(mutex_);
    const auto [begin, end] = items_.equal_range(hash);
    for (auto i = begin; i != end; ++i) {
      Held other = i->second.lock();
      if (other != nullptr && std::ranges::find(known, other) == known.end()) {
        others.push_back(std::move(other));
      }
    }
    if (others.empty()) items_.emplace(hash, held);
    return others;
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

// What is compared may be large, and nobody waits for it: a shelf's lock is held
// for as long as it takes to look a hash up.
struct PolicyPool::Shelves {
  // Weak, so that neither is held; the policy too, because another may come to
  // lie where it was.
  struct KeptClassifier {
    std::weak_ptr<const Policy> policy;
    uint64_t interface_version;
    std::weak_ptr<const Classifier> classifier;
  };
  mutable std::mutex classifier_mutex;
  std::vector<KeptClassifier> classifiers;  // one for each policy at most

  internal::Shelf<Policy> policies;
  internal::Shelf<AddressTable> tables;
  internal::Shelf<TableIndex> indexes;

  // The one on the shelf that is the `same`, or this one, put there; the last
  // to let go of it takes it off.
  template <typename T, typename Same>
  static std::shared_ptr<const T> Keep(std::shared_ptr<Shelves> shelves,
                                       internal::Shelf<T> Shelves::*shelf,
                                       uint64_t hash, T value, Same same) {
    auto made = std::make_unique<const T>(std::move(value));
    // Frees it too if the count itself cannot be made.
    std::shared_ptr<const T> held(
        made.release(), [shelves, shelf, hash](const T* gone) {
          delete gone;
          (*shelves.*shelf).Sweep(hash);
        });
    return PutHeld(shelves, shelf, hash, std::move(held), same);
  }
  template <typename T, typename Same>
  static std::shared_ptr<const T> PutHeld(
      const std::shared_ptr<Shelves>& shelves,
      internal::Shelf<T> Shelves::*shelf, uint64_t hash,
      std::shared_ptr<const T> held, Same same) {
    std::vector<std::shared_ptr<const T>> known;
    std::vector<std::shared_ptr<const T>> others =
        (*shelves.*shelf).WithHash(hash);
    // Equal ones may be put there while these are compared: the next round
    // finds them.
    do {
      for (const auto& other : others) {
        if (same(*other, *held)) return other;
      }
      known.insert(known.end(), others.begin(), others.end());
      others = (*shelves.*shelf).Put(hash, held, known);
    } while (!others.empty());
    return held;
  }
};

PolicyPool::PolicyPool() : shelves_(std::make_shared<Shelves>()) {}
// What it remembers of policies would keep the shelves, which their deleters
// hold, for ever.
PolicyPool::~PolicyPool() {
  const std::lock_guard lock(shelves_->classifier_mutex);
  shelves_->classifiers.clear();
}

std::shared_ptr<const Policy> PolicyPool::Share(Policy policy) {
  const uint64_t hash = HashOf(policy);
  return Shelves::Keep(shelves_, &Shelves::policies, hash, std::move(policy),
                       Same);
}

AddressTable PolicyPool::Share(AddressTable table) {
  if (table.size() < kLeastEntries) return table;
  const uint64_t hash = table.hash();
  return AddressTable::Shared(
      Shelves::Keep(shelves_, &Shelves::tables, hash, std::move(table),
                    std::equal_to<AddressTable>()));
}

AddressTable PolicyPool::Build(std::span<const TableEntry> entries) {
  if (entries.size() >= kLeastEntries) {
    // What it would be if no prefix came twice; otherwise nothing is found, or
    // nothing that has them.
    uint64_t hash = 0;
    for (const TableEntry& entry : entries) {
      hash += AddressTable::HashOf(entry.prefix.Masked(), entry.negated);
    }
    for (const auto& held : shelves_->tables.WithHash(hash)) {
      if (held->size() == entries.size() && HasEntries(*held, entries)) {
        return AddressTable::Shared(held);
      }
    }
  }
  return Share(BuildTable(entries));
}

std::shared_ptr<const Classifier> PolicyPool::Share(
    const std::shared_ptr<const Policy>& policy, uint64_t interface_version,
    const std::function<std::shared_ptr<const Classifier>()>& make) {
  const auto fits = [&](const Shelves::KeptClassifier& kept) {
    return kept.interface_version == interface_version &&
           kept.policy.lock() == policy;
  };
  {
    const std::lock_guard lock(shelves_->classifier_mutex);
    for (const auto& kept : shelves_->classifiers) {
      if (!fits(kept)) continue;
      if (auto held = kept.classifier.lock()) return held;
    }
  }
  // Two that build it at the same time are as good as one.
  std::shared_ptr<const Classifier> made = make();
  const std::lock_guard lock(shelves_->classifier_mutex);
  std::erase_if(shelves_->classifiers, [&](const auto& kept) {
    return kept.classifier.expired() || fits(kept);
  });
  shelves_->classifiers.push_back({policy, interface_version, made});
  return made;
}

std::shared_ptr<const TableIndex> PolicyPool::Index(
    const std::vector<AddressTable>& tables) {
  uint64_t hash = tables.size();
  for (const AddressTable& table : tables) {
    hash = CombineHash(hash, table.hash());
  }
  for (const auto& held : shelves_->indexes.WithHash(hash)) {
    if (held->tables() == tables) return held;
  }
  std::shared_ptr<const TableIndex> made = TableIndex::Build(tables);
  const TableIndex* const index = made.get();
  // The last to let go of it takes it off the shelf.
  std::shared_ptr<const TableIndex> held(
      index, [shelves = shelves_, hash,
              made = std::move(made)](const TableIndex*) mutable {
        made = nullptr;
        shelves->indexes.Sweep(hash);
      });
  return Shelves::PutHeld(
      shelves_, &Shelves::indexes, hash, std::move(held),
      [](const TableIndex& a, const TableIndex& b) {
        return a.tables() == b.tables();
      });
}

size_t PolicyPool::indexes() const { return shelves_->indexes.size(); }

size_t PolicyPool::classifiers() const {
  const std::lock_guard lock(shelves_->classifier_mutex);
  return static_cast<size_t>(
      std::count_if(shelves_->classifiers.begin(), shelves_->classifiers.end(),
                    [](const auto& kept) { return !kept.classifier.expired(); }));
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
