#include "conntrack/flow_index.h"

#include <algorithm>
#include <utility>

namespace sluice {

namespace {

// Between two and four keys a bucket when full. Both judges' states of one
// packet share a bucket, so the spread is that of one to two pairs; the pool
// takes what the tail of that leaves over.
uint32_t HomeBuckets(uint32_t keys) {
  return std::bit_ceil(std::max(keys / 4, uint32_t{16}));
}
size_t AllBuckets(uint32_t keys) {
  return size_t{HomeBuckets(keys)} + HomeBuckets(keys) / 2;
}

}  // namespace

size_t FlowIndex::BytesFor(uint32_t keys) {
  return AllBuckets(keys) * sizeof(Bucket);
}

absl::Status FlowIndex::Build(uint32_t keys, bool huge_pages, bool prefault) {
  const uint32_t home = HomeBuckets(keys);
  const size_t count = AllBuckets(keys);
  auto memory = TableMemory::Allocate(BytesFor(keys), huge_pages, prefault);
  if (!memory.ok()) return memory.status();
  memory_ = std::move(*memory);
  buckets_ = static_cast<Bucket*>(memory_.data());
  mask_ = home - 1;
  fresh_ = home;
  end_ = static_cast<uint32_t>(count);
  return absl::OkStatus();
}

bool FlowIndex::Insert(const FlowHash& hash, uint32_t slot) {
  const uint16_t tag = TagOf(hash);
  Bucket* bucket = &buckets_[hash.value & mask_];
  while (bucket->next != 0) bucket = &buckets_[bucket->next];
  uint32_t free_places = Match(*bucket, 0);
  if (free_places == 0) {
    if (free_ != 0) {
      bucket->next = free_;
      bucket = &buckets_[free_];
      free_ = std::exchange(bucket->next, 0);
    } else if (fresh_ != end_) {
      bucket->next = fresh_;
      bucket = &buckets_[fresh_++];
    } else {
      return false;
    }
    free_places = 1;
  }
  const int place = std::countr_zero(free_places);
  bucket->tags[place] = tag;
  bucket->slots[place] = slot;
  return true;
}

void FlowIndex::Remove(const FlowHash& hash, uint32_t slot) {
  const uint16_t tag = TagOf(hash);
  Bucket* found = nullptr;
  int place = 0;
  Bucket* before_last = nullptr;
  Bucket* last = &buckets_[hash.value & mask_];
  while (true) {
    for (uint32_t m = Match(*last, tag); found == nullptr && m != 0;
         m &= m - 1) {
      const int i = std::countr_zero(m);
      if (last->slots[i] == slot) {
        found = last;
        place = i;
      }
    }
    if (last->next == 0) break;
    before_last = last;
    last = &buckets_[last->next];
  }
  // The last entry of the chain fills the gap.
  const uint32_t taken = ~Match(*last, 0) & 0xff;
  const int end = std::bit_width(taken) - 1;
  found->tags[place] = last->tags[end];
  found->slots[place] = last->slots[end];
  last->tags[end] = 0;
  if (before_last != nullptr && (taken & (taken - 1)) == 0) {
    const uint32_t number = before_last->next;
    before_last->next = 0;
    last->next = free_;
    free_ = number;
  }
}

}  // namespace sluice
