// Hashes that are the same in every process and on every machine, for what is
// compared across them: identities of rules, contents of policies.
#ifndef SLUICE_PFTABLE_POLICY_STABLE_HASH_H_
#define SLUICE_PFTABLE_POLICY_STABLE_HASH_H_

#include <cstdint>
#include <string_view>

namespace sluice {

// A bijection that spreads every input bit over the result.
constexpr uint64_t MixBits(uint64_t x) {
  x ^= x >> 32;
  x *= 0xe9846af9b1a615d;
  x ^= x >> 32;
  x *= 0xe9846af9b1a615d;
  x ^= x >> 28;
  return x;
}

constexpr uint64_t CombineHash(uint64_t hash, uint64_t value) {
  return MixBits(hash ^ (MixBits(value) + 0x9e3779b97f4a7c15));
}

// 64-bit FNV-1a, spread. Not for strangers' input where collisions matter:
// users compare the texts too.
constexpr uint64_t HashText(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return MixBits(hash);
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_STABLE_HASH_H_
