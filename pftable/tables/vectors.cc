#include "pftable/tables/vectors.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <type_traits>

namespace sluice::search {
namespace {

constexpr uint32_t kFlip32 = uint32_t{1} << 31;
constexpr uint64_t kFlip64 = uint64_t{1} << 63;

// What fills a node up is not above the largest key there is.
inline uint32_t Below(uint32_t node, uint32_t fanout, uint32_t not_above,
                      uint32_t last) {
  return std::min(node * fanout + not_above - 1, last);
}

template <typename Node, typename Key>
void FindPlain(const Node* nodes, std::span<const SearchLevel> levels,
               const Key* keys, uint32_t count, uint32_t* out) {
  using Signed = std::make_signed_t<Key>;
  constexpr Key kFlip = Key{1} << (sizeof(Key) * 8 - 1);
  for (uint32_t i = 0; i < count; ++i) out[i] = 0;
  for (const SearchLevel& level : levels) {
    for (uint32_t i = 0; i < count; ++i) {
      const Node& node = nodes[level.first + out[i]];
      const Signed key = static_cast<Signed>(keys[i] ^ kFlip);
      uint32_t not_above = 0;
      for (const Signed other : node.keys) not_above += other <= key;
      out[i] = Below(out[i], Node::kFanout, not_above, level.last);
    }
  }
}

__attribute__((target("avx2"))) void Find32Avx2(
    const Node32* nodes, std::span<const SearchLevel> levels,
    const uint32_t* keys, uint32_t count, uint32_t* out) {
  for (uint32_t i = 0; i < count; ++i) out[i] = 0;
  for (const SearchLevel& level : levels) {
    for (uint32_t i = 0; i < count; ++i) {
      const auto* const node = reinterpret_cast<const __m256i*>(
          nodes[level.first + out[i]].keys.data());
      const __m256i key =
          _mm256_set1_epi32(static_cast<int32_t>(keys[i] ^ kFlip32));
      const __m256i low = _mm256_cmpgt_epi32(_mm256_load_si256(node), key);
      const __m256i high =
          _mm256_cmpgt_epi32(_mm256_load_si256(node + 1), key);
      const uint32_t above =
          static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(low))) |
          static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(high)))
              << 8;
      out[i] = Below(out[i], Node32::kFanout,
                     Node32::kFanout -
                         static_cast<uint32_t>(std::popcount(above)),
                     level.last);
    }
  }
}

__attribute__((target("avx2"))) void Find64Avx2(
    const Node64* nodes, std::span<const SearchLevel> levels,
    const uint64_t* keys, uint32_t count, uint32_t* out) {
  for (uint32_t i = 0; i < count; ++i) out[i] = 0;
  for (const SearchLevel& level : levels) {
    for (uint32_t i = 0; i < count; ++i) {
      const auto* const node = reinterpret_cast<const __m256i*>(
          nodes[level.first + out[i]].keys.data());
      const __m256i key =
          _mm256_set1_epi64x(static_cast<int64_t>(keys[i] ^ kFlip64));
      const __m256i low = _mm256_cmpgt_epi64(_mm256_load_si256(node), key);
      const __m256i high =
          _mm256_cmpgt_epi64(_mm256_load_si256(node + 1), key);
      const uint32_t above =
          static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(low))) |
          static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(high)))
              << 4;
      out[i] = Below(out[i], Node64::kFanout,
                     Node64::kFanout -
                         static_cast<uint32_t>(std::popcount(above)),
                     level.last);
    }
  }
}

__attribute__((target("avx512f"))) void Find32Avx512(
    const Node32* nodes, std::span<const SearchLevel> levels,
    const uint32_t* keys, uint32_t count, uint32_t* out) {
  for (uint32_t i = 0; i < count; ++i) out[i] = 0;
  for (const SearchLevel& level : levels) {
    for (uint32_t i = 0; i < count; ++i) {
      const __m512i node =
          _mm512_load_si512(nodes[level.first + out[i]].keys.data());
      const __m512i key =
          _mm512_set1_epi32(static_cast<int32_t>(keys[i] ^ kFlip32));
      const auto not_above =
          static_cast<uint32_t>(_mm512_cmple_epi32_mask(node, key));
      out[i] = Below(out[i], Node32::kFanout,
                     static_cast<uint32_t>(std::popcount(not_above)),
                     level.last);
    }
  }
}

__attribute__((target("avx512f"))) void Find64Avx512(
    const Node64* nodes, std::span<const SearchLevel> levels,
    const uint64_t* keys, uint32_t count, uint32_t* out) {
  for (uint32_t i = 0; i < count; ++i) out[i] = 0;
  for (const SearchLevel& level : levels) {
    for (uint32_t i = 0; i < count; ++i) {
      const __m512i node =
          _mm512_load_si512(nodes[level.first + out[i]].keys.data());
      const __m512i key =
          _mm512_set1_epi64(static_cast<int64_t>(keys[i] ^ kFlip64));
      const auto not_above =
          static_cast<uint32_t>(_mm512_cmple_epi64_mask(node, key));
      out[i] = Below(out[i], Node64::kFanout,
                     static_cast<uint32_t>(std::popcount(not_above)),
                     level.last);
    }
  }
}

}  // namespace

bool IsSupported(Vectors vectors) {
  __builtin_cpu_init();
  switch (vectors) {
    case Vectors::kNone:
      return true;
    case Vectors::kAvx2:
      return __builtin_cpu_supports("avx2") != 0;
    case Vectors::kAvx512:
      return __builtin_cpu_supports("avx512f") != 0;
  }
  return false;
}

Vectors BestVectors() {
  for (const Vectors vectors : {Vectors::kAvx512, Vectors::kAvx2}) {
    if (IsSupported(vectors)) return vectors;
  }
  return Vectors::kNone;
}

Find32 Find32By(Vectors vectors) {
  switch (vectors) {
    case Vectors::kAvx2:
      return Find32Avx2;
    case Vectors::kAvx512:
      return Find32Avx512;
    case Vectors::kNone:
      break;
  }
  return FindPlain<Node32, uint32_t>;
}

Find64 Find64By(Vectors vectors) {
  switch (vectors) {
    case Vectors::kAvx2:
      return Find64Avx2;
    case Vectors::kAvx512:
      return Find64Avx512;
    case Vectors::kNone:
      break;
  }
  return FindPlain<Node64, uint64_t>;
}

}  // namespace sluice::search
