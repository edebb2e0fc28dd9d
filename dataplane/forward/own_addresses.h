// What only the firewall has: the addresses that its rules translate to, and
// those that they redirect from. Nobody on the wire would answer for them, so
// it does it itself, at both ends of a wire with `answer_arp = "translation"`:
// with the MAC address of the port where it is asked.
//
// The control lcore makes one for each wire when a policy comes into force, and
// workers read it with the topology: the addresses never change, only the
// standing of each, which is an atomic of its own. Nobody answers for an
// address before others have been asked for it, nor while somebody else does.
//
// Each VLAN has a standing of its own, since hosts of two have nothing to do
// with each other. No rule names one, so they are learnt of what comes: a
// question for one of the addresses, or a packet that is translated, makes its
// VLAN a **lane**, in which is asked, announced and answered from then on.
#ifndef SLUICE_DATAPLANE_FORWARD_OWN_ADDRESSES_H_
#define SLUICE_DATAPLANE_FORWARD_OWN_ADDRESSES_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "packet/address.h"
#include "packet/neighbor.h"
#include "packet/packet.h"
#include "packet/vlan.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"

namespace sluice {

class OwnAddresses {
 public:
  enum class Standing : uint8_t {
    kAsking,  // whether anybody has it
    kOurs,
    kTaken,   // somebody else answers for it
  };

  // Ascending, none twice. Those that `before` (null: nothing) had stay what
  // they were. `leaving` is a part of them: no rule gives these out any more,
  // but states may have them. Whoever asks before he takes one of these gets no
  // answer, and whoever has taken one gets it.
  explicit OwnAddresses(std::vector<Address> addresses,
                        const OwnAddresses* before = nullptr,
                        std::vector<Address> leaving = {});

  const std::vector<Address>& addresses() const { return addresses_; }
  const std::vector<Address>& leaving() const { return leaving_; }
  size_t size() const { return addresses_.size(); }
  static constexpr size_t kNone = ~size_t{0};
  // Its place, or kNone.
  size_t Find(const Address& address) const;

  // Lanes: that of untagged frames, which is there always and which VLANs
  // share for which there is no room, and those of VLANs.
  static constexpr size_t kUntagged = 0;
  static constexpr size_t kMostVlans = 32;
  size_t lanes() const;
  // Of a frame, which is noted as one that uses these addresses. Any worker.
  size_t LaneOf(const rte_mbuf& frame, const PacketInfo& info) {
    return info.has(kVlanTagged) ? LaneOfTagged(frame, info) : kUntagged;
  }
  VlanId vlan(size_t lane) const {
    return lane == kUntagged
               ? VlanId()
               : VlanId{vlans_[lane - 1].number.load(
                     std::memory_order_relaxed)};
  }
  // What frames of a lane bear; false: not known yet.
  bool TagsOf(size_t lane, LinkTags* tags) const;

  // Any lcore; workers write.
  Standing standing(size_t place, size_t lane = kUntagged) const {
    return At(place, lane).standing.load(std::memory_order_relaxed);
  }
  // In any lane.
  bool HasStanding(size_t place, Standing wanted) const;
  // `probe`: he who asks has no address yet, and may want this one.
  bool AnswersFor(const Address& address, size_t lane = kUntagged,
                  bool probe = false) const {
    const size_t place = Find(address);
    return place != kNone && standing(place, lane) == Standing::kOurs &&
           !(probe && IsLeaving(address));
  }
  bool IsLeaving(const Address& address) const {
    return std::binary_search(leaving_.begin(), leaving_.end(), address);
  }
  // Somebody else has said that it is there. True: that is news.
  bool NoteTaken(size_t place, size_t lane, Tick now);
  // There is nobody to be asked: for simulations.
  void TakeAll();

 private:
  friend class OwnAddressSpeaker;

  struct Entry {
    std::atomic<Standing> standing{Standing::kAsking};
    // What has been said in this standing, and when more is to be said.
    std::atomic<uint8_t> said{0};
    std::atomic<Tick> due{0};
  };

  // A VLAN that uses these addresses. Places are taken one after the other and
  // kept: a worker sets the number, then the tags.
  struct Vlan {
    std::atomic<uint32_t> number{0};  // VlanId, 0: free
    std::atomic<uint64_t> tags{0};    // as they lie in a frame, 0: not there yet
  };

  Entry& At(size_t place, size_t lane) {
    return entries_[lane * addresses_.size() + place];
  }
  const Entry& At(size_t place, size_t lane) const {
    return entries_[lane * addresses_.size() + place];
  }
  size_t LaneOfTagged(const rte_mbuf& frame, const PacketInfo& info);

  const std::vector<Address> addresses_;
  const std::vector<Address> leaving_;
  const std::unique_ptr<Entry[]> entries_;  // of each lane
  std::array<Vlan, kMostVlans> vlans_;
};

// More of one pool, rule or table than this are left to a route that leads to
// one of the addresses; and so many at most are answered for at a wire.
inline constexpr uint64_t kMostOfOnePool = 1024;
inline constexpr size_t kMostOfOneWire = 4096;

// What the generation's rules give out, or redirect, at one of these ports:
// the targets of nat-to, binat-to and FreeBSD's rules, the destinations of
// rdr-to. Unsorted, with repetitions. Control side.
void AddTranslationAddresses(const Generation& generation,
                             InterfaceView first, InterfaceView second,
                             std::vector<Address>* addresses);
// Sorts them, drops repetitions and what no host can have. False: some more
// than kMostOfOneWire are left out.
bool TidyOwnAddresses(std::vector<Address>* addresses);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_OWN_ADDRESSES_H_
