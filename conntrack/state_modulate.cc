// The parts of StateTable that give TCP peers other sequence numbers.
#include "conntrack/keyed_hash.h"
#include "conntrack/state_table.h"

namespace sluice {
namespace {

// RFC 6528: four microseconds a number.
constexpr uint32_t kNumbersATick = 250;

}  // namespace

// RFC 6528: a keyed hash of the connection, and a clock.
uint32_t StateTable::NewOffset(StateIndex state, uint32_t peer,
                               uint32_t sequence, Tick now) const {
  struct {
    std::array<uint8_t, 16> end0;
    std::array<uint8_t, 16> end1;
    uint32_t ports;
    uint32_t peer;
  } what{};
  static_assert(sizeof(what) == 40);
  const StateHot& hot = entries_.hot(state);
  if (hot.family() == Family::kIpv4) {
    std::memcpy(what.end0.data(), &hot.key.end0, 4);
    std::memcpy(what.end1.data(), &hot.key.end1, 4);
  } else {
    what.end0 = entries_.extra(state).key.end0;
    what.end1 = entries_.extra(state).key.end1;
  }
  what.ports = uint32_t{hot.key.port0} << 16 | hot.key.port1;
  what.peer = peer;
  const auto hash = static_cast<uint32_t>(KeyedHash(
      options_.sequence_key,
      {reinterpret_cast<const uint8_t*>(&what), sizeof what}));
  const uint32_t offset = hash + now * kNumbersATick - sequence;
  return offset != 0 ? offset : 1;
}

}  // namespace sluice
