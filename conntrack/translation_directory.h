// Which worker has given out which translated flow: one table for all workers.
//
// A translated state takes a place here under the flow as it is after the
// translation, so that no two workers give out one (address, port, peer). The
// same table brings packets home: the owner of a flow is the hash of its
// addresses and ports (forward/steering.h), and where a translation could not
// choose these so that the answer's hash is its owner's, the answer is a stray
// that is looked up here when it arrives.
//
// A place is one word: the flow's hash, keyed with a secret of the process, and
// the worker. Two flows whose 56 bits agree count as one, which refuses one of
// them; nobody outside can find such a pair.
//
// Readers take no lock. Writers of one flow meet in one of a few spin locks,
// held for the look at two cache lines; only workers and ordinary threads that
// load a policy come here, and these only when no worker does.
#ifndef SLUICE_CONNTRACK_TRANSLATION_DIRECTORY_H_
#define SLUICE_CONNTRACK_TRANSLATION_DIRECTORY_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "conntrack/flow_key.h"
#include "conntrack/memory.h"
#include "packet/packet.h"

namespace sluice {

// A flow in its VLAN, whichever way its packet goes.
struct TranslatedFlow {
  uint64_t value = 0;

  friend bool operator==(const TranslatedFlow&,
                         const TranslatedFlow&) = default;
};

class TranslationDirectory {
 public:
  static constexpr int kNobody = -1;

  explicit TranslationDirectory(const HashSecret& secret) : secret_(secret) {}
  TranslationDirectory(const TranslationDirectory&) = delete;
  TranslationDirectory& operator=(const TranslationDirectory&) = delete;

  // Room for `flows`. Memory is taken as it is used. Errors: no memory.
  absl::Status Build(uint32_t flows);

  TranslatedFlow FlowOf(const FlowKey4& key, VlanId vlan) const {
    return {Hash(key, secret_, vlan).value};
  }
  TranslatedFlow FlowOf(const FlowKey6& key, VlanId vlan) const {
    return {Hash(key, secret_, vlan).value};
  }
  // Of a packet that is no fragment and no ICMP error, or is quoted by one that
  // came in that VLAN.
  TranslatedFlow FlowOf(const PacketInfo& info, const rte_mbuf& mbuf,
                        uint16_t filter, VlanId vlan) const {
    return info.family == Family::kIpv4
               ? FlowOf(MakeKey4(info, Direction::kIn, filter), vlan)
               : FlowOf(MakeKey6(info, mbuf, Direction::kIn, filter), vlan);
  }

  // Takes the flow for `worker`. `stray`: its packets would not come to that
  // worker by themselves. False: somebody has it, or there is no room.
  bool Take(TranslatedFlow flow, uint8_t worker, bool stray);
  // Of a flow that was taken.
  void GiveBack(TranslatedFlow flow);
  // Whether nobody has it.
  bool IsFree(TranslatedFlow flow) const { return Find(flow) == kNobody; }
  // The worker that has it.
  int Find(TranslatedFlow flow) const;
  // Whether packets have to be looked up before they are handed over.
  bool has_strays() const {
    return strays_.load(std::memory_order_relaxed) != 0;
  }
  // How a packet that has these ends finds its owner by itself; null where
  // there is one worker. Set before the workers run.
  using HomeOf = uint16_t (*)(const void* context, const PacketInfo& info);
  void SetHome(HomeOf home, const void* context) {
    home_ = home;
    home_context_ = context;
  }
  bool IsHome(const PacketInfo& info, uint8_t worker) const {
    return home_ == nullptr || home_(home_context_, info) == worker;
  }
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kPlaces = 8;
  static constexpr uint32_t kLocks = 256;

  // Writers: workers, under the flow's lock. Readers: workers. A place is
  // claimed by compare-and-swap (release) since writers of other flows share
  // its bucket; read with acquire.
  struct alignas(64) Bucket {
    std::array<std::atomic<uint64_t>, kPlaces> places;
  };
  struct alignas(64) Lock {
    std::atomic_flag held = ATOMIC_FLAG_INIT;
  };

  // A word: 0 is free; else 55 bits of the hash, the mark of a stray, and the
  // worker.
  static constexpr uint64_t kHashBits = ~uint64_t{0x1ff};
  static constexpr uint64_t kStray = 0x100;
  static uint64_t WordOf(TranslatedFlow flow, uint8_t worker, bool stray) {
    uint64_t hash = flow.value & kHashBits;
    if (hash == 0) hash = kHashBits;
    return hash | (stray ? kStray : 0) | worker;
  }
  std::array<Bucket*, 2> BucketsOf(uint64_t word) const {
    // The word's hash is above the bits that choose the first bucket.
    const uint64_t mixed = (word >> 9) * 0x9e3779b97f4a7c15;
    return {&buckets_[mixed >> 32 & mask_], &buckets_[mixed & mask_]};
  }
  std::atomic<uint64_t>* Place(uint64_t word) const;
  Lock& LockOf(uint64_t word) { return locks_[word >> 9 & (kLocks - 1)]; }

  const HashSecret secret_;
  HomeOf home_ = nullptr;
  const void* home_context_ = nullptr;
  Bucket* buckets_ = nullptr;
  uint64_t mask_ = 0;
  TableMemory memory_;
  std::array<Lock, kLocks> locks_;
  alignas(64) std::atomic<uint32_t> size_{0};
  std::atomic<uint32_t> strays_{0};
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TRANSLATION_DIRECTORY_H_
