// What a port may claim to be: the MAC and IP addresses that frames which
// arrive there may have as their source, in Ethernet, ARP, neighbour discovery
// and IP. Who says anything else is dropped as kSpoofed, before any filter sees
// it. A port without a guard pays one test a burst.
//
// A frame is right if one of the bindings has its source MAC, its VLAN and, of
// ARP and IP, its source address. With the MAC and the VLAN of one, beyond that:
// - an unspecified source is right where it has to be: DHCP's first questions,
//   ARP probes and the neighbour solicitations of duplicate address detection
//   for an address that would be right, router solicitations and MLD reports;
// - so is the link-local address that follows from the MAC (RFC 4291, A);
// - ARP and neighbour discovery name no other MAC than the frame's.
#ifndef SLUICE_DATAPLANE_FORWARD_SPOOF_GUARD_H_
#define SLUICE_DATAPLANE_FORWARD_SPOOF_GUARD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/forward/record_ring.h"
#include "packet/address.h"
#include "packet/packet.h"
#include "packet/vlan.h"

struct rte_mbuf;

namespace sluice {

struct SpoofBinding {
  uint64_t mac = 0;  // MacNumber(); 0: any
  Prefix address{};  // of the family kNone: any
  VlanId vlan{};     // none: with any tags, and without

  friend bool operator==(const SpoofBinding&, const SpoofBinding&) = default;
};
inline constexpr size_t kMaxSpoofBindings = 256;

// "02:00:00:00:00:01 10.0.0.2 vlan 7.42": a MAC address, an address or network,
// or both, and perhaps a VLAN. Nothing if it is none.
std::optional<SpoofBinding> ParseSpoofBinding(std::string_view text);
std::string ToString(const SpoofBinding& binding);
std::string MacText(uint64_t mac);

struct SpoofSettings {
  std::vector<SpoofBinding> bindings;
  // So many addresses of each family are bound as they come, and, unless a
  // binding has one, the first MAC; 0: none.
  uint8_t learn = 0;

  bool IsSet() const { return !bindings.empty() || learn != 0; }
  friend bool operator==(const SpoofSettings&, const SpoofSettings&) = default;
};
inline constexpr uint8_t kMaxSpoofLearned = 16;

enum class SpoofFault : uint8_t {
  kNone,
  kMac,       // Ethernet's source
  kAddress,   // IP's source
  kArp,       // the sender in ARP, or what it probes for
  kNeighbor,  // the target or a link-layer address in neighbour discovery
};
inline constexpr std::array<std::string_view, 5> kSpoofFaultTexts = {
    "nothing", "its MAC address", "its IP address", "what it says in ARP",
    "what it says in neighbour discovery"};

// A frame that was dropped.
struct SpoofRecord {
  uint64_t mac = 0;
  Address address{};  // kNone: it is about none
  VlanId vlan{};
  uint16_t port = 0;
  SpoofFault fault = SpoofFault::kNone;
};
using SpoofRing = RecordRing<SpoofRecord>;

class SpoofGuard {
 public:
  explicit SpoofGuard(SpoofSettings settings);
  SpoofGuard(const SpoofGuard&) = delete;
  SpoofGuard& operator=(const SpoofGuard&) = delete;

  // Any worker. *record: what was wrong, but for the port.
  SpoofFault Check(const rte_mbuf& frame, const PacketInfo& info,
                   SpoofRecord* record);

  // Any lcore.
  const SpoofSettings& settings() const { return settings_; }
  std::vector<SpoofBinding> Learned() const;

 private:
  // How an address that is not bound may become so.
  enum class Claim : uint8_t {
    kLearn,  // it is bound now, if there is room
    kAsk,    // it might be: there is room, and nothing is bound yet
  };
  // The addresses of a kind that were bound as they came. One worker at a time
  // writes, under lock_; those below `count` never change.
  struct Learnt {
    std::array<std::array<uint8_t, 16>, kMaxSpoofLearned> address{};
    std::atomic<uint32_t> count{0};  // release; acquire
    uint32_t room = 0;
  };

  bool AllowsMac(uint64_t mac, VlanId vlan);
  bool Allows(uint64_t mac, const Address& address, VlanId vlan, Claim claim);
  bool AllowsLearnt(const Address& address, Claim claim, Learnt* learnt);
  SpoofFault CheckArp(const rte_mbuf& frame, const PacketInfo& info,
                      SpoofRecord* record);
  SpoofFault CheckIp(const rte_mbuf& frame, const PacketInfo& info,
                     SpoofRecord* record);
  SpoofFault CheckNeighbor(const rte_mbuf& frame, const PacketInfo& info,
                           SpoofRecord* record);

  const SpoofSettings settings_;
  // A binding has neither a MAC nor a VLAN.
  bool any_mac_ = false;
  bool learns_mac_ = false;
  std::atomic<uint64_t> mac_{0};  // that was learned; 0: none yet
  std::array<Learnt, 3> learnt_;  // IPv4, IPv6, link-local
  // Of workers alone, for as long as it takes to write one address.
  std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_SPOOF_GUARD_H_
