#include "restore/snapshot_states.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "packet/family.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_cursor.h"
#include "restore/snapshot_format.h"

namespace sluice {
namespace {

// Places in the value of a state (docs/snapshot-format.md).
constexpr size_t kParentOffset = 8;
constexpr size_t kAttributesOffset = 50;
constexpr size_t kFamilyOffset = 44;
constexpr size_t kProtoOffset = 45;
constexpr size_t kDirectionOffset = 46;
constexpr size_t kHelperOffset = 48;
constexpr size_t kPortOffsets[2] = {52 + 26, 84 + 26};
constexpr size_t kAddressOffset = 116;

uint64_t Get64(const uint8_t* at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= uint64_t{at[i]} << (8 * i);
  return value;
}

uint32_t Get32(const uint8_t* at) {
  return uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 |
         uint32_t{at[3]} << 24;
}

// Calls use(attribute) for those of a state's value.
template <typename Use>
void ForEachAttribute(const uint8_t* value, size_t length, Use use) {
  const size_t address_bytes = value[kFamilyOffset] == 6 ? 16 : 4;
  const size_t attributes = kAddressOffset + 2 * address_bytes;
  SnapshotCursor from({value + attributes, length - attributes});
  SnapshotTlv tlv;
  while (from.left() > 0 && GetTlv(from, &tlv)) use(tlv);
}

// What makes two states one flow: the ends from the side on which it is
// judged, the VLAN, and the interface that it is bound to.
struct Flow {
  uint8_t proto = 0;
  uint32_t vlan = 0;  // as it is written
  size_t address_bytes = 0;
  std::array<const uint8_t*, 2> addresses{};
  std::array<const uint8_t*, 2> ports{};
  absl::string_view interface;

  friend bool operator==(const Flow& a, const Flow& b) {
    if (a.proto != b.proto || a.vlan != b.vlan ||
        a.address_bytes != b.address_bytes || a.interface != b.interface) {
      return false;
    }
    for (size_t i = 0; i < 2; ++i) {
      if (std::memcmp(a.addresses[i], b.addresses[i], a.address_bytes) != 0 ||
          std::memcmp(a.ports[i], b.ports[i], 2) != 0) {
        return false;
      }
    }
    return true;
  }
};

Flow FlowOf(const uint8_t* value, size_t length) {
  Flow flow;
  flow.proto = value[kProtoOffset];
  flow.address_bytes = value[kFamilyOffset] == 6 ? 16 : 4;
  const size_t first =
      value[kDirectionOffset] == static_cast<uint8_t>(Direction::kIn) ? 0 : 1;
  for (size_t i = 0; i < 2; ++i) {
    const size_t end = i ^ first;
    flow.addresses[i] = value + kAddressOffset + end * flow.address_bytes;
    flow.ports[i] = value + kPortOffsets[end];
  }
  ForEachAttribute(value, length, [&](const SnapshotTlv& tlv) {
    if (tlv.type == static_cast<uint16_t>(AttributeType::kInterface)) {
      flow.interface = {reinterpret_cast<const char*>(tlv.value.data()),
                        tlv.value.size()};
    } else if (tlv.type == static_cast<uint16_t>(AttributeType::kVlan)) {
      flow.vlan = Get32(tlv.value.data());
    }
  });
  return flow;
}

// What a translated state has given out, whichever way its packets go; of
// others, a flow of no addresses.
Flow GivenFlowAt(const uint8_t* value, size_t length) {
  Flow flow;
  ForEachAttribute(value, length, [&](const SnapshotTlv& tlv) {
    if (tlv.type == static_cast<uint16_t>(AttributeType::kVlan)) {
      flow.vlan = Get32(tlv.value.data());
    }
    if (tlv.type != static_cast<uint16_t>(AttributeType::kTranslation)) {
      return;
    }
    constexpr size_t kPorts = 2;
    constexpr size_t kAddresses = 8;
    const uint8_t* const at = tlv.value.data();
    flow.proto = value[kProtoOffset];
    flow.address_bytes = at[0] == 6 ? 16 : 4;
    if (at[0] != value[kFamilyOffset]) flow.proto = ProtocolAcross(flow.proto);
    for (size_t i = 0; i < 2; ++i) {
      flow.addresses[i] = at + kAddresses + i * flow.address_bytes;
      flow.ports[i] = at + kPorts + i * 2;
    }
    const int order = std::memcmp(flow.addresses[0], flow.addresses[1],
                                  flow.address_bytes);
    if (order > 0 ||
        (order == 0 && std::memcmp(flow.ports[0], flow.ports[1], 2) > 0)) {
      std::swap(flow.addresses[0], flow.addresses[1]);
      std::swap(flow.ports[0], flow.ports[1]);
    }
  });
  return flow;
}

size_t HashOf(const Flow& flow) {
  const auto text = [](const uint8_t* at, size_t length) {
    return absl::string_view(reinterpret_cast<const char*>(at), length);
  };
  return absl::HashOf(flow.proto, flow.vlan,
                      text(flow.addresses[0], flow.address_bytes),
                      text(flow.addresses[1], flow.address_bytes),
                      text(flow.ports[0], 2), text(flow.ports[1], 2));
}

}  // namespace

void SnapshotStates::Add(const SnapshotState& state) {
  SnapshotBytes& record = scratch_;
  record.Clear();
  PutState(record, state);
  translated_ |= state.is_translated();
  names_parents_ |= state.parent != 0 && state.proto != protocol::kUdp;
  if (kChunkBytes - used_ < record.size()) {
    chunks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(kChunkBytes));
    used_ = 0;
  }
  parents_.push_back({.id = state.id,
                      .chunk = static_cast<uint32_t>(chunks_.size() - 1),
                      .offset = static_cast<uint32_t>(used_)});
  std::memcpy(chunks_.back().get() + used_, record.bytes().data(),
              record.size());
  used_ += record.size();
}

