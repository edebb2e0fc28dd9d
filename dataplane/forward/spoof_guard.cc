#include "dataplane/forward/spoof_guard.h"

#include <rte_mbuf.h>
#include <rte_pause.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "packet/headers.h"
#include "pftable/engine/compiled_ether.h"
#include "pftable/engine/ether.h"

namespace sluice {
namespace {

constexpr uint16_t kBootpClient = 68;
constexpr uint16_t kBootpServer = 67;

constexpr uint8_t kMldReport = 131;
constexpr uint8_t kMldDone = 132;
constexpr uint8_t kRouterSolicitation = 133;
constexpr uint8_t kRouterAdvertisement = 134;
constexpr uint8_t kNeighborSolicitation = 135;
constexpr uint8_t kNeighborAdvertisement = 136;
constexpr uint8_t kMldReport2 = 143;

constexpr uint8_t kSourceLinkLayer = 1;
constexpr uint8_t kTargetLinkLayer = 2;
// More options has no message that fits into an Ethernet frame and is meant.
constexpr int kMaxOptions = 64;

// All bytes of RFC 826's packet for Ethernet and IPv4.
struct ArpPacket {
  uint8_t hardware[2], protocol[2];
  uint8_t hardware_length, protocol_length;
  uint8_t operation[2];
  std::array<uint8_t, 6> sender_mac;
  std::array<uint8_t, 4> sender;
  std::array<uint8_t, 6> target_mac;
  std::array<uint8_t, 4> target;
};
static_assert(sizeof(ArpPacket) == 28);

template <typename T>
bool Read(const rte_mbuf& frame, uint32_t offset, T* out) {
  const void* const at = rte_pktmbuf_read(&frame, offset, sizeof *out, out);
  if (at == nullptr) return false;
  if (at != out) std::memcpy(out, at, sizeof *out);
  return true;
}

bool IsUnspecified(const Address& address) {
  return std::ranges::all_of(address.bytes,
                             [](uint8_t byte) { return byte == 0; });
}

bool IsLinkLocal(const Address& address) {
  return address.family == Family::kIpv6 && address.bytes[0] == 0xfe &&
         (address.bytes[1] & 0xc0) == 0x80;
}

// The interface identifier that an EUI-48 makes.
Address LinkLocalOf(uint64_t mac) {
  Address address;
  address.family = Family::kIpv6;
  const auto byte = [mac](int i) {
    return static_cast<uint8_t>(mac >> (8 * i));
  };
  address.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0};
  address.bytes[8] = byte(0) ^ 2;
  address.bytes[9] = byte(1);
  address.bytes[10] = byte(2);
  address.bytes[11] = 0xff;
  address.bytes[12] = 0xfe;
  address.bytes[13] = byte(3);
  address.bytes[14] = byte(4);
  address.bytes[15] = byte(5);
  return address;
}

std::optional<uint64_t> ParseMacNumber(std::string_view text) {
  std::array<uint8_t, 6> mac{};
  if (text.size() != 17) return std::nullopt;
  for (size_t i = 0; i < mac.size(); ++i) {
    const char* const at = text.data() + 3 * i;
    if (i > 0 && at[-1] != ':') return std::nullopt;
    const auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
    if (error != std::errc() || end != at + 2) return std::nullopt;
  }
  // A group is nobody's source.
  if ((mac[0] & 1) != 0 || MacNumber(mac) == 0) return std::nullopt;
  return MacNumber(mac);
}

std::string_view TakeWord(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(' '), text->size()));
  const std::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(word.size());
  return word;
}

}  // namespace

std::optional<SpoofBinding> ParseSpoofBinding(std::string_view text) {
  SpoofBinding binding;
  std::string_view word = TakeWord(&text);
  if (const auto mac = ParseMacNumber(word)) {
    binding.mac = *mac;
    word = TakeWord(&text);
  }
  if (!word.empty() && word != "vlan") {
    const std::optional<Prefix> prefix = ParsePrefix(word);
    if (!prefix || prefix->Masked() != *prefix) return std::nullopt;
    binding.address = *prefix;
    word = TakeWord(&text);
  }
  if (word == "vlan") {
    const std::optional<VlanId> vlan = ParseVlan(TakeWord(&text));
    if (!vlan || !vlan->IsSet()) return std::nullopt;
    binding.vlan = *vlan;
    word = TakeWord(&text);
  }
  const bool bound = binding.mac != 0 ||
                     binding.address.address.family != Family::kNone;
  if (!word.empty() || !bound) return std::nullopt;
  return binding;
}

