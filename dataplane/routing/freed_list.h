// What the writer has taken out of the tables and nobody may use again before
// all workers have come by. It is collected and given to Options::retire in
// batches, one at a time, however many routes change meanwhile.
#ifndef SLUICE_DATAPLANE_ROUTING_FREED_LIST_H_
#define SLUICE_DATAPLANE_ROUTING_FREED_LIST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace sluice {

enum class FreedKind : uint8_t {
  kNode4,
  kNode6,
  kTarget,
  kHopSet,
  kCell,
  kPortAddresses,
};

class FreedList {
 public:
  using Retire = std::function<void(std::function<void()>)>;
  // `number` is a place of that kind, or a pointer.
  struct Item {
    FreedKind kind{};
    uint64_t number = 0;
  };

  explicit FreedList(Retire retire) : retire_(std::move(retire)) {}

  // Room for so many Add(), which then do not throw. Throws std::bad_alloc.
  void Reserve(size_t count) {
    if (pending_.capacity() - pending_.size() < count) {
      pending_.reserve(2 * pending_.size() + count);
    }
  }
  void Add(FreedKind kind, uint64_t number) {
    pending_.push_back({.kind = kind, .number = number});
  }
  // Frees what may be freed by now, and sends what was added.
  template <typename Free>
  void Flush(Free&& free) {
    if (passed_ != nullptr) {
      // Set wherever `retire` calls back; the workers' last reads come before.
      if (!passed_->load(std::memory_order_acquire)) return;
      passed_ = nullptr;
      FreeAll(sent_, free);
    }
    if (pending_.empty()) return;
    if (retire_ == nullptr) {
      FreeAll(pending_, free);
      return;
    }
    try {
      auto passed = std::make_shared<std::atomic<bool>>(false);
      retire_([passed] { passed->store(true, std::memory_order_release); });
      passed_ = std::move(passed);
    } catch (const std::bad_alloc&) {
      return;  // it waits for the next time
    }
    std::swap(sent_, pending_);
  }
  // When nobody reads any more.
  template <typename Free>
  void FreeEverything(Free&& free) {
    FreeAll(sent_, free);
    FreeAll(pending_, free);
  }
  size_t memory() const {
    return (sent_.capacity() + pending_.capacity()) * sizeof(Item);
  }

 private:
  template <typename Free>
  static void FreeAll(std::vector<Item>& items, Free& free) {
    for (const Item& item : items) free(item);
    items.clear();
  }

  const Retire retire_;
  std::vector<Item> sent_, pending_;
  std::shared_ptr<std::atomic<bool>> passed_;  // of sent_; null: none is out
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_FREED_LIST_H_
