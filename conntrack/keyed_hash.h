// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash whose values tell nothing
// of its key, for numbers that strangers see, initial sequence numbers and
// cookies. Indexes use something faster (flow_key.h), whose values stay inside.
#ifndef SLUICE_CONNTRACK_KEYED_HASH_H_
#define SLUICE_CONNTRACK_KEYED_HASH_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice {

struct HashKey {
  uint64_t low = 0;
  uint64_t high = 0;
};

inline uint64_t KeyedHash(const HashKey& key, std::span<const uint8_t> bytes) {
  uint64_t v0 = key.low ^ 0x736f6d6570736575ULL;
  uint64_t v1 = key.high ^ 0x646f72616e646f6dULL;
  uint64_t v2 = key.low ^ 0x6c7967656e657261ULL;
  uint64_t v3 = key.high ^ 0x7465646279746573ULL;
  const auto round = [&] {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  };
  const auto take = [&](uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  };
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    take(word);
  }
  uint64_t last = uint64_t{bytes.size()} << 56;
  std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  take(last);
  v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_KEYED_HASH_H_
