#include "dataplane/forward/neighbor_table.h"

#include <algorithm>
#include <mutex>

namespace sluice {
namespace {

bool IsOlder(Tick then, uint32_t age, Tick now) {
  return TickDiff(now, then) >= static_cast<int32_t>(age);
}

}  // namespace

NeighborTable::NeighborTable(uint32_t buckets)
    : mask_(buckets - 1), buckets_(std::make_unique<Bucket[]>(buckets)) {}

// Addresses are the firewall's own choice: nobody can aim at a bucket.
NeighborTable::Bucket& NeighborTable::BucketOf(const NeighborKey& key) {
  uint64_t hash = key.wire * 0x9e3779b97f4a7c15ULL + key.vlan.value;
  for (const uint8_t byte : key.address.bytes) {
    hash = (hash ^ byte) * 0x100000001b3ULL;
  }
  return buckets_[(hash ^ hash >> 32) & mask_];
}

NeighborTable::Entry* NeighborTable::FindIn(Bucket& bucket,
                                            const NeighborKey& key) {
  for (Entry& entry : bucket) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

bool NeighborTable::MayAsk(Tick now) {
  if (IsOlder(second_, 1000, now) || TickDiff(now, second_) < 0) {
    second_ = now;
    questions_ = 0;
  }
  return ++questions_ <= kQuestionsASecond;
}

NeighborAnswer NeighborTable::Find(const NeighborKey& key, Tick now,
                                   Neighbor* neighbor) {
  const std::lock_guard lock(lock_);
  Bucket& bucket = BucketOf(key);
  Entry* entry = FindIn(bucket, key);
  if (entry == nullptr) {
    if (!MayAsk(now)) return NeighborAnswer::kWait;
    entry = &*std::min_element(
        bucket.begin(), bucket.end(), [now](const Entry& a, const Entry& b) {
          const bool a_free = a.key.address.family == Family::kNone;
          const bool b_free = b.key.address.family == Family::kNone;
          if (a_free != b_free) return a_free;
          return TickDiff(now, a.used) > TickDiff(now, b.used);
        });
    *entry = Entry();
    entry->key = key;
    entry->asked = now;
    entry->used = now;
    return NeighborAnswer::kAsk;
  }
  entry->used = now;
  if (entry->known && IsOlder(entry->learned, kAnswerLife, now)) {
    entry->known = false;
  }
  const bool ask = (!entry->known || IsOlder(entry->learned, kFresh, now)) &&
                   IsOlder(entry->asked, kAskInterval, now) && MayAsk(now);
  if (ask) entry->asked = now;
  if (!entry->known) return ask ? NeighborAnswer::kAsk : NeighborAnswer::kWait;
  *neighbor = entry->neighbor;
  return ask ? NeighborAnswer::kKnownAsk : NeighborAnswer::kKnown;
}

bool NeighborTable::HasNews(const NeighborKey& key, Tick now) {
  const std::lock_guard lock(lock_);
  const Entry* const entry = FindIn(BucketOf(key), key);
  return entry == nullptr || entry->known ||
         IsOlder(entry->asked, kAskInterval, now);
}

void NeighborTable::Learn(const NeighborKey& key, const Neighbor& neighbor,
                          Tick now) {
  const std::lock_guard lock(lock_);
  Entry* const entry = FindIn(BucketOf(key), key);
  if (entry == nullptr) return;
  entry->neighbor = neighbor;
  entry->known = true;
  entry->learned = now;
}

}  // namespace sluice
