// The plain model of a fragment cache: a map of bytes for each datagram. No
// bounds, no time: who uses it stays below the cache's limits and gives a
// datagram another identification when one is over.
#ifndef SLUICE_TESTS_PROPERTY_FRAGMENT_MODEL_H_
#define SLUICE_TESTS_PROPERTY_FRAGMENT_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace sluice {

struct ModelFragment {
  uint32_t id = 0;
  uint32_t offset = 0;  // bytes
  std::vector<uint8_t> data;
  bool more = false;
};

struct ModelAnswer {
  enum class Kind { kHeld, kWhole, kDropped } kind = Kind::kHeld;
  std::vector<uint8_t> whole;  // kWhole: its bytes
  uint32_t fragments = 0;      // kWhole: that it was made of
  uint32_t lost = 0;           // of those held, dropped on the way
};

class FragmentModel {
 public:
  explicit FragmentModel(bool v6) : v6_(v6) {}

  ModelAnswer Add(const ModelFragment& fragment) {
    ModelAnswer answer;
    Datagram& d = datagrams_[fragment.id];
    if (d.dead) return Dropped();
    const uint32_t begin = fragment.offset;
    const auto end = begin + static_cast<uint32_t>(fragment.data.size());
    const auto kill = [&] {
      if (!v6_) return Dropped();
      ModelAnswer dead = Dropped();
      dead.lost = d.Count();
      d = Datagram();
      d.dead = true;
      return dead;
    };

    if (v6_ && IsCopy(d, fragment)) return Dropped();
    // Where the datagram ends is said once.
    if (!d.bytes.empty()) {
      const uint32_t reach = d.bytes.rbegin()->first + 1;
      if (d.ended ? end > reach || (end < reach && !fragment.more) ||
                        (end == reach && fragment.more)
                  : !fragment.more && end <= reach) {
        return kill();
      }
    }
    // Byte by byte: what begins earlier keeps what it has.
    std::map<uint32_t, uint32_t> starts;
    for (const auto& [at, byte] : d.bytes) starts.try_emplace(byte.owner, at);
    const uint32_t me = ++last_owner_;
    std::map<uint32_t, Byte> mine;
    for (uint32_t at = begin; at < end; ++at) {
      const auto there = d.bytes.find(at);
      if (there != d.bytes.end()) {
        if (v6_) return kill();
        if (starts[there->second.owner] <= begin) continue;
      }
      mine[at] = {me, fragment.data[at - begin]};
    }
    if (mine.empty()) return Dropped();
    const uint32_t before = d.Count();
    for (const auto& [at, byte] : mine) d.bytes[at] = byte;
    answer.lost = before + 1 - d.Count();
    if (!fragment.more) d.ended = true;
    if (d.ended && d.bytes.begin()->first == 0 &&
        d.bytes.rbegin()->first + 1 == d.bytes.size()) {
      answer.kind = ModelAnswer::Kind::kWhole;
      for (const auto& [at, byte] : d.bytes) answer.whole.push_back(byte.value);
      answer.fragments = d.Count();
      datagrams_.erase(fragment.id);
    }
    return answer;
  }

  // Fragments of all datagrams.
  uint32_t held() const {
    uint32_t count = 0;
    for (const auto& [id, d] : datagrams_) count += d.Count();
    return count;
  }

 private:
  struct Byte {
    uint32_t owner = 0;
    uint8_t value = 0;
  };
  struct Datagram {
    std::map<uint32_t, Byte> bytes;
    bool ended = false;
    bool dead = false;

    uint32_t Count() const {
      std::set<uint32_t> owners;
      for (const auto& [at, byte] : bytes) owners.insert(byte.owner);
      return static_cast<uint32_t>(owners.size());
    }
  };

  static ModelAnswer Dropped() {
    ModelAnswer answer;
    answer.kind = ModelAnswer::Kind::kDropped;
    return answer;
  }

  // IPv6 datagrams have no overlaps, so that an owner's bytes are a fragment.
  static bool IsCopy(const Datagram& d, const ModelFragment& fragment) {
    const auto first = d.bytes.find(fragment.offset);
    if (first == d.bytes.end()) return false;
    std::vector<uint8_t> data;
    uint32_t begin = ~0u;
    for (const auto& [at, byte] : d.bytes) {
      if (byte.owner != first->second.owner) continue;
      if (begin == ~0u) begin = at;
      data.push_back(byte.value);
    }
    const bool last = begin + data.size() == d.bytes.rbegin()->first + 1;
    const bool more = !(last && d.ended);
    return begin == fragment.offset && data == fragment.data &&
           more == fragment.more;
  }

  const bool v6_;
  std::map<uint32_t, Datagram> datagrams_;
  uint32_t last_owner_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_PROPERTY_FRAGMENT_MODEL_H_
