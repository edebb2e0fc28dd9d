// What the rows said of the classes that packets had lately: a direct-mapped
// table of one worker. Its keys are classes, not addresses, so that a flood of
// random addresses fills few of its places.
#ifndef SLUICE_PFTABLE_CLASSIFY_VERDICT_CACHE_H_
#define SLUICE_PFTABLE_CLASSIFY_VERDICT_CACHE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <memory>

#include "pftable/policy/stable_hash.h"

namespace sluice {

// The classes of a packet, and the part of a classifier that they are of.
struct ClassKey {
  uint64_t serial = 0;
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t transport = 0;
  uint16_t link = 0;

  friend bool operator==(const ClassKey&, const ClassKey&) = default;
  uint64_t Hash() const {
    const auto words = std::bit_cast<std::array<uint64_t, 3>>(*this);
    return MixBits(words[0] ^ MixBits(words[1] ^ MixBits(words[2])));
  }
};
static_assert(sizeof(ClassKey) == 24);

// The entries that packets with these classes may match, ascending, up to the
// first certain one or all of them.
inline constexpr uint32_t kMostCandidates = 9;
struct alignas(64) CandidateList {
  ClassKey key;
  uint32_t count = 0;
  std::array<uint32_t, kMostCandidates> entries;
};
static_assert(sizeof(CandidateList) == 64);

class VerdictCache {
 public:
  static constexpr uint32_t kLists = 1 << 13;

  VerdictCache() : lists_(std::make_unique<CandidateList[]>(kLists)) {}

  CandidateList& At(uint64_t hash) { return lists_[hash & (kLists - 1)]; }

 private:
  std::unique_ptr<CandidateList[]> lists_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_CLASSIFY_VERDICT_CACHE_H_
