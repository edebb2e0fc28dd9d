#include "conntrack/translation_directory.h"

#include <rte_pause.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace sluice {
namespace {

class Held {
 public:
  explicit Held(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) rte_pause();
  }
  ~Held() { flag_.clear(std::memory_order_release); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace

absl::Status TranslationDirectory::Build(uint32_t flows) {
  // Half full at most, in buckets of which a flow has two to choose from.
  const uint32_t count =
      std::bit_ceil(std::max<uint32_t>(flows / (kPlaces / 2), 16));
  auto memory = TableMemory::Allocate(size_t{count} * sizeof(Bucket),
                                      /*huge=*/false, /*prefault=*/false);
  if (!memory.ok()) return memory.status();
  memory_ = std::move(*memory);
  buckets_ = static_cast<Bucket*>(memory_.data());
  mask_ = count - 1;
  return absl::OkStatus();
}

std::atomic<uint64_t>* TranslationDirectory::Place(uint64_t word) const {
  for (Bucket* bucket : BucketsOf(word)) {
    for (std::atomic<uint64_t>& place : bucket->places) {
      if (((place.load(std::memory_order_acquire) ^ word) & kHashBits) == 0) {
        return &place;
      }
    }
  }
  return nullptr;
}

bool TranslationDirectory::Take(TranslatedFlow flow, uint8_t worker,
                                bool stray) {
  const uint64_t word = WordOf(flow, worker, stray);
  const Held held(LockOf(word).held);
  if (Place(word) != nullptr) return false;
  std::array<Bucket*, 2> buckets = BucketsOf(word);
  const auto room = [](const Bucket* bucket) {
    return std::count_if(bucket->places.begin(), bucket->places.end(),
                         [](const std::atomic<uint64_t>& place) {
                           return place.load(std::memory_order_relaxed) == 0;
                         });
  };
  if (room(buckets[0]) < room(buckets[1])) std::swap(buckets[0], buckets[1]);
  for (Bucket* bucket : buckets) {
    for (std::atomic<uint64_t>& place : bucket->places) {
      uint64_t expected = 0;
      if (place.load(std::memory_order_relaxed) == 0 &&
          place.compare_exchange_strong(expected, word,
                                        std::memory_order_release,
                                        std::memory_order_relaxed)) {
        size_.fetch_add(1, std::memory_order_relaxed);
        if (stray) strays_.fetch_add(1, std::memory_order_relaxed);
        return true;
      }
    }
  }
  return false;
}

void TranslationDirectory::GiveBack(TranslatedFlow flow) {
  const uint64_t word = WordOf(flow, 0, false);
  const Held held(LockOf(word).held);
  std::atomic<uint64_t>* place = Place(word);
  if (place == nullptr) return;
  const uint64_t old = place->exchange(0, std::memory_order_release);
  size_.fetch_sub(1, std::memory_order_relaxed);
  if ((old & kStray) != 0) strays_.fetch_sub(1, std::memory_order_relaxed);
}

int TranslationDirectory::Find(TranslatedFlow flow) const {
  if (buckets_ == nullptr) return kNobody;
  const std::atomic<uint64_t>* place = Place(WordOf(flow, 0, false));
  if (place == nullptr) return kNobody;
  const uint64_t word = place->load(std::memory_order_acquire);
  // It may have gone meanwhile, or gone to another flow.
  if (((word ^ WordOf(flow, 0, false)) & kHashBits) != 0) return kNobody;
  return static_cast<int>(word & 0xff);
}

}  // namespace sluice
