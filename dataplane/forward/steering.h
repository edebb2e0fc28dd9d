// Which worker owns a flow.
//
// The owner is reta[h mod kRetaSize], where h is the Toeplitz hash with the
// symmetric key that NICs are given too: both directions of a flow have one
// owner, and where a NIC hashes, its packets arrive at that owner already. The
// hash is always computed here: what a NIC hashes, and of which packets,
// differs by model, and a flow that strays would be judged without its state.
//
// With that key the hash is a function of the exclusive or of the tuple's
// 16-bit words, so that it costs two table lookups.
#ifndef SLUICE_DATAPLANE_FORWARD_STEERING_H_
#define SLUICE_DATAPLANE_FORWARD_STEERING_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// For NICs: 0x6d5a again and again. 52 bytes serve all models.
inline constexpr size_t kSymmetricKeyBytes = 52;
extern const std::array<uint8_t, kSymmetricKeyBytes> kSymmetricKey;

inline constexpr size_t kRetaSize = 128;

// The hash of addresses and ports, which may be zero for a 2-tuple. Equal to
// rte_softrss() over both with kSymmetricKey.
uint32_t SymmetricHash(const Address& source, const Address& destination,
                       Be16 source_port, Be16 destination_port);

// The same of a packet: TCP and UDP by addresses and ports, everything else
// and all fragments by addresses.
uint32_t SymmetricHash(const PacketInfo& info);

// Of ICMPv6 questions that may be asked of all nodes of a link, and of their
// answers, which come from anybody's address: by the one who asks.
uint32_t HashOfQuerier(const Address& querier);

class Steering {
 public:
  // `workers` is 1..kMaxWorkers.
  explicit Steering(uint16_t workers);

  uint16_t workers() const { return workers_; }
  // Entry i of every NIC's table is the worker that polls its queue reta(i).
  uint16_t reta(size_t i) const { return reta_[i % kRetaSize]; }

  // The owner of a packet of kind kIp; packets of other kinds have none and
  // stay where they are. ICMP errors belong to the owner of the packet that
  // they complain about.
  uint16_t Owner(const rte_mbuf& mbuf, const PacketInfo& info) const;
  // Of a packet with these ends that is no fragment, no error and nothing of
  // neighbour discovery.
  uint16_t OwnerOfFlow(const PacketInfo& info) const {
    return reta_[SymmetricHash(info) % kRetaSize];
  }

 private:
  uint16_t workers_;
  std::array<uint16_t, kRetaSize> reta_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_STEERING_H_
