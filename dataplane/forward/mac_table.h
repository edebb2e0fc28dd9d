// Where the hosts of a segment are: a bounded table of link addresses, with the
// port behind which each was seen last. All workers share it and none waits:
// an entry's address and port are one word, which is found by a load, and put
// in, moved and taken out by a compare-and-swap. An address may be in one place
// only; two workers that put it in at once both look afterwards, and the later
// place of the two is emptied.
//
// Entries end when nothing came from them for a while (Age), with their port
// (ForgetPort), and never give way to others: who sends from many addresses
// fills the table, or its port's share of it, and what is not in it is flooded.
// Entries that are fixed are the control side's: workers neither move nor end
// them.
#ifndef SLUICE_DATAPLANE_FORWARD_MAC_TABLE_H_
#define SLUICE_DATAPLANE_FORWARD_MAC_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/forward/topology.h"
#include "packet/link_address.h"
#include "packet/packet.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {

class MacTable {
 public:
  struct Options {
    uint32_t capacity = 8192;  // rounded up to a power of two
    uint32_t age = 300'000;    // milliseconds
    uint32_t per_port = 0;     // learnt at one port; 0: as many as there are
    uint64_t seed = 1;         // of the hash, which strangers must not know
  };
  explicit MacTable(const Options& options);
  MacTable(const MacTable&) = delete;
  MacTable& operator=(const MacTable&) = delete;

  // ---- Workers

  // kNoPort: nobody knows.
  uint16_t Find(LinkAddress mac) const {
    for (const Bucket* bucket : BucketsOf(mac)) {
      for (const auto& word : bucket->words) {
        const uint64_t entry = word.load(std::memory_order_acquire);
        if ((entry >> kPortBits) == mac.value) return PortOf(entry);
      }
    }
    return kNoPort;
  }

  enum class Learnt : uint8_t {
    kKnown,  // there already
    kNew,
    kMoved,
    kFixed,  // at another port, by order
    kFull,   // there is no room for it
    kLimit,  // nor at this port
  };
  // A frame came from that address, which is no group, by that port.
  Learnt Learn(LinkAddress mac, uint16_t port, Tick now);

  // ---- The control side, while workers are at it

  // An address that is never learnt elsewhere. False: there is no room.
  bool Fix(LinkAddress mac, uint16_t port);
  // False: it was not fixed.
  bool Unfix(LinkAddress mac);
  // Ends what is old, of `buckets` buckets from *cursor on.
  void Age(Tick now, uint32_t buckets, uint32_t* cursor);
  // All that is behind a port that has left the segment, or all that was learnt.
  void ForgetPort(uint16_t port);
  void ForgetLearnt();

  struct Entry {
    LinkAddress mac;
    uint16_t port = kNoPort;
    bool fixed = false;
    uint32_t age = 0;  // milliseconds since it was heard of; 0 if fixed
  };
  std::vector<Entry> Entries(Tick now) const;  // by address
  // As they are written: the first `limit` of those behind `after`, if there is
  // one.
  std::vector<Entry> EntriesAfter(std::optional<LinkAddress> after,
                                  size_t limit, Tick now) const;
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  uint32_t capacity() const {
    return static_cast<uint32_t>(bucket_count_ * kPlaces);
  }
  uint32_t buckets() const { return static_cast<uint32_t>(bucket_count_); }

  struct Counts {
    uint64_t learnt = 0;
    uint64_t moved = 0;
    uint64_t aged = 0;
    uint64_t full = 0;   // not learnt: no room in the table
    uint64_t limit = 0;  // not learnt: the port has its share
    uint64_t fixed = 0;  // of an address that is fixed at another port
  };
  Counts counts() const;

 private:
  // The address, whether it is fixed, and the port: kNoPort is none's.
  static constexpr int kPortBits = 16;
  static constexpr uint64_t kFixedBit = 0x8000;
  static_assert(kMaxPorts <= kFixedBit);
  static constexpr uint64_t WordOf(LinkAddress mac, uint16_t port) {
    return mac.value << kPortBits | port;
  }
  static constexpr uint16_t PortOf(uint64_t word) {
    return static_cast<uint16_t>(word & (kFixedBit - 1));
  }
  static constexpr size_t kPlaces = 8;
  // Writers of all: workers and the control side. A word is 0 where there is
  // none; `seen` belongs to the word of its place and may be late.
  struct alignas(64) Bucket {
    std::array<std::atomic<uint64_t>, kPlaces> words{};
    std::array<std::atomic<Tick>, kPlaces> seen{};
  };

  std::array<Bucket*, 2> BucketsOf(LinkAddress mac) const {
    // Hosts of one maker differ in the last bytes only, which are the highest
    // bits: a product's low bits would not know of them.
    const uint64_t mixed = MixBits(mac.value ^ seed_);
    const size_t first = mixed & mask_;
    const size_t second = (mixed >> 32) & mask_;
    return {&buckets_[first], &buckets_[second]};
  }
  Entry EntryAt(const Bucket& bucket, size_t place, uint64_t word,
                Tick now) const;
  std::atomic<uint32_t>& LearntAt(uint16_t port) { return at_port_[port]; }
  bool TakePlace(uint16_t port);
  void GiveBack(uint64_t word);
  Learnt Insert(uint64_t word, Tick now);
  bool Remove(std::atomic<uint64_t>& word, uint64_t value);
  // What is there twice after an insertion is there once afterwards.
  void KeepOne(LinkAddress mac);

  const Options options_;
  size_t bucket_count_ = 0;
  size_t mask_ = 0;
  uint64_t seed_ = 0;
  std::unique_ptr<Bucket[]> buckets_;
  std::unique_ptr<std::atomic<uint32_t>[]> at_port_;  // learnt
  std::atomic<uint32_t> size_{0};
  std::atomic<uint64_t> learnt_{0}, moved_{0}, aged_{0}, full_{0}, limit_{0},
      fixed_{0};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_MAC_TABLE_H_
