// The neighbours of a router's ports: a cell for each that the kernel knows or
// that is a gateway of a route. A cell stays where it is for as long as it is
// there, so that routes name their gateways' cells by number.
//
// Workers find a cell by two buckets of eight numbers, and read state and link
// address as one word. The writer fills a cell before its number is in a
// bucket, and uses it again only when the list of what is freed says so.
#ifndef SLUICE_DATAPLANE_ROUTING_NEIGHBOR_CELLS_H_
#define SLUICE_DATAPLANE_ROUTING_NEIGHBOR_CELLS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/routing/freed_list.h"
#include "dataplane/routing/routing_tables.h"
#include "pftable/engine/lazy_memory.h"

namespace sluice {

class NeighborCells {
 public:
  // Room for so many neighbours and as many gateways. Throws std::bad_alloc.
  explicit NeighborCells(size_t max_neighbors);

  // Workers.
  NeighborState Find(uint16_t port, const Address& address,
                     MacAddress* mac) const;
  // By its number, which is not 0.
  NeighborState Read(uint32_t cell, MacAddress* mac) const;

  // The writer. All may throw std::bad_alloc and have changed nothing then.
  absl::Status Set(uint16_t port, const Address& address, NeighborState state,
                   const MacAddress& mac);
  bool Remove(uint16_t port, const Address& address, FreedList* freed);
  // The number of a gateway's cell, which stays until as many Release().
  absl::StatusOr<uint32_t> Acquire(uint16_t port, const Address& gateway);
  void Release(uint32_t cell, FreedList* freed);
  void Free(uint64_t cell) { free_.push_back(static_cast<uint32_t>(cell)); }

  size_t count() const { return neighbors_; }
  std::vector<RoutingTables::Neighbor> List(size_t from, size_t count) const;
  size_t memory() const;

 private:
  struct Cell {
    Address address;
    uint16_t port;
    // State in the uppermost byte, link address below.
    std::atomic<uint64_t> word;
  };
  static constexpr size_t kBucketPlaces = 8;
  // Numbers of cells, 0 for none, with eight bits of the hash above.
  struct alignas(32) Bucket {
    std::array<std::atomic<uint32_t>, kBucketPlaces> places;
  };
  static constexpr uint32_t kCellBits = 24;
  static constexpr uint32_t kCellMask = (1u << kCellBits) - 1;
  struct Places {
    Bucket* first;
    Bucket* second;
    uint32_t tag;
  };
  // What the writer knows of one.
  struct Known {
    uint32_t cell = 0;
    uint32_t gateway_of = 0;  // so many have acquired it
    bool is_neighbor = false;
  };
  using Key = std::pair<uint16_t, Address>;
  using KnownMap = std::map<Key, Known>;

  Places PlacesOf(uint16_t port, const Address& address) const;
  const Cell* FindIn(const Bucket& bucket, uint32_t tag, uint16_t port,
                     const Address& address) const;
  absl::StatusOr<Known*> FindOrMake(uint16_t port, const Address& address);
  void DropUnused(KnownMap::iterator known, FreedList* freed);

  const size_t max_neighbors_;
  const uint64_t seed_;
  const size_t mask_;  // of buckets
  const LazyMemory memory_;
  Cell* const cells_;
  Bucket* const buckets_;
  uint32_t next_ = 1;
  std::vector<uint32_t> free_;
  KnownMap known_;
  size_t neighbors_ = 0;
  size_t gateways_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_NEIGHBOR_CELLS_H_
