#include "conntrack/flow_key.h"

#include <sys/random.h>

#include <cstdlib>

namespace sluice {
namespace {

// SplitMix64: spreads a small seed over all bits.
uint64_t NextWord(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

HashSecret HashSecret::FromSeed(uint64_t seed) {
  HashSecret secret;
  for (uint64_t& word : secret.words) word = NextWord(&seed) | 1;
  return secret;
}

HashSecret HashSecret::Random() {
  uint64_t seed[3];
  // At most 256 bytes are never cut short once the generator is up, which
  // getrandom waits for.
  if (getrandom(seed, sizeof seed, 0) != sizeof seed) std::abort();
  HashSecret secret;
  for (size_t i = 0; i < secret.words.size(); ++i) {
    secret.words[i] = seed[i] | 1;
  }
  return secret;
}

namespace internal {

KeyPorts IcmpKeyPorts(const PacketInfo& info) {
  const IcmpMapping mapping = MapIcmp(info.family, info.icmp_type);
  const uint16_t id = info.source_port.raw();
  const uint16_t type = Be16(mapping.virtual_type).raw();
  return mapping.reply ? KeyPorts{type, id} : KeyPorts{id, type};
}

}  // namespace internal
}  // namespace sluice
