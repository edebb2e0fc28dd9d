// Says to the hosts of wires what addresses the firewall has: asks first
// whether somebody else has one (RFC 5227 section 2.1, RFC 4862 section 5.4),
// then announces it (RFC 5227 section 2.3, RFC 4861 section 7.2.6); the same
// again when a port has come up. A new process does all that anew, so that
// switches learn where the addresses are after a take-over. What somebody else
// has is asked for again every few seconds.
//
// In each VLAN that is known to use the addresses, and untagged.
//
// Belongs to one worker, which calls Speak() between bursts and transmits what
// it makes. Neither allocates (frames come from the pool) nor waits.
#ifndef SLUICE_DATAPLANE_FORWARD_OWN_ADDRESS_SPEAKER_H_
#define SLUICE_DATAPLANE_FORWARD_OWN_ADDRESS_SPEAKER_H_

#include <array>
#include <bitset>
#include <cstdint>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/own_addresses.h"
#include "dataplane/forward/topology.h"
#include "packet/packet.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

class OwnAddressSpeaker {
 public:
  static constexpr uint8_t kQuestions = 3;
  static constexpr Tick kQuestionInterval = 300;
  static constexpr uint8_t kAnnouncements = 2;
  static constexpr Tick kAnnouncementInterval = 1'000;
  // Addresses that are looked at in one call.
  static constexpr uint32_t kBudget = 32;

  // Null: nothing is said, and nothing becomes the firewall's.
  explicit OwnAddressSpeaker(rte_mempool* pool) : pool_(pool) {}

  // When the topology has changed.
  void Adopt(const Topology& topology, Tick now);
  // Calls send(port, mbuf) for each frame that is to leave now.
  template <typename Send>
  void Speak(const Topology& topology, Tick now, Send send) {
    if (wires_ == 0 || pool_ == nullptr) [[likely]] return;
    for (uint32_t i = 0; i < kBudget; ++i) {
      const PortContext* const port = Next(topology);
      if (port == nullptr) return;
      // All have had their turn.
      const Turn turn = {port_, place_, lane_};
      if (i == 0) {
        first_ = turn;
      } else if (turn == first_) {
        return;
      }
      // Nobody would hear it.
      if (!CanSpeak(*port) && !CanSpeak(topology.ports[port->peer])) continue;
      LinkTags tags;
      if (!port->own->TagsOf(lane_, &tags)) continue;
      const Speech speech = Due(*port->own, place_, lane_, now);
      if (speech == Speech::kNothing) continue;
      const Address& address = port->own->addresses()[place_];
      for (const PortContext* end : {port, &topology.ports[port->peer]}) {
        if (!CanSpeak(*end)) continue;
        if (rte_mbuf* frame = Make(speech, address, end->mac, tags)) {
          send(end->port, frame);
        }
      }
    }
  }

 private:
  enum class Speech : uint8_t { kNothing, kQuestion, kAnnouncement };
  // Whose turn it was at the beginning of a call.
  struct Turn {
    uint16_t port = 0;
    size_t place = 0;
    size_t lane = 0;

    friend bool operator==(const Turn&, const Turn&) = default;
  };

  static bool CanSpeak(const PortContext& port) {
    return port.up && port.enabled;
  }
  // The next address of any wire in turn: its first port, place_ and lane_.
  const PortContext* Next(const Topology& topology);
  // What is to be said of it now; it counts as said.
  static Speech Due(OwnAddresses& own, size_t place, size_t lane, Tick now);
  rte_mbuf* Make(Speech speech, const Address& address, const MacAddress& mac,
                 const LinkTags& tags) const;

  rte_mempool* const pool_;
  uint32_t wires_ = 0;  // with addresses
  uint16_t end_ = 0;      // of the topology that it has
  uint16_t port_ = 0;   // whose turn it is
  size_t place_ = 0;
  size_t lane_ = 0;
  Turn first_;
  bool begun_ = false;  // place_ has had its turn
  std::bitset<kMaxPorts> up_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_OWN_ADDRESS_SPEAKER_H_
