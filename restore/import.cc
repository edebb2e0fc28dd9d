#include "restore/import.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "conntrack/tcp_tracker.h"
#include "packet/family.h"
#include "pftable/policy/no_memory.h"
#include "restore/snapshot_check.h"
#include "restore/state_flags.h"

namespace sluice {
namespace {

constexpr size_t kStatesBetweenQuestions = 4096;

}  // namespace

bool StateImporter::Resolve(const SnapshotBinding& binding,
                            StateTemplate* values) const {
  const auto slot_of = [this](RuleId id, uint32_t none) {
    const auto found = slots_.find(id);
    return found == slots_.end() ? none : found->second;
  };
  for (const auto& [flag, bit] : kCarriedStateFlags) {
    if ((binding.flags & bit) != 0) {
      values->flags = static_cast<uint16_t>(values->flags | flag);
    }
  }
  if ((binding.marks & kSnapshotMarkPflow) != 0) values->side |= kSidePflow;
  if ((binding.marks & kSnapshotMarkNoHelpers) != 0) {
    values->side |= kSideNoHelpers;
  }
  values->actions = binding.actions;
  if (binding.route) {
    values->actions.flags |= PacketActions::kRoute;
    values->route = {.kind = binding.route->kind,
                     .by_interface = !binding.route->interface.empty(),
                     .gateway = binding.route->gateway};
    // CheckInterfaces() has found it.
    if (values->route.by_interface) {
      values->route.interface =
          target_.interfaces->Resolve(binding.route->interface).id;
    }
  }
  values->tag = target_.store->tags().Find(binding.tag);
  values->anchor_slot = slot_of(binding.anchor_rule, kNoRuleSlot);
  for (const RuleId id : binding.match_rules) {
    const uint32_t slot = slot_of(id, kNoRuleSlot);
    if (slot == kNoRuleSlot || values->match_count == kMaxMatchRules) continue;
    values->match_slots[values->match_count++] = slot;
  }
  values->rule_slot = slot_of(binding.rule, kDefaultRuleSlot);
  bool there = true;
  if (values->rule_slot == kDefaultRuleSlot) {
    there = binding.rule == 0;
    const auto orphan = orphan_slots_.find(binding.rule);
    if (orphan == orphan_slots_.end()) return there;
    values->rule_slot = orphan->second;
  }
  const RuleRecord& rule =
      target_.store->rule_slots().record(values->rule_slot);
  if (rule.has_timeouts) values->flags |= kStateRuleTimeouts;
  if (rule.state_limit() != 0) values->flags |= kStateRuleLimit;
  if (rule.tracking.enabled) values->side |= kSideSource;
  // Snapshots say it of states since minor version 6; rules had it before.
  if (rule.pflow) values->side |= kSidePflow;
  if (rule.packet_rate.IsSet()) {
    values->actions.flags |= PacketActions::kPacketRate;
  }
  return there;
}

absl::Status StateImporter::FindInterface(const std::string& name,
                                          std::string_view who, uint64_t id,
                                          uint16_t* interface,
                                          std::string_view how) const {
  *interface = target_.interfaces->Resolve(name).id;
  if (*interface != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(absl::string_view(who.data(), who.size()), " ", id,
                   absl::string_view(how.data(), how.size()), name,
                   ", which is not here"));
}

absl::Status StateImporter::CheckInterfaces() const {
  uint16_t unused;
  const auto check_route = [&](const SnapshotBinding& binding,
                               std::string_view who, uint64_t id) {
    if (!binding.route || binding.route->interface.empty()) {
      return absl::OkStatus();
    }
    return FindInterface(binding.route->interface, who, id, &unused,
                         " is sent by interface ");
  };
  for (const auto* states : {&snapshot_.parents, &snapshot_.children}) {
    for (const SnapshotState& state : *states) {
      absl::Status status = check_route(state.binding, "state", state.id);
      if (!status.ok()) return status;
      if (state.interface.empty()) continue;
      status = FindInterface(state.interface, "state", state.id, &unused);
      if (!status.ok()) return status;
    }
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    absl::Status status = check_route(
        expectation.binding, "an expectation of state", expectation.parent);
    if (!status.ok()) return status;
    if (expectation.interface.empty()) continue;
    status =
        FindInterface(expectation.interface, "an expectation of state",
                      expectation.parent, &unused);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status StateImporter::AddState(const SnapshotState& state, StateId id,
                                     uint8_t worker) {
  ImportedState made;
  StateRecord& record = made.record;
  if (!Resolve(state.binding, &record.values)) {
    ++report_.states_orphaned;
    if (options_.orphans == OrphanPolicy::kDrop) return absl::OkStatus();
  }
  record.id = id;
  record.family = state.family();
  record.proto = state.proto;
  record.direction = state.direction;
  record.vlan = state.vlan;
  record.filter = target_.filter;
  record.timeout = state.timeout;
  record.age = static_cast<uint32_t>(
      std::min<uint64_t>(state.age, INT32_MAX));
  record.expires_in = state.remaining;
  // A child gets its helper with its tie.
  if (state.helper == SnapshotHelper::kTftp && state.parent == 0) {
    record.flags |= kEntryHelper;
  }
  if (!state.interface.empty()) {
    record.values.flags |= kStateIfBound;
    absl::Status status =
        FindInterface(state.interface, "state", state.id, &record.interface);
    if (!status.ok()) return status;
  }
  record.translated_family = state.translated[0].family;
  record.translated_address = state.translated;
  record.translated_port = state.translated_port;
  record.links = state.links;
  for (const PoolNode sticky : {kStickySource, kStickyTarget}) {
    const auto slot = slots_.find(state.sticky_rules[sticky]);
    if (slot != slots_.end()) record.sticky_rules[sticky] = slot->second;
  }
  if (state.binding.route) {
    const auto slot = slots_.find(state.binding.route->sticky_rule);
    if (slot != slots_.end()) record.sticky_route_rule = slot->second;
  }
  if (state.pool_marks != 0) {
    record.values.side |= kSidePools | state.pool_marks * kSideFirstPool;
  }
  if ((state.state_limiter | state.source_limiter) != 0) {
    record.values.side |= kSideLimited;
    record.values.state_limiter = state.state_limiter;
    record.values.source_limiter = state.source_limiter;
  }
  if (state.binding.scrub) record.scrub = *state.binding.scrub;
  record.offset = state.sequence_offset;
  if ((record.offset[0] | record.offset[1]) != 0) {
    record.values.side |= kSideModulate;
  }
  for (size_t i = 0; i < 2; ++i) {
    const SnapshotPeer& peer = state.peers[i];
    record.address[i] = peer.address;
    record.port[i] = peer.port;
    record.phase[i] = peer.phase;
    record.window[i] = {peer.sequence_low, peer.sequence_high};
    record.max_window[i] = peer.max_window;
    record.scale[i] = peer.scale;
    if (state.proto == protocol::kTcp && peer.packets != 0) {
      record.scale[i] |= kPeerSeen;
    }
    record.packets[i] = peer.packets;
    record.bytes[i] = peer.bytes;
  }
  StateImport& arena = arenas_[worker];
  if (!places_.empty()) {
    const auto place = places_.find(state.id);
    if (place != places_.end()) {
      place->second = {worker, static_cast<uint32_t>(arena.states.size())};
    }
  }
  arena.Add(made);
  return absl::OkStatus();
}

namespace {

// By a flow, whichever way it goes, that a translated state has given out: the
// worker of that state. Hashes are as good as the flows here: two with one hash
// would only lead a state to a worker that its packets do not come to.
using GivenOwners = std::unordered_map<uint64_t, uint8_t>;

uint64_t HashOfGiven(uint8_t proto, VlanId vlan,
                     const std::array<Address, 2>& addresses,
                     const std::array<uint16_t, 2>& ports) {
  std::array<std::pair<Address, uint16_t>, 2> ends = {
      {{addresses[0], ports[0]}, {addresses[1], ports[1]}}};
  if (ends[1] < ends[0]) std::swap(ends[0], ends[1]);
  return absl::HashOf(proto, vlan.value, ends[0].first.bytes, ends[0].second,
                      ends[1].first.bytes, ends[1].second);
}

// A packet goes to the worker of its flow as it arrives. What it is when it is
// judged at the second port may be what the first one has made of it.
uint8_t OwnerOf(const SnapshotState& state, const ImportTarget& target,
                const GivenOwners& given) {
  if (!given.empty()) {
    const auto known = given.find(HashOfGiven(
        state.proto, state.vlan,
        {state.peers[0].address, state.peers[1].address},
        {state.peers[0].port, state.peers[1].port}));
    if (known != given.end()) return known->second;
  }
  return target.owner == nullptr ? uint8_t{0} : target.owner(state);
}

GivenOwners OwnersOfGiven(const std::vector<const SnapshotState*>& states,
                          const ImportTarget& target) {
  GivenOwners given;
  if (target.workers < 2) return given;
  // The second time for what the second port translates again.
  for (int i = 0; i < 2; ++i) {
    for (const SnapshotState* state : states) {
      if (!state->is_translated()) continue;
      const uint8_t proto = state->translates_family()
                                ? ProtocolAcross(state->proto)
                                : state->proto;
      given[HashOfGiven(proto, state->vlan, state->translated,
                        state->translated_port)] =
          OwnerOf(*state, target, given);
    }
  }
  return given;
}

}  // namespace

absl::Status StateImporter::AddStates() {
  FindFamilies();
  std::vector<const SnapshotState*> states;
  states.reserve(snapshot_.parents.size() + snapshot_.children.size());
  for (const SnapshotState& state : snapshot_.parents) states.push_back(&state);
  const auto parents = static_cast<ptrdiff_t>(states.size());
  for (const SnapshotState& state : snapshot_.children) {
    states.push_back(&state);
  }
  // Both lists ascend.
  std::inplace_merge(
      states.begin(), states.begin() + parents, states.end(),
      [](const auto* a, const auto* b) { return a->id < b->id; });
  const GivenOwners given = OwnersOfGiven(states, target_);
  std::vector<uint8_t> owners;
  owners.reserve(states.size());
  bool renumber = false;
  for (const SnapshotState* state : states) {
    const uint8_t owner = OwnerOf(*state, target_, given);
    if (owner >= target_.workers) {
      return absl::InternalError(
          absl::StrCat("there is no worker ", owner, " for a state"));
    }
    owners.push_back(owner);
    const uint64_t count = state->id >> 8;
    renumber |= WorkerOf(state->id) != owner || count <= target_.last_id ||
                count >= kMaxImportedCount;
  }
  std::array<size_t, 256> of_worker{};
  for (const uint8_t owner : owners) ++of_worker[owner];
  for (size_t i = 0; i < arenas_.size(); ++i) arenas_[i].Reserve(of_worker[i]);
  for (size_t i = 0; i < states.size(); ++i) {
    if (i % kStatesBetweenQuestions == 0 && options_.limits.go_on != nullptr &&
        !options_.limits.go_on()) {
      return absl::CancelledError("taking the states in was called off");
    }
    const StateId id = renumber
                           ? (target_.last_id + 1 + i) << 8 | owners[i]
                           : states[i]->id;
    const absl::Status status = AddState(*states[i], id, owners[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status StateImporter::Prepare(std::span<const uint8_t> bytes) {
  return OrNoMemory("read the snapshot", [&] {
    absl::Status status = ReadAll(bytes);
    return status.ok() ? PrepareAll() : status;
  });
}

absl::Status StateImporter::Prepare(SharedBytes bytes) {
  return OrNoMemory("read the snapshot", [&] {
    absl::Status status = ReadAll(*bytes);
    bytes.reset();
    return status.ok() ? PrepareAll() : status;
  });
}

absl::Status StateImporter::ReadAll(std::span<const uint8_t> bytes) {
  absl::StatusOr<ReadResult> read = ReadSnapshot(bytes, options_.limits);
  if (!read.ok()) return read.status();
  snapshot_ = std::move(read->snapshot);
  return absl::OkStatus();
}

absl::Status StateImporter::CheckOrigin() const {
  const std::string& name = snapshot_.meta.filter;
  if (options_.from_filter.empty() || name == options_.from_filter) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "it is a snapshot of filter ", name, ", not of ", options_.from_filter,
      "; --from-filter ", name, " takes it all the same"));
}

absl::Status StateImporter::PrepareAll() {
  // Until the states are in: what they are bound to keeps its number.
  if (target_.interfaces != nullptr) {
    interfaces_ = target_.interfaces->Hold();
  }
  tags_ = target_.store->tags().Hold();
  absl::Status status = CheckOrigin();
  if (status.ok()) status = CheckInterfaces();
  if (!status.ok()) return status;
  if (options_.policy) {
    absl::StatusOr<Policy> policy = BuildPolicy();
    if (!policy.ok()) return policy.status();
    std::vector<LimiterDefinition> limiters;
    for (const ForeignDefinition& foreign : policy->foreign) {
      if (foreign.limiter.has_value()) limiters.push_back(*foreign.limiter);
    }
    ticket_ = target_.store->Begin();
    const absl::Status defined =
        target_.store->Define(*ticket_, std::move(*policy));
    if (!defined.ok()) return defined;
    // States count for them before the policy is in force.
    if (!limiters.empty()) {
      status = target_.store->AnnounceLimiters(limiters);
      if (!status.ok()) return status;
    }
    report_.tables = snapshot_.tables.size();
    for (const SnapshotRuleset& ruleset : snapshot_.rulesets) {
      report_.rules += ruleset.rules.size();
    }
  } else if (options_.run_time_tables) {
    status = StageRunTimeTables();
    if (!status.ok()) return status;
  }
  FindRules();
  status = KeepOrphanRules();
  // Names stay, so they are taken last.
  if (status.ok()) status = InternTags();
  if (status.ok()) status = AddStates();
  // They are in the arenas now, and of many states twice is too much.
  std::vector<SnapshotState>().swap(snapshot_.parents);
  return status;
}

absl::Status StateImporter::Tie() {
  return OrNoMemory("tie the states", [&] { return TieAll(); });
}

bool StateImporter::StepFinish(Tick now, size_t most) {
  CommitFamilies(now, &most);
  if (next_family_ < families_.size()) return false;
  // Only here is there a tick: what has passed meanwhile has worn off.
  for (const RuleLife& life : rule_lives_) {
    const RuleRecord& record = target_.store->rule_slots().record(life.slot);
    if (life.packet_rate == 0 || !record.packet_rate.IsSet()) continue;
    record.packets.Set(life.packet_rate, now);
  }
  rule_lives_.clear();
  PublishSources(now, most);
  return !has_more();
}

bool StateImporter::Discard(size_t most) {
  CancelFamilies(&most);
  DiscardSources(most);
  return !has_more();
}

RestoreReport StateImporter::Finish(Tick now) {
  StepFinish(now, SIZE_MAX);
  interfaces_.reset();
  tags_.reset();
  orphan_rules_ = RuleSlotLease();
  for (const StateImport& arena : arenas_) {
    report_.states_imported += arena.inserted;
    report_.states_merged += arena.merged;
  }
  return report_;
}

void StateImporter::Abandon() {
  Discard(SIZE_MAX);
  interfaces_.reset();
  tags_.reset();
  orphan_rules_ = RuleSlotLease();
  // A ticket that has ended meanwhile is what is wanted.
  if (ticket_.has_value()) target_.store->Rollback(*ticket_).IgnoreError();
  ticket_.reset();
  additions_ = StagedGeneration();
}

}  // namespace sluice