std::string MacText(uint64_t mac) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 6; ++i) {
    const auto byte = static_cast<uint8_t>(mac >> (8 * i));
    if (i > 0) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string ToString(const SpoofBinding& binding) {
  std::string text;
  if (binding.mac != 0) text = MacText(binding.mac);
  if (binding.address.address.family != Family::kNone) {
    if (!text.empty()) text += ' ';
    text += ToString(binding.address);
  }
  if (binding.vlan.IsSet()) text += " vlan " + ToString(binding.vlan);
  return text;
}

SpoofGuard::SpoofGuard(SpoofSettings settings)
    : settings_(std::move(settings)) {
  for (const SpoofBinding& binding : settings_.bindings) {
    any_mac_ |= binding.mac == 0 && !binding.vlan.IsSet();
  }
  learns_mac_ = settings_.learn != 0 && settings_.bindings.empty();
  learnt_[0].room = learnt_[1].room = settings_.learn;
  learnt_[2].room = settings_.learn != 0 ? 1 : 0;
}

bool SpoofGuard::AllowsMac(uint64_t mac, VlanId vlan) {
  // A group's address is nobody's source.
  if (mac == 0 || (mac & 1) != 0) return false;
  if (any_mac_) return true;
  for (const SpoofBinding& binding : settings_.bindings) {
    if ((binding.mac == 0 || binding.mac == mac) &&
        (!binding.vlan.IsSet() || binding.vlan == vlan)) {
      return true;
    }
  }
  if (!learns_mac_) return false;
  uint64_t known = mac_.load(std::memory_order_relaxed);
  return known == mac ||
         (known == 0 && (mac_.compare_exchange_strong(
                             known, mac, std::memory_order_relaxed) ||
                         known == mac));
}

bool SpoofGuard::AllowsLearnt(const Address& address, Claim claim,
                              Learnt* learnt) {
  const auto known = [&](uint32_t count) {
    return std::find(learnt->address.begin(), learnt->address.begin() + count,
                     address.bytes) != learnt->address.begin() + count;
  };
  uint32_t count = learnt->count.load(std::memory_order_acquire);
  if (known(count)) return true;
  if (count >= learnt->room) return false;
  if (claim == Claim::kAsk) return true;
  while (lock_.test_and_set(std::memory_order_acquire)) rte_pause();
  count = learnt->count.load(std::memory_order_relaxed);
  const bool was = known(count);
  const bool fits = count < learnt->room;
  if (!was && fits) {
    learnt->address[count] = address.bytes;
    learnt->count.store(count + 1, std::memory_order_release);
  }
  lock_.clear(std::memory_order_release);
  return was || fits;
}

bool SpoofGuard::Allows(uint64_t mac, const Address& address, VlanId vlan,
                        Claim claim) {
  for (const SpoofBinding& binding : settings_.bindings) {
    if ((binding.mac == 0 || binding.mac == mac) &&
        (!binding.vlan.IsSet() || binding.vlan == vlan) &&
        (binding.address.address.family == Family::kNone ||
         binding.address.Contains(address))) {
      return true;
    }
  }
  const bool link_local = IsLinkLocal(address);
  if (link_local && address == LinkLocalOf(mac)) return true;
  // Groups are nobody's.
  const bool group = address.family == Family::kIpv4
                         ? address.bytes[0] >= 224
                         : address.bytes[0] == 0xff;
  if (settings_.learn == 0 || group) return false;
  return AllowsLearnt(address, claim,
                      &learnt_[link_local                        ? 2
                               : address.family == Family::kIpv6 ? 1
                                                                 : 0]);
}

SpoofFault SpoofGuard::Check(const rte_mbuf& frame, const PacketInfo& info,
                             SpoofRecord* record) {
  // It is dropped in any case, and teaches nothing.
  if (info.kind == Kind::kMalformed) return SpoofFault::kNone;
  EtherInput ethernet;
  *record = {};
  if (!ReadFrame(frame, info, &ethernet)) return SpoofFault::kNone;
  record->mac = ethernet.source;
  record->vlan = VlanOf(frame, info);
  if (!AllowsMac(ethernet.source, record->vlan)) return SpoofFault::kMac;
  if (info.kind == Kind::kIp) return CheckIp(frame, info, record);
  return ethernet.inner_type == wire::ethertype::kArp
             ? CheckArp(frame, info, record)
             : SpoofFault::kNone;
}

SpoofFault SpoofGuard::CheckArp(const rte_mbuf& frame, const PacketInfo& info,
                                SpoofRecord* record) {
  ArpPacket arp;
  if (!Read(frame, info.l3_offset, &arp)) return SpoofFault::kArp;
  constexpr std::array<uint8_t, 6> kForm = {0, 1, 8, 0, 6, 4};
  if (std::memcmp(&arp, kForm.data(), kForm.size()) != 0 ||
      MacNumber(arp.sender_mac) != record->mac) {
    return SpoofFault::kArp;
  }
  Address claimed = Address::FromBytes(Family::kIpv4, arp.sender.data());
  Claim claim = Claim::kLearn;
  if (IsUnspecified(claimed)) {
    // A probe (RFC 5227): whether somebody has the address already.
    if (arp.operation[0] != 0 || arp.operation[1] != 1) return SpoofFault::kArp;
    claimed = Address::FromBytes(Family::kIpv4, arp.target.data());
    claim = Claim::kAsk;
  }
  record->address = claimed;
  return Allows(record->mac, claimed, record->vlan, claim) ? SpoofFault::kNone
                                                           : SpoofFault::kArp;
}

SpoofFault SpoofGuard::CheckIp(const rte_mbuf& frame, const PacketInfo& info,
                               SpoofRecord* record) {
  const Address source = info.source_address();
  record->address = source;
  const bool whole = !info.has(kFragment);
  if (IsUnspecified(source)) {
    if (!whole) return SpoofFault::kAddress;
    if (info.family == Family::kIpv4) {
      return info.proto == protocol::kUdp &&
                     info.source_port == Be16(kBootpClient) &&
                     info.destination_port == Be16(kBootpServer)
                 ? SpoofFault::kNone
                 : SpoofFault::kAddress;
    }
    if (info.proto != protocol::kIcmp6) return SpoofFault::kAddress;
    switch (info.icmp_type) {
      case kMldReport:
      case kMldDone:
      case kMldReport2:
      case kRouterSolicitation:
        return SpoofFault::kNone;
      case kNeighborSolicitation:
        return CheckNeighbor(frame, info, record);
      default:
        return SpoofFault::kAddress;
    }
  }
  if (!Allows(record->mac, source, record->vlan, Claim::kLearn)) {
    return SpoofFault::kAddress;
  }
  // In fragments nobody may take it for what it says (RFC 6980).
  return info.proto == protocol::kIcmp6 && whole &&
                 info.icmp_type >= kRouterSolicitation &&
                 info.icmp_type <= kNeighborAdvertisement
             ? CheckNeighbor(frame, info, record)
             : SpoofFault::kNone;
}

SpoofFault SpoofGuard::CheckNeighbor(const rte_mbuf& frame,
                                     const PacketInfo& info,
                                     SpoofRecord* record) {
  const uint8_t type = info.icmp_type;
  const bool has_target =
      type == kNeighborSolicitation || type == kNeighborAdvertisement;
  const bool unspecified = IsUnspecified(info.source_address());
  uint32_t offset = 8;
  if (type == kRouterAdvertisement) offset = 16;
  if (has_target) offset = 24;
  if (info.l4_length < offset) return SpoofFault::kNeighbor;
  if (has_target && (type == kNeighborAdvertisement || unspecified)) {
    std::array<uint8_t, 16> target;
    if (!Read(frame, info.l4_offset + 8u, &target)) {
      return SpoofFault::kNeighbor;
    }
    // Its own: advertised, or looked for twice before it is used.
    record->address = Address::FromBytes(Family::kIpv6, target.data());
    const Claim claim =
        type == kNeighborAdvertisement ? Claim::kLearn : Claim::kAsk;
    if (!Allows(record->mac, record->address, record->vlan, claim)) {
      return SpoofFault::kNeighbor;
    }
  }
  const uint8_t own =
      type == kNeighborAdvertisement ? kTargetLinkLayer : kSourceLinkLayer;
  for (int i = 0; i < kMaxOptions && offset < info.l4_length; ++i) {
    std::array<uint8_t, 8> option;
    if (info.l4_length - offset < option.size() ||
        !Read(frame, info.l4_offset + offset, &option) || option[1] == 0) {
      return SpoofFault::kNeighbor;
    }
    if (option[0] == own) {
      std::array<uint8_t, 6> mac;
      std::copy_n(option.begin() + 2, mac.size(), mac.begin());
      if (MacNumber(mac) != record->mac) return SpoofFault::kNeighbor;
    }
    offset += option[1] * 8u;
  }
  // One that is longer than this hides what stands behind.
  return offset < info.l4_length ? SpoofFault::kNeighbor : SpoofFault::kNone;
}

std::vector<SpoofBinding> SpoofGuard::Learned() const {
  std::vector<SpoofBinding> bindings;
  const uint64_t mac = mac_.load(std::memory_order_relaxed);
  for (size_t kind = 0; kind < learnt_.size(); ++kind) {
    const Learnt& learnt = learnt_[kind];
    const uint32_t count = learnt.count.load(std::memory_order_acquire);
    const Family family = kind == 0 ? Family::kIpv4 : Family::kIpv6;
    for (uint32_t i = 0; i < count; ++i) {
      bindings.push_back(
          {.mac = mac,
           .address = {.address = Address::FromBytes(
                           family, learnt.address[i].data()),
                       .length = static_cast<uint8_t>(AddressBits(family))}});
    }
  }
  if (bindings.empty() && mac != 0) bindings.push_back({.mac = mac});
  return bindings;
}

}  // namespace sluice
