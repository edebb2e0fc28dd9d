// The parts of StateImporter that deal with parents, children, and what is
// expected.
#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "restore/import.h"

namespace sluice {

void StateImporter::FindFamilies() {
  for (const SnapshotState& child : snapshot_.children) {
    places_.try_emplace(child.id);
    places_.try_emplace(child.parent);
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    places_.try_emplace(expectation.parent);
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
  // A snapshot is recorded while transfers end and begin: of more children than
  // a parent may have the newest are tied to it.
  std::unordered_map<uint64_t, uint32_t> children;
  std::unordered_set<uint64_t> untied;
  for (auto child = snapshot_.children.rbegin();
       child != snapshot_.children.rend(); ++child) {
    if (place_of(child->id) == nullptr) continue;
    uint32_t& count = children[child->parent];
    if (count < kMaxFamilyChildren) {
      ++count;
    } else {
      untied.insert(child->id);
    }
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    children.try_emplace(expectation.parent, 0);
  }
  struct Tied {
    Place place;
    StateHandle parent;
    uint16_t record;
  };
  std::vector<Tied> tied;
  tied.reserve(children.size() + snapshot_.children.size());
  std::unordered_map<uint64_t, ParentReference> parents;
  // Before any is taken: what is not noted would never be given back.
  families_.reserve(children.size());
  for (const auto& [id, count] : children) {
    const Place* place = place_of(id);
    if (place == nullptr) continue;
    const StateRecord& parent = At(*place);
    ParentReference reference = {.handle = {parent.id, parent.slot},
                                 .filter = target_.filter,
                                 .direction = parent.direction};
    reference.interface = parent.interface;
    reference.vlan = parent.vlan;
    if (target_.expectations->ReserveFamily(reference, parent.proto, count,
                                            &reference.record) !=
        ExpectResult::kArmed) {
      return absl::ResourceExhaustedError(
          "no room for the parents and children of the snapshot");
    }
    families_.push_back({parent.id, reference.record});
    tied.push_back({*place, {}, reference.record});
    parents.emplace(id, reference);
  }
  for (const SnapshotState& state : snapshot_.children) {
    const Place* place = place_of(state.id);
    const auto parent = parents.find(state.parent);
    if (place == nullptr || parent == parents.end() ||
        untied.count(state.id) != 0) {
      continue;
    }
    tied.push_back({*place, parent->second.handle, parent->second.record});
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