std::span<const uint8_t> SnapshotStates::At(const Place& place) const {
  const uint8_t* const at = chunks_[place.chunk].get() + place.offset;
  uint32_t length = 0;
  for (size_t i = 0; i < 4; ++i) length |= uint32_t{at[4 + i]} << (8 * i);
  return {at, kTlvHeaderBytes + PaddedBytes(length)};
}

uint8_t* SnapshotStates::ValueOf(const Place& place) const {
  return chunks_[place.chunk].get() + place.offset + kTlvHeaderBytes;
}

VlanId SnapshotStates::VlanAt(const Place& place) const {
  const uint32_t numbers =
      FlowOf(ValueOf(place), At(place).size() - kTlvHeaderBytes).vlan;
  return VlanId::Of(static_cast<uint16_t>(numbers),
                    static_cast<uint16_t>(numbers >> 16));
}

// They ascend by id.
void SnapshotStates::DropOlderOfAFlow(bool given) {
  if (parents_.size() < 2) return;
  // Indexes plus one, at most half full. (Abseil's tables do not survive a
  // lack of memory.)
  const size_t mask = std::bit_ceil(parents_.size() * 2 + 1) - 1;
  std::vector<uint32_t> flows(mask + 1);
  const auto flow_of = [this, given](const Place& place) {
    const size_t length = At(place).size() - kTlvHeaderBytes;
    return given ? GivenFlowAt(ValueOf(place), length)
                 : FlowOf(ValueOf(place), length);
  };
  constexpr uint64_t kDropped = 0;
  for (size_t i = 0; i < parents_.size(); ++i) {
    const Flow flow = flow_of(parents_[i]);
    if (flow.address_bytes == 0) continue;
    size_t at = HashOf(flow) & mask;
    while (flows[at] != 0 && !(flow_of(parents_[flows[at] - 1]) == flow)) {
      at = (at + 1) & mask;
    }
    if (flows[at] != 0) {
      // The one before keeps its place in the table, under its flow.
      parents_[flows[at] - 1].id = kDropped;
    }
    flows[at] = static_cast<uint32_t>(i + 1);
  }
  std::erase_if(parents_,
                [](const Place& place) { return place.id == kDropped; });
}

void SnapshotStates::Keep(size_t parents) {
  const auto first_child =
      parents_.begin() + static_cast<ptrdiff_t>(parents);
  children_.assign(first_child, parents_.end());
  parents_.erase(first_child, parents_.end());
}

