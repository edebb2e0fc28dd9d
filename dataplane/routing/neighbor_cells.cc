#include "dataplane/routing/neighbor_cells.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "dataplane/routing/address_key.h"

namespace sluice {
namespace {

constexpr int kStateShift = 56;

uint64_t WordOf(NeighborState state, const MacAddress& mac) {
  uint64_t word = 0;
  std::memcpy(&word, mac.data(), mac.size());
  return word | static_cast<uint64_t>(state) << kStateShift;
}

NeighborState StateOf(uint64_t word) {
  return static_cast<NeighborState>(word >> kStateShift);
}

MacAddress MacOf(uint64_t word) {
  MacAddress mac;
  std::memcpy(mac.data(), &word, mac.size());
  return mac;
}

uint64_t Mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Cells have numbers of 24 bits.
size_t Bounded(size_t neighbors) {
  return std::clamp<size_t>(neighbors, 1, 8'000'000);
}

// With as many neighbours and as many gateways as there may be, two places of
// eight are taken on average.
size_t BucketsFor(size_t neighbors) {
  return std::bit_ceil(std::max<size_t>(neighbors, 16));
}
// Cells that wait to be freed take up room, too.
size_t CellsFor(size_t neighbors) { return 3 * neighbors + 1; }

}  // namespace

NeighborCells::NeighborCells(size_t max_neighbors)
    : max_neighbors_(Bounded(max_neighbors)),
      seed_(std::random_device()() | uint64_t{std::random_device()()} << 32),
      mask_(BucketsFor(max_neighbors_) - 1),
      memory_(LazyMemory::BytesFor<Cell>(CellsFor(max_neighbors_)) +
              LazyMemory::BytesFor<Bucket>(mask_ + 1)),
      cells_(memory_.ArrayAt<Cell>(0)),
      buckets_(memory_.ArrayAt<Bucket>(
          LazyMemory::BytesFor<Cell>(CellsFor(max_neighbors_)))) {}

NeighborCells::Places NeighborCells::PlacesOf(uint16_t port,
                                              const Address& address) const {
  const uint64_t hash =
      Mix(Mix(HighHalf(address) ^ seed_, 0x9e3779b97f4a7c15ULL ^ port) ^
              LowHalf(address),
          seed_ | 1);
  return {.first = &buckets_[hash & mask_],
          .second = &buckets_[hash >> 32 & mask_],
          .tag = static_cast<uint32_t>(hash >> 24) << kCellBits};
}

const NeighborCells::Cell* NeighborCells::FindIn(
    const Bucket& bucket, uint32_t tag, uint16_t port,
    const Address& address) const {
  for (const std::atomic<uint32_t>& place : bucket.places) {
    const uint32_t entry = place.load(std::memory_order_acquire);
    if (entry == 0 || (entry & ~kCellMask) != tag) continue;
    const Cell& cell = cells_[entry & kCellMask];
    if (cell.port == port && cell.address == address) return &cell;
  }
  return nullptr;
}

NeighborState NeighborCells::Find(uint16_t port, const Address& address,
                                  MacAddress* mac) const {
  const Places places = PlacesOf(port, address);
  const Cell* cell = FindIn(*places.first, places.tag, port, address);
  if (cell == nullptr) {
    cell = FindIn(*places.second, places.tag, port, address);
  }
  if (cell == nullptr) return NeighborState::kUnknown;
  return Read(static_cast<uint32_t>(cell - cells_), mac);
}

NeighborState NeighborCells::Read(uint32_t cell, MacAddress* mac) const {
  const uint64_t word = cells_[cell].word.load(std::memory_order_relaxed);
  if (StateOf(word) == NeighborState::kKnown) *mac = MacOf(word);
  return StateOf(word);
}

absl::StatusOr<NeighborCells::Known*> NeighborCells::FindOrMake(
    uint16_t port, const Address& address) {
  if (const auto found = known_.find({port, address}); found != known_.end()) {
    return &found->second;
  }
  const Places places = PlacesOf(port, address);
  const auto taken = [](const Bucket& bucket) {
    size_t count = 0;
    for (const auto& place : bucket.places) {
      count += place.load(std::memory_order_relaxed) != 0;
    }
    return count;
  };
  // The first one, as long as it has room, because workers look there first.
  const size_t in_first = taken(*places.first);
  const size_t in_second = taken(*places.second);
  Bucket* const bucket =
      in_first < kBucketPlaces - 2 || in_first <= in_second ? places.first
                                                            : places.second;
  if (std::min(in_first, in_second) == kBucketPlaces) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "neighbor ", ToString(address),
        ": its places in the table are taken: raise max_neighbors (",
        max_neighbors_, ")"));
  }
  // Each cell that is there may have to go to the list of free ones.
  if (free_.capacity() <= next_) free_.reserve(2 * next_ + 16);
  Known* const known = &known_[{port, address}];
  if (free_.empty()) {
    if (next_ >= CellsFor(max_neighbors_)) {
      known_.erase({port, address});
      return absl::ResourceExhaustedError(absl::StrCat(
          "neighbor ", ToString(address),
          ": too many change at once: try again, or raise max_neighbors (",
          max_neighbors_, ")"));
    }
    known->cell = next_++;
  } else {
    known->cell = free_.back();
    free_.pop_back();
  }
  Cell& cell = cells_[known->cell];
  cell.address = address;
  cell.port = port;
  cell.word.store(0, std::memory_order_relaxed);
  for (std::atomic<uint32_t>& place : bucket->places) {
    if (place.load(std::memory_order_relaxed) != 0) continue;
    place.store(places.tag | known->cell, std::memory_order_release);
    break;
  }
  return known;
}

