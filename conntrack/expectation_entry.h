// What the memory of ExpectationTable is made of, for its own sources only.
#ifndef SLUICE_CONNTRACK_EXPECTATION_ENTRY_H_
#define SLUICE_CONNTRACK_EXPECTATION_ENTRY_H_

#include <emmintrin.h>

#include <array>
#include <atomic>
#include <cstring>

#include "conntrack/expectation.h"

namespace sluice {
namespace internal {

inline constexpr uint32_t kNone = 0xffffffff;
inline constexpr uint32_t kMaxRecords = kNoFamilyRecord;

// Held for tens of instructions; nothing inside it waits or calls out.
class Spinlock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) {
      while (flag_.test(std::memory_order_relaxed)) _mm_pause();
    }
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_;
};

// What a child's first packet has in common with its expectation, but for the
// server's address: packets from elsewhere fall into the same chain and can be
// counted.
struct Target {
  std::array<uint8_t, 16> client{};
  VlanId vlan{};
  uint16_t client_port = 0;  // network order, as all ports here
  uint16_t filter = 0;
  Family family = Family::kNone;
  Direction direction = Direction::kIn;  // of the child; SCTP: kBoth
  uint8_t proto = protocol::kUdp;

  friend bool operator==(const Target&, const Target&) = default;
};

struct Server {
  std::array<uint8_t, 16> address{};
  uint16_t port = 0;         // 0: any
  uint16_t parent_port = 0;  // not to come from there

  friend bool operator==(const Server&, const Server&) = default;
};

// A packet as expectations are compared with it.
struct Arrival {
  Target target;
  std::array<uint8_t, 16> from{};
  uint16_t from_port = 0;
  uint16_t interface = 0;
  // SCTP: the end that sends it, with this tag.
  size_t sender = 0;
  uint32_t tag = 0;
};

struct Expectation {
  Target target;
  Server server;
  Tick expires = 0;
  uint16_t record = kNoFamilyRecord;
  uint32_t source = kNone;
  uint32_t hash_next = kNone;  // free entries too
  uint32_t sibling = kNone;    // the next of the same parent
  uint32_t older = kNone;
  uint32_t newer = kNone;
  StateTemplate values;
  uint16_t interface = 0;  // with kStateIfBound
  // Reserved: not in the list by age, and met by nobody.
  bool pending = false;
  std::array<uint8_t, 16> owner{};
  std::array<uint32_t, 2> tag{};  // SCTP, by the end that bears it
  ExpectedEnds after{};

  // SCTP: the address at an end of the flow's key.
  const std::array<uint8_t, 16>& AtEnd(int end) const {
    return end == 0 ? target.client : server.address;
  }
};

// What lives for equally long, the oldest first.
struct AgeList {
  uint32_t oldest = kNone;
  uint32_t newest = kNone;
};

// The place of one child among those that its parent may have.
struct ChildSeat {
  bool taken = false;
  StateId child = 0;  // 0: of one that is not a state yet
  Tick active = 0;    // its client's last packet, as far as is known
};

struct FamilyRecord {
  StateHandle parent;  // id 0: free
  uint16_t filter = 0;
  Direction direction = Direction::kIn;
  uint32_t first = kNone;
  uint32_t next_free = kNone;
  uint8_t proto = protocol::kUdp;
  // Children without seats.
  uint32_t counted = 0;
  std::array<ChildSeat, kMaxFamilyChildren> seats{};

  // Whether its children are known one by one, so that an idle one can make
  // room.
  bool has_seats() const { return proto == protocol::kUdp; }

  // A taken seat with this id, or nullptr.
  ChildSeat* SeatOf(StateId child) {
    for (ChildSeat& seat : seats) {
      if (seat.taken && seat.child == child) return &seat;
    }
    return nullptr;
  }
  uint32_t children() const {
    uint32_t count = counted;
    for (const ChildSeat& seat : seats) count += seat.taken ? 1 : 0;
    return count;
  }
  ChildSeat* FreeSeat(uint32_t limit) {
    if (children() >= limit) return nullptr;
    for (ChildSeat& seat : seats) {
      if (!seat.taken) return &seat;
    }
    return nullptr;
  }
};

// What one filter has.
struct Use {
  uint32_t entries = 0;
  uint32_t records = 0;
};

// How many expectations one client has in one filter.
struct Source {
  std::array<uint8_t, 16> address{};
  VlanId vlan{};
  Family family = Family::kNone;
  uint16_t filter = 0;
  uint32_t count = 0;
  uint32_t next = kNone;
};

inline std::array<uint8_t, 16> Widen(uint32_t address) {
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, sizeof address);
  return bytes;
}

}  // namespace internal
}  // namespace sluice

#endif  // SLUICE_CONNTRACK_EXPECTATION_ENTRY_H_
