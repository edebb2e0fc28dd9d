// How a key is compared with a node of sorted numbers: by the widest vectors
// that the processor has. All ways give the same result.
#ifndef SLUICE_PFTABLE_TABLES_VECTORS_H_
#define SLUICE_PFTABLE_TABLES_VECTORS_H_

#include <array>
#include <cstdint>
#include <span>

namespace sluice::search {

struct SearchLevel {
  uint32_t first;  // node; the root's level comes first
  uint32_t last;   // key
};

// One cache line of sorted numbers. They are stored with the highest bit
// flipped, to be compared as signed ones.
template <typename Signed, uint32_t kKeys>
struct alignas(64) SearchNode {
  static constexpr uint32_t kFanout = kKeys;
  std::array<Signed, kKeys> keys;
};
using Node32 = SearchNode<int32_t, 16>;
using Node64 = SearchNode<int64_t, 8>;

enum class Vectors : uint8_t { kNone, kAvx2, kAvx512 };
bool IsSupported(Vectors vectors);
Vectors BestVectors();

// For each key the last number that is not above it, by its place among all of
// the lowest level. Level by level for all keys, so that they wait for memory
// together. Below the root, the first number of a node is never above what is
// looked for. `out` may not be `keys`. Worker side.
using Find32 = void (*)(const Node32* nodes,
                        std::span<const SearchLevel> levels,
                        const uint32_t* keys, uint32_t count, uint32_t* out);
using Find64 = void (*)(const Node64* nodes,
                        std::span<const SearchLevel> levels,
                        const uint64_t* keys, uint32_t count, uint32_t* out);
Find32 Find32By(Vectors vectors);
Find64 Find64By(Vectors vectors);

}  // namespace sluice::search

#endif  // SLUICE_PFTABLE_TABLES_VECTORS_H_
