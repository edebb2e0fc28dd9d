// Where routes lead to: what a number in the tries stands for. Routes that lead
// to the same share one, so that a full table has as many as there are sets of
// next hops, and these stay in the cache.
//
// With several next hops a flow is put into one of 1024 buckets by its hash,
// and each bucket belongs to the hop that scores highest for it (rendezvous
// hashing, by weight). What a hop scores depends on nothing but itself: when a
// set gains or loses a member, the buckets of the others stay theirs.
#ifndef SLUICE_DATAPLANE_ROUTING_ROUTE_TARGETS_H_
#define SLUICE_DATAPLANE_ROUTING_ROUTE_TARGETS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/routing/freed_list.h"
#include "dataplane/routing/neighbor_cells.h"
#include "dataplane/routing/routing_tables.h"
#include "pftable/engine/lazy_memory.h"

namespace sluice {

// Of a route, as workers read it.
struct TargetHop {
  Address gateway;
  uint16_t port = 0;
  uint32_t cell = 0;  // the gateway's among the neighbours, 0 without one
};

struct HopSet {
  static constexpr int kBucketBits = 10;
  static constexpr size_t kBuckets = size_t{1} << kBucketBits;

  std::array<uint8_t, kBuckets> buckets;
  std::array<TargetHop, RoutingTables::kMaxHops> hops;
};

// Never changes once a worker may read it.
struct alignas(64) RouteTarget {
  RouteType type = RouteType::kNone;
  uint8_t hop_count = 0;
  TargetHop hop;                // the only one, or the first
  const HopSet* set = nullptr;  // of several

  const TargetHop& HopOf(uint32_t flow_hash) const {
    if (set == nullptr) return hop;
    // A worker's flows have something in common in some bits of their hashes.
    const uint32_t bucket =
        flow_hash * 0x9e3779b1u >> (32 - HopSet::kBucketBits);
    return set->hops[set->buckets[bucket]];
  }
  std::span<const TargetHop> hops() const {
    return {set == nullptr ? &hop : set->hops.data(), hop_count};
  }
};
static_assert(sizeof(RouteTarget) == 64);

class RouteTargets {
 public:
  static constexpr size_t kMaxSets = 65'536;
  // Always there, for the router itself: groups and broadcast addresses, and
  // its own addresses.
  static constexpr uint32_t kGroup = 1;
  static constexpr uint32_t kOwn = 2;

  // Room for `count` of them, which with those that are always there are at
  // most TrieWord::kMaxNumber. Throws std::bad_alloc.
  RouteTargets(size_t count, NeighborCells* neighbors);
  ~RouteTargets();

  // Workers; of numbers that they found in a trie.
  const RouteTarget& operator[](uint32_t number) const {
    return targets_[number];
  }

  // The writer.

  // The number of a target, which stays until as many Release(). May throw
  // std::bad_alloc; nothing has changed then.
  absl::StatusOr<uint32_t> Acquire(RouteType type,
                                   const std::vector<NextHop>& hops,
                                   FreedList* freed);
  void Release(uint32_t number, FreedList* freed);
  void Free(uint64_t number) {
    free_.push_back(static_cast<uint32_t>(number));
  }
  static void FreeSet(uint64_t set) {
    delete reinterpret_cast<const HopSet*>(set);
  }

  const std::vector<NextHop>& HopsOf(uint32_t number) const {
    return details_[number]->first.hops;
  }
  size_t memory() const;

 private:
  struct Content {
    RouteType type = RouteType::kNone;
    std::vector<NextHop> hops;

    friend bool operator==(const Content&, const Content&) = default;
  };
  struct ContentHash {
    size_t operator()(const Content& content) const;
  };
  struct Use {
    uint32_t number = 0;
    uint32_t count = 0;
  };
  using Uses = std::unordered_map<Content, Use, ContentHash>;

  absl::Status Fill(const Content& content, RouteTarget* target,
                    FreedList* freed);
  void ReleaseHops(std::span<const TargetHop> hops, FreedList* freed);

  const size_t capacity_;
  NeighborCells* const neighbors_;
  const LazyMemory memory_;
  RouteTarget* const targets_;
  std::vector<Uses::value_type*> details_;  // by number
  std::vector<uint32_t> free_;
  Uses uses_;
  size_t sets_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_ROUTE_TARGETS_H_
