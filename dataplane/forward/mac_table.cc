#include "dataplane/forward/mac_table.h"

#include <algorithm>
#include <bit>

namespace sluice {
namespace {

// What is heard of is written down so often: the line is everybody's.
constexpr uint32_t kFresh = 1000;  // milliseconds

void Count(std::atomic<uint64_t>& counter) {
  counter.fetch_add(1, std::memory_order_relaxed);
}

// Less where the text is, whose first byte the address has in its lowest bits.
uint64_t WrittenOrder(LinkAddress mac) { return __builtin_bswap64(mac.value); }

}  // namespace

MacTable::MacTable(const Options& options)
    : options_(options),
      bucket_count_(std::bit_ceil(
          std::max<size_t>((options.capacity + kPlaces - 1) / kPlaces, 1))),
      mask_(bucket_count_ - 1),
      seed_(options.seed),
      buckets_(std::make_unique<Bucket[]>(bucket_count_)),
      at_port_(std::make_unique<std::atomic<uint32_t>[]>(kMaxPorts)) {}

bool MacTable::TakePlace(uint16_t port) {
  std::atomic<uint32_t>& learnt = LearntAt(port);
  if (learnt.fetch_add(1, std::memory_order_relaxed) < options_.per_port ||
      options_.per_port == 0) {
    return true;
  }
  learnt.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void MacTable::GiveBack(uint64_t word) {
  if ((word & kFixedBit) != 0) return;
  LearntAt(PortOf(word)).fetch_sub(1, std::memory_order_relaxed);
}

bool MacTable::Remove(std::atomic<uint64_t>& word, uint64_t value) {
  if (!word.compare_exchange_strong(value, 0, std::memory_order_seq_cst)) {
    return false;
  }
  GiveBack(value);
  size_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

MacTable::Learnt MacTable::Learn(LinkAddress mac, uint16_t port, Tick now) {
  for (Bucket* bucket : BucketsOf(mac)) {
    for (size_t i = 0; i < kPlaces; ++i) {
      uint64_t word = bucket->words[i].load(std::memory_order_acquire);
      if ((word >> kPortBits) != mac.value) continue;
      if (PortOf(word) == port) [[likely]] {
        std::atomic<Tick>& seen = bucket->seen[i];
        if (now - seen.load(std::memory_order_relaxed) >= kFresh) {
          seen.store(now, std::memory_order_relaxed);
        }
        return Learnt::kKnown;
      }
      if ((word & kFixedBit) != 0) {
        Count(fixed_);
        return Learnt::kFixed;
      }
      if (!TakePlace(port)) {
        Count(limit_);
        return Learnt::kLimit;
      }
      bucket->seen[i].store(now, std::memory_order_relaxed);
      const uint64_t before = word;
      if (bucket->words[i].compare_exchange_strong(
              word, WordOf(mac, port), std::memory_order_seq_cst)) {
        GiveBack(before);
        Count(moved_);
        return Learnt::kMoved;
      }
      // Another worker or the control side was faster: what it has made of it
      // holds until the next frame.
      GiveBack(WordOf(mac, port));
      return Learnt::kKnown;
    }
  }
  if (!TakePlace(port)) {
    Count(limit_);
    return Learnt::kLimit;
  }
  const Learnt learnt = Insert(WordOf(mac, port), now);
  if (learnt == Learnt::kNew) {
    Count(learnt_);
  } else {
    GiveBack(WordOf(mac, port));
    Count(full_);
  }
  return learnt;
}

MacTable::Learnt MacTable::Insert(uint64_t word, Tick now) {
  const LinkAddress mac = {word >> kPortBits};
  for (Bucket* bucket : BucketsOf(mac)) {
    for (size_t i = 0; i < kPlaces; ++i) {
      uint64_t empty = bucket->words[i].load(std::memory_order_relaxed);
      if (empty != 0) continue;
      // Before the word: nobody may find it old.
      bucket->seen[i].store(now, std::memory_order_relaxed);
      if (!bucket->words[i].compare_exchange_strong(
              empty, word, std::memory_order_seq_cst)) {
        continue;
      }
      size_.fetch_add(1, std::memory_order_relaxed);
      KeepOne(mac);
      return Learnt::kNew;
    }
  }
  return Learnt::kFull;
}

// Each of two that have put the address in at once looks after its own swap, so
// that one of them at least sees both. A fixed one stays before any other.
void MacTable::KeepOne(LinkAddress mac) {
  std::atomic<uint64_t>* kept = nullptr;
  uint64_t kept_word = 0;
  const std::array<Bucket*, 2> buckets = BucketsOf(mac);
  for (size_t b = 0; b < buckets.size(); ++b) {
    if (b == 1 && buckets[1] == buckets[0]) break;
    for (auto& place : buckets[b]->words) {
      const uint64_t word = place.load(std::memory_order_seq_cst);
      if ((word >> kPortBits) != mac.value) continue;
      if (kept == nullptr) {
        kept = &place;
        kept_word = word;
      } else if ((word & kFixedBit) > (kept_word & kFixedBit)) {
        Remove(*kept, kept_word);
        kept = &place;
        kept_word = word;
      } else {
        Remove(place, word);
      }
    }
  }
}

bool MacTable::Fix(LinkAddress mac, uint16_t port) {
  const uint64_t word = WordOf(mac, port) | kFixedBit;
  // In the place of what was learnt, or of what was fixed before.
  for (Bucket* bucket : BucketsOf(mac)) {
    for (auto& place : bucket->words) {
      uint64_t there = place.load(std::memory_order_acquire);
      while ((there >> kPortBits) == mac.value) {
        if (place.compare_exchange_weak(there, word,
                                        std::memory_order_seq_cst)) {
          GiveBack(there);
          KeepOne(mac);
          return true;
        }
      }
    }
  }
  return Insert(word, 0) == Learnt::kNew;
}

bool MacTable::Unfix(LinkAddress mac) {
  for (Bucket* bucket : BucketsOf(mac)) {
    for (auto& place : bucket->words) {
      const uint64_t word = place.load(std::memory_order_acquire);
      if ((word >> kPortBits) != mac.value || (word & kFixedBit) == 0) continue;
      if (Remove(place, word)) return true;
    }
  }
  return false;
}

void MacTable::Age(Tick now, uint32_t buckets, uint32_t* cursor) {
  for (uint32_t n = std::min(buckets, this->buckets()); n > 0; --n) {
    if (*cursor >= this->buckets()) *cursor = 0;
    Bucket& bucket = buckets_[(*cursor)++];
    for (size_t i = 0; i < kPlaces; ++i) {
      const uint64_t word = bucket.words[i].load(std::memory_order_acquire);
      if (word == 0 || (word & kFixedBit) != 0) continue;
      const Tick age = now - bucket.seen[i].load(std::memory_order_relaxed);
      // A worker may have a later clock.
      if (static_cast<int32_t>(age) < 0 || age < options_.age) continue;
      if (Remove(bucket.words[i], word)) Count(aged_);
    }
  }
}

void MacTable::ForgetPort(uint16_t port) {
  for (size_t b = 0; b < bucket_count_; ++b) {
    for (auto& place : buckets_[b].words) {
      const uint64_t word = place.load(std::memory_order_acquire);
      if (word != 0 && PortOf(word) == port) Remove(place, word);
    }
  }
}

void MacTable::ForgetLearnt() {
  for (size_t b = 0; b < bucket_count_; ++b) {
    for (auto& place : buckets_[b].words) {
      const uint64_t word = place.load(std::memory_order_acquire);
      if (word != 0 && (word & kFixedBit) == 0) Remove(place, word);
    }
  }
}

MacTable::Entry MacTable::EntryAt(const Bucket& bucket, size_t place,
                                  uint64_t word, Tick now) const {
  Entry entry = {.mac = {word >> kPortBits},
                 .port = PortOf(word),
                 .fixed = (word & kFixedBit) != 0};
  const Tick age = now - bucket.seen[place].load(std::memory_order_relaxed);
  if (!entry.fixed && static_cast<int32_t>(age) > 0) entry.age = age;
  return entry;
}

std::vector<MacTable::Entry> MacTable::Entries(Tick now) const {
  std::vector<Entry> entries;
  for (size_t b = 0; b < bucket_count_; ++b) {
    const Bucket& bucket = buckets_[b];
    for (size_t i = 0; i < kPlaces; ++i) {
      const uint64_t word = bucket.words[i].load(std::memory_order_acquire);
      if (word != 0) entries.push_back(EntryAt(bucket, i, word, now));
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.mac < b.mac; });
  return entries;
}

std::vector<MacTable::Entry> MacTable::EntriesAfter(
    std::optional<LinkAddress> after, size_t limit, Tick now) const {
  const auto before = [](const Entry& a, const Entry& b) {
    return WrittenOrder(a.mac) < WrittenOrder(b.mac);
  };
  std::vector<Entry> entries;  // a heap once it is full: the last one on top
  if (limit == 0) return entries;
  for (size_t b = 0; b < bucket_count_; ++b) {
    const Bucket& bucket = buckets_[b];
    for (size_t i = 0; i < kPlaces; ++i) {
      const uint64_t word = bucket.words[i].load(std::memory_order_acquire);
      if (word == 0) continue;
      const uint64_t order = WrittenOrder({word >> kPortBits});
      if (after && order <= WrittenOrder(*after)) continue;
      if (entries.size() == limit) {
        if (order >= WrittenOrder(entries.front().mac)) continue;
        std::pop_heap(entries.begin(), entries.end(), before);
        entries.pop_back();
      }
      entries.push_back(EntryAt(bucket, i, word, now));
      std::push_heap(entries.begin(), entries.end(), before);
    }
  }
  std::sort_heap(entries.begin(), entries.end(), before);
  return entries;
}

MacTable::Counts MacTable::counts() const {
  const auto get = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  return {.learnt = get(learnt_),
          .moved = get(moved_),
          .aged = get(aged_),
          .full = get(full_),
          .limit = get(limit_),
          .fixed = get(fixed_)};
}

}  // namespace sluice
