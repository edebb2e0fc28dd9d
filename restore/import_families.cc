// The parts of StateImporter that deal with parents, children, and what is
// expected.
#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "restore/import.h"

namespace sluice {

void StateImporter::FindFamilies() {
  for (const SnapshotState& child : snapshot_.children) {
    ties_.push_back({child.id, child.parent, child.proto, true});
  }
  for (const SnapshotState& state : snapshot_.parents) {
    if (state.parent == 0) continue;
    // One that closes has given its place back.
    const bool closes = state.timeout == Timeout::kTcpFinWait ||
                        state.timeout == Timeout::kTcpClosed;
    ties_.push_back({state.id, state.parent, state.proto, !closes});
  }
  for (const ChildTie& tie : ties_) {
    places_.try_emplace(tie.child);
    places_.try_emplace(tie.parent);
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    places_.try_emplace(expectation.parent);
  }
}

// A snapshot is recorded while transfers end and begin, so there may be more
// children than a parent may have.
std::unordered_map<uint64_t, StateImporter::FamilyNeeds>
StateImporter::SeatChildren() {
  std::unordered_map<uint64_t, FamilyNeeds> needs;
  for (auto tie = ties_.rbegin(); tie != ties_.rend(); ++tie) {
    const auto place = places_.find(tie->child);
    if (place == places_.end() || !place->second.has_value()) {
      tie->seated = false;
      continue;
    }
    const uint32_t most = tie->proto == protocol::kUdp   ? kMaxFamilyChildren
                          : tie->proto == protocol::kTcp ? kMaxFtpTransfers
                                                         : kMaxSctpPaths;
    FamilyNeeds& family = needs[tie->parent];
    if (!tie->seated) continue;
    tie->seated = family.children < most;
    if (tie->seated) ++family.children;
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    needs[expectation.parent].expects = true;
  }
  return needs;
}

void StateImporter::CommitFamilies(Tick now, size_t* left) {
  for (; next_family_ < families_.size() && *left > 0; --*left) {
    const Family& family = families_[next_family_++];
    target_.expectations->CommitFamily(family.record, family.parent, now);
  }
}

void StateImporter::CancelFamilies(size_t* left) {
  for (; next_family_ < families_.size() && *left > 0; --*left) {
    const Family& family = families_[next_family_++];
    target_.expectations->CancelFamily(family.record, family.parent);
  }
}

absl::Status StateImporter::TieAll() {
  if (absl::Status status = ReserveSources(); !status.ok()) return status;
  const auto place_of = [this](uint64_t id) -> const Place* {
    const auto found = places_.find(id);
    return found != places_.end() && found->second.has_value()
               ? &*found->second
               : nullptr;
  };
  const std::unordered_map<uint64_t, FamilyNeeds> needs = SeatChildren();
  struct Tied {
    Place place;
    StateHandle parent;
    uint16_t record;
  };
  std::vector<Tied> tied;
  tied.reserve(needs.size() + ties_.size());
  std::unordered_map<uint64_t, ParentReference> parents;
  // Before any is taken: what is not noted would never be given back.
  families_.reserve(needs.size());
  const auto reserve = [&](uint64_t id, const FamilyNeeds& family,
                           const Place& place) {
    const StateRecord& parent = At(place);
    ParentReference reference = {.handle = {parent.id, parent.slot},
                                 .filter = target_.filter,
                                 .direction = parent.direction};
    reference.interface = parent.interface;
    reference.vlan = parent.vlan;
    const bool wanted = family.children != 0 || family.expects;
    if (wanted && target_.expectations->ReserveFamily(
                      reference, parent.proto, family.children,
                      &reference.record) != ExpectResult::kArmed) {
      reference.record = kNoFamilyRecord;
    }
    if (reference.record != kNoFamilyRecord) {
      families_.push_back({parent.id, reference.record});
      tied.push_back({place, {}, reference.record});
    }
    parents.emplace(id, reference);
    return reference.record != kNoFamilyRecord;
  };
  // A tie takes no room, but to follow TFTP and to expect something does. Who
  // has no more than children of another protocol comes last, and is content
  // without.
  for (const bool must : {true, false}) {
    for (const auto& [id, family] : needs) {
      const Place* place = place_of(id);
      if (place == nullptr ||
          must != (family.expects || At(*place).proto == protocol::kUdp)) {
        continue;
      }
      if (!reserve(id, family, *place) && must) {
        return absl::ResourceExhaustedError(
            "no room for the parents and children of the snapshot");
      }
    }
  }
  for (const ChildTie& tie : ties_) {
    const Place* place = place_of(tie.child);
    const auto parent = parents.find(tie.parent);
    if (place == nullptr || parent == parents.end()) continue;
    // Who has no place among TFTP's is nobody's child any more.
    if (!tie.seated && tie.proto == protocol::kUdp) continue;
    tied.push_back({*place, parent->second.handle,
                    tie.seated ? parent->second.record : kNoFamilyRecord});
  }
  std::sort(tied.begin(), tied.end(), [](const Tied& a, const Tied& b) {
    return a.place.index < b.place.index;
  });
  for (const Tied& one : tied) {
    arenas_[one.place.worker].Tie(one.place.index, one.parent, one.record);
  }
  std::vector<const SnapshotExpectation*> expectations;
  expectations.reserve(snapshot_.expectations.size());
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    expectations.push_back(&expectation);
  }
  // Of a parent's the last one is the newest.
  std::sort(expectations.begin(), expectations.end(),
            [](const auto* a, const auto* b) {
              return std::tie(a->remaining, a) < std::tie(b->remaining, b);
            });
  for (const SnapshotExpectation* const one : expectations) {
    const SnapshotExpectation& expectation = *one;
    const auto parent = parents.find(expectation.parent);
    if (parent == parents.end()) continue;
    ExpectationRecord expected;
    if (!Resolve(expectation.binding, &expected.values) &&
        options_.orphans == OrphanPolicy::kDrop) {
      continue;
    }
    if (!expectation.interface.empty()) {
      expected.values.flags |= kStateIfBound;
      absl::Status status =
          FindInterface(expectation.interface, "an expectation of state",
                        expectation.parent, &expected.interface);
      if (!status.ok()) return status;
    }
    expected.parent = parent->second.handle;
    expected.vlan = parent->second.vlan;
    expected.proto = expectation.proto;
    expected.client = expectation.client;
    expected.server = expectation.server;
    expected.client_port = expectation.client_port;
    const StateRecord& record = At(*place_of(expectation.parent));
    expected.owner = record.address[0].bytes;
    expected.server_port = record.port[1];
    if (expectation.helper == SnapshotHelper::kSctp) {
      expected.child_direction = Direction::kBoth;
      expected.server_port = expectation.server_port;
      expected.tag = expectation.tag;
    } else if (expectation.helper == SnapshotHelper::kFtp) {
      // From any port.
      expected.child_direction = expectation.direction;
      expected.server_port = 0;
      if (expectation.port_behind != 0) {
        const bool to_client = expectation.direction != record.direction;
        const auto& ends =
            to_client ? record.address : record.translated_address;
        expected.after = {
            .family = record.family,
            .source = ends[to_client ? 1 : 0].bytes,
            .destination = ends[to_client ? 0 : 1].bytes,
            .destination_port = Be16(expectation.port_behind).raw()};
      }
    } else if (record.translated_family != sluice::Family::kNone) {
      if (record.translated_address[0] != expectation.client ||
          record.translated_port[0] != expectation.client_port) {
        continue;
      }
      expected.server_port = record.translated_port[1];
      expected.after = {
          .family = record.family,
          .source = record.address[1].bytes,
          .destination = record.address[0].bytes,
          .destination_port = Be16(record.port[0]).raw()};
    }
    expected.expires_in = expectation.remaining;
    const ExpectResult reserved = target_.expectations->ReserveExpectation(
        expected, parent->second.record);
    // Somebody here has told the other host of that port.
    if (reserved == ExpectResult::kTaken) continue;
    if (reserved != ExpectResult::kArmed) {
      return absl::ResourceExhaustedError(
          "no room for the expectations of the snapshot");
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