void NeighborCells::DropUnused(KnownMap::iterator found, FreedList* freed) {
  const Known& known = found->second;
  if (known.is_neighbor || known.gateway_of > 0) return;
  const Places places = PlacesOf(found->first.first, found->first.second);
  for (Bucket* const bucket : {places.first, places.second}) {
    for (std::atomic<uint32_t>& place : bucket->places) {
      if (place.load(std::memory_order_relaxed) == (places.tag | known.cell)) {
        place.store(0, std::memory_order_relaxed);
      }
    }
  }
  freed->Add(FreedKind::kCell, known.cell);
  known_.erase(found);
}

absl::Status NeighborCells::Set(uint16_t port, const Address& address,
                                NeighborState state, const MacAddress& mac) {
  const auto found = known_.find({port, address});
  const bool is_new = found == known_.end() || !found->second.is_neighbor;
  if (is_new && neighbors_ >= max_neighbors_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "neighbor ", ToString(address), ": there are ", neighbors_,
        " already: raise max_neighbors"));
  }
  absl::StatusOr<Known*> known = FindOrMake(port, address);
  if (!known.ok()) return known.status();
  (*known)->is_neighbor = true;
  neighbors_ += is_new ? 1 : 0;
  cells_[(*known)->cell].word.store(WordOf(state, mac),
                                    std::memory_order_relaxed);
  return absl::OkStatus();
}

bool NeighborCells::Remove(uint16_t port, const Address& address,
                           FreedList* freed) {
  const auto found = known_.find({port, address});
  if (found == known_.end() || !found->second.is_neighbor) return false;
  found->second.is_neighbor = false;
  --neighbors_;
  cells_[found->second.cell].word.store(0, std::memory_order_relaxed);
  DropUnused(found, freed);
  return true;
}

absl::StatusOr<uint32_t> NeighborCells::Acquire(uint16_t port,
                                                const Address& gateway) {
  const auto found = known_.find({port, gateway});
  const bool is_new = found == known_.end() || found->second.gateway_of == 0;
  if (is_new && gateways_ >= max_neighbors_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "gateway ", ToString(gateway), ": routes have ", gateways_,
        " gateways already: raise max_neighbors"));
  }
  absl::StatusOr<Known*> known = FindOrMake(port, gateway);
  if (!known.ok()) return known.status();
  ++(*known)->gateway_of;
  gateways_ += is_new ? 1 : 0;
  return (*known)->cell;
}

void NeighborCells::Release(uint32_t cell, FreedList* freed) {
  const auto found = known_.find({cells_[cell].port, cells_[cell].address});
  if (--found->second.gateway_of > 0) return;
  --gateways_;
  DropUnused(found, freed);
}

std::vector<RoutingTables::Neighbor> NeighborCells::List(size_t from,
                                                         size_t count) const {
  std::vector<RoutingTables::Neighbor> list;
  for (const auto& [key, known] : known_) {
    if (!known.is_neighbor) continue;
    if (from > 0) {
      --from;
      continue;
    }
    if (list.size() == count) break;
    const uint64_t word =
        cells_[known.cell].word.load(std::memory_order_relaxed);
    list.push_back({.port = key.first,
                    .address = key.second,
                    .state = StateOf(word),
                    .mac = MacOf(word)});
  }
  return list;
}

size_t NeighborCells::memory() const {
  return memory_.Resident() + free_.capacity() * sizeof(uint32_t) +
         known_.size() * (sizeof(KnownMap::value_type) + 32);
}

}  // namespace sluice
