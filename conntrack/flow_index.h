// From a key's hash to the slots that may have the key.
//
// An array of buckets of one cache line: eight tags of 16 bits, compared at
// once, and the slots beside them. A full bucket chains to buckets of a pool
// that is sized with the array. A chain is kept dense, so that only a full
// bucket has a successor.
#ifndef SLUICE_CONNTRACK_FLOW_INDEX_H_
#define SLUICE_CONNTRACK_FLOW_INDEX_H_

#include <emmintrin.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "conntrack/flow_key.h"
#include "conntrack/memory.h"

namespace sluice {

class FlowIndex {
 public:
  static constexpr uint32_t kPlaces = 8;
  static constexpr uint32_t kNone = 0xffffffff;

  // A tag of zero is a free place; the tag of a hash never is. The top bit of
  // a slot is kept for the second key of translated flows.
  struct alignas(64) Bucket {
    std::array<uint16_t, kPlaces> tags;
    std::array<uint32_t, kPlaces> slots;
    uint32_t next;  // number of the next bucket of the chain; 0: none
    std::array<uint32_t, 3> reserved;
  };
  static_assert(sizeof(Bucket) == 64);

  // Bytes that Build() takes for `keys`, before it rounds to whole pages.
  static size_t BytesFor(uint32_t keys);
  // Room for `keys` keys, of which a few may be refused when the hash puts
  // very many into few buckets.
  absl::Status Build(uint32_t keys, bool huge_pages, bool prefault);

  static uint16_t TagOf(const FlowHash& hash) {
    return static_cast<uint16_t>(0x8000 | (hash.order ? 0x4000 : 0) |
                                 hash.value >> 50);
  }
  const Bucket* BucketOf(const FlowHash& hash) const {
    return &buckets_[hash.value & mask_];
  }

  // Bit i is set if place i has the tag.
  static uint32_t Match(const Bucket& bucket, uint16_t tag) {
    const __m128i tags =
        _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags.data()));
    const __m128i equal =
        _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<int16_t>(tag)));
    return static_cast<uint32_t>(
        _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
  }

  // The first slot with that tag for which same(slot) holds, or kNone.
  template <typename Same>
  uint32_t Find(const Bucket* bucket, uint16_t tag, Same&& same) const {
    while (true) {
      for (uint32_t m = Match(*bucket, tag); m != 0; m &= m - 1) {
        const uint32_t slot = bucket->slots[std::countr_zero(m)];
        if (same(slot)) return slot;
      }
      if (bucket->next == 0) return kNone;
      bucket = &buckets_[bucket->next];
    }
  }

  // False: the bucket is full and the pool is empty.
  bool Insert(const FlowHash& hash, uint32_t slot);
  // The slot is there with that hash.
  void Remove(const FlowHash& hash, uint32_t slot);

  size_t memory() const { return memory_.size(); }

 private:
  Bucket* buckets_ = nullptr;
  uint64_t mask_ = 0;
  uint32_t free_ = 0;   // list of pool buckets that came back, by `next`
  uint32_t fresh_ = 0;  // pool buckets from here to end_ were never used
  uint32_t end_ = 0;
  TableMemory memory_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FLOW_INDEX_H_
