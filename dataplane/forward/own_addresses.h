// What only the firewall has: the addresses that its rules translate to, and
// those that they redirect from. Nobody on the wire would answer for them, so
// it does it itself, at both ends of a wire with `answer_arp = "translation"`:
// with the MAC address of the port where it is asked.
//
// The control lcore makes one for each wire when a policy comes into force, and
// workers read it with the topology: the addresses never change, only the
// standing of each, which is an atomic of its own. Nobody answers for an
// address before others have been asked for it, nor while somebody else does.
#ifndef SLUICE_DATAPLANE_FORWARD_OWN_ADDRESSES_H_
#define SLUICE_DATAPLANE_FORWARD_OWN_ADDRESSES_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "packet/address.h"
#include "packet/packet.h"
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

  // Any lcore; workers write.
  Standing standing(size_t place) const {
    return entries_[place].standing.load(std::memory_order_relaxed);
  }
  // `probe`: he who asks has no address yet, and may want this one.
  bool AnswersFor(const Address& address, bool probe = false) const {
    const size_t place = Find(address);
    return place != kNone && standing(place) == Standing::kOurs &&
           !(probe && IsLeaving(address));
  }
  bool IsLeaving(const Address& address) const {
    return std::binary_search(leaving_.begin(), leaving_.end(), address);
  }
  // Somebody else has said that it is there. True: that is news.
  bool NoteTaken(size_t place, Tick now);
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

  const std::vector<Address> addresses_;
  const std::vector<Address> leaving_;
  const std::unique_ptr<Entry[]> entries_;
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