uint64_t SnapshotStates::Finish() {
  const auto by_id = [](const Place& a, const Place& b) {
    return a.id < b.id;
  };
  std::sort(parents_.begin(), parents_.end(), by_id);
  DropOlderOfAFlow(/*given=*/false);
  if (translated_) DropOlderOfAFlow(/*given=*/true);
  std::vector<Place> tied;
  for (const Place& place : parents_) {
    if (Get64(ValueOf(place) + kParentOffset) != 0) tied.push_back(place);
  }
  std::vector<Place> loose;
  loose.reserve(tied.size());
  children_.reserve(tied.size());
  std::erase_if(parents_, [this](const Place& place) {
    return Get64(ValueOf(place) + kParentOffset) != 0;
  });
  uint64_t cut = names_parents_ ? CutFlowTies() : 0;
  for (const Place& place : tied) {
    if (LinkIsSound(place)) {
      children_.push_back(place);
    } else {
      std::memset(ValueOf(place) + kParentOffset, 0, 8);
      ++cut;
      loose.push_back(place);
    }
  }
  if (!loose.empty()) {
    const auto middle = static_cast<ptrdiff_t>(parents_.size());
    parents_.insert(parents_.end(), loose.begin(), loose.end());
    std::inplace_merge(parents_.begin(), parents_.begin() + middle,
                       parents_.end(), by_id);
  }
  return cut;
}

bool SnapshotStates::LinkIsSound(const Place& place) const {
  SnapshotState child;
  ReadLink(place, &child);
  SnapshotState parent;
  const bool found = FindParent(child.parent, &parent);
  return WhatIsWrongWithLink(child, found ? &parent : nullptr) == nullptr;
}

// A parent is older, so its own tie is cut by the time that it is looked at.
uint64_t SnapshotStates::CutFlowTies() {
  constexpr size_t kBytes = kTlvHeaderBytes + sizeof(uint64_t);
  uint64_t cut = 0;
  for (const Place& place : parents_) {
    uint8_t* const value = ValueOf(place);
    if (value[kProtoOffset] == protocol::kUdp) continue;
    SnapshotState child;
    ReadLink(place, &child);
    if (child.parent == 0 || LinkIsSound(place)) continue;
    // It is the last attribute. The record becomes shorter where it is.
    uint8_t* const length_at = value - kTlvHeaderBytes + 4;
    const uint32_t length = Get32(length_at) - static_cast<uint32_t>(kBytes);
    for (size_t i = 0; i < 4; ++i) {
      length_at[i] = static_cast<uint8_t>(length >> (8 * i));
    }
    std::memset(value + length, 0, kBytes);
    --value[kAttributesOffset];
    ++cut;
  }
  return cut;
}

bool SnapshotStates::FindParent(uint64_t id, SnapshotState* state) const {
  const auto found = std::lower_bound(
      parents_.begin(), parents_.end(), id,
      [](const Place& place, uint64_t wanted) { return place.id < wanted; });
  if (found == parents_.end() || found->id != id) return false;
  ReadLink(*found, state);
  return true;
}

void SnapshotStates::ReadLink(const Place& place, SnapshotState* state) const {
  const uint8_t* const value = ValueOf(place);
  state->id = place.id;
  state->parent = Get64(value + kParentOffset);
  state->proto = value[kProtoOffset];
  state->helper = static_cast<SnapshotHelper>(value[kHelperOffset]);
  state->direction = static_cast<Direction>(value[kDirectionOffset]);
  state->vlan = VlanAt(place);
  ForEachAttribute(
      value, At(place).size() - kTlvHeaderBytes, [&](const SnapshotTlv& tlv) {
        if (tlv.type == static_cast<uint16_t>(AttributeType::kParent)) {
          state->parent = Get64(tlv.value.data());
        }
        if (tlv.type != static_cast<uint16_t>(AttributeType::kTranslation)) {
          return;
        }
        SnapshotCursor from(tlv.value);
        const auto behind = from.Get<uint8_t>();
        from.Get<uint8_t>();
        for (uint16_t& port : state->translated_port) {
          port = from.Get<uint16_t>();
        }
        from.Get<uint16_t>();
        for (Address& address : state->translated) {
          address = from.GetAddress(behind);
        }
      });
  const auto family = static_cast<Family>(value[kFamilyOffset]);
  const size_t bytes = static_cast<size_t>(AddressBits(family)) / 8;
  for (size_t i = 0; i < 2; ++i) {
    SnapshotPeer& peer = state->peers[i];
    peer.port = static_cast<uint16_t>(value[kPortOffsets[i]] |
                                      value[kPortOffsets[i] + 1] << 8);
    peer.address =
        Address::FromBytes(family, value + kAddressOffset + i * bytes);
  }
}

}  // namespace sluice
