#include "conntrack/source_nodes.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr uint64_t Packed(uint32_t value, Tick when) {
  return uint64_t{value} << 32 | when;
}

}  // namespace

SourceNodes::SourceNodes(const Options& options, Reclaimer* reclaimer)
    : secret_(options.secret),
      reclaimer_(reclaimer),
      capacity_(options.capacity) {
  unlimited_.nodes.SetLimit(options.capacity);
}

absl::StatusOr<std::unique_ptr<SourceNodes>> SourceNodes::Build(
    const Options& options, Reclaimer* reclaimer) {
  constexpr uint32_t kMaxCapacity = 1u << 26;
  if (options.capacity == 0 || options.capacity > kMaxCapacity) {
    return absl::InvalidArgumentError(
        absl::StrCat("source nodes: ", options.capacity,
                     ": must be 1 to ", kMaxCapacity));
  }
  std::unique_ptr<SourceNodes> table(new SourceNodes(options, reclaimer));
  const uint32_t buckets = std::bit_ceil(options.capacity);
  table->bucket_mask_ = buckets - 1;
  auto memory = TableMemory::Allocate(size_t{options.capacity} * sizeof(Node),
                                      /*huge=*/false, /*prefault=*/false);
  if (!memory.ok()) return memory.status();
  table->memory_ = *std::move(memory);
  memory = TableMemory::Allocate(size_t{buckets} * sizeof(uint32_t),
                                 /*huge=*/false, /*prefault=*/false);
  if (!memory.ok()) return memory.status();
  table->bucket_memory_ = *std::move(memory);
  table->nodes_ = static_cast<Node*>(table->memory_.data());
  table->buckets_ =
      static_cast<std::atomic<uint32_t>*>(table->bucket_memory_.data());
  return table;
}

// Buckets and Node::next hold a place and one, so that zeros are an empty
// table.
std::atomic<uint32_t>& SourceNodes::BucketOf(const SourceKey& key) const {
  FlowKey6 hashed;
  hashed.end0 = key.address;
  hashed.port0 = static_cast<uint16_t>(key.rule_slot);
  hashed.port1 = static_cast<uint16_t>(key.rule_slot >> 16);
  hashed.proto = static_cast<uint8_t>(static_cast<uint8_t>(key.use) << 2 |
                                      static_cast<uint8_t>(key.family));
  hashed.filter = key.filter;
  return buckets_[Hash(hashed, secret_, key.vlan).value & bucket_mask_];
}

SourceNodeIndex SourceNodes::Walk(uint32_t from, const SourceKey& key,
                                  uint32_t max_states,
                                  SourceRefusal* refusal) {
  for (uint32_t at = from; at != 0;
       at = nodes_[at - 1].next.load(std::memory_order_acquire)) {
    Node& node = nodes_[at - 1];
    if (!(node.key == key)) continue;
    uint32_t states = node.states.load(std::memory_order_acquire);
    while (IsLive(states)) {
      if (max_states != 0 && (states & kCount) >= max_states) {
        *refusal = SourceRefusal::kStates;
        return kNoSourceNode;
      }
      if (node.states.compare_exchange_weak(states, states + 1,
                                            std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
        return at - 1;
      }
    }
    // One that is not live waits to be unlinked.
  }
  return kNoSourceNode;
}

SourceNodeIndex SourceNodes::TakePlace() {
  uint64_t top = free_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(top) != kNoSourceNode) {
    const auto place = static_cast<uint32_t>(top);
    // Whoever takes it meanwhile may write this: then the exchange fails.
    const uint32_t below = nodes_[place].next.load(std::memory_order_relaxed);
    const uint64_t next = ((top >> 32) + 1) << 32 | below;
    if (free_.compare_exchange_weak(top, next, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return place;
    }
  }
  uint32_t used = used_.load(std::memory_order_relaxed);
  while (used < capacity_) {
    if (used_.compare_exchange_weak(used, used + 1,
                                    std::memory_order_release,
                                    std::memory_order_relaxed)) {
      return used;
    }
  }
  return kNoSourceNode;
}

void SourceNodes::GiveBackPlace(SourceNodeIndex place) {
  nodes_[place].states.store(0, std::memory_order_relaxed);
  uint64_t top = free_.load(std::memory_order_relaxed);
  uint64_t next;
  do {
    nodes_[place].next.store(static_cast<uint32_t>(top),
                             std::memory_order_relaxed);
    next = ((top >> 32) + 1) << 32 | place;
  } while (!free_.compare_exchange_weak(top, next, std::memory_order_release,
                                        std::memory_order_relaxed));
}

void SourceNodes::GiveBackLimits(const SourceOwner& owner) {
  if (owner.rule_nodes != nullptr) {
    owner.rule_nodes->fetch_sub(1, std::memory_order_release);
  }
  owner.budget->removals.fetch_add(1, std::memory_order_relaxed);
  owner.budget->nodes.GiveBack();
}

void SourceNodes::Fill(SourceNodeIndex at, const SourceKey& key,
                       const SourceOwner& owner, Tick now) {
  Node& node = nodes_[at];
  node.key = key;
  node.target = Address();
  node.target_port = 0;
  node.budget = owner.budget;
  node.rule_nodes = owner.rule_nodes;
  node.created = now;
  node.connections.store(0, std::memory_order_relaxed);
  node.expires.store(now, std::memory_order_relaxed);
  node.rate.store(Packed(0, now), std::memory_order_relaxed);
  node.rate_seconds.store(0, std::memory_order_relaxed);
  node.packets.store(0, std::memory_order_relaxed);
  node.bytes.store(0, std::memory_order_relaxed);
}

SourceResult SourceNodes::Take(const SourceKey& key, const SourceOwner& owner,
                               uint32_t max_states, Tick now,
                               const Address* target, uint16_t target_port) {
  SourceResult result;
  if (owner.budget == nullptr) {
    result.refusal = SourceRefusal::kLimit;
    return result;
  }
  owner.budget->searches.fetch_add(1, std::memory_order_relaxed);
  std::atomic<uint32_t>& bucket = BucketOf(key);
  uint32_t head = bucket.load(std::memory_order_acquire);
  result.node = Walk(head, key, max_states, &result.refusal);
  if (result.node != kNoSourceNode ||
      result.refusal != SourceRefusal::kNone) {
    return result;
  }

  if (!owner.budget->nodes.Take()) {
    result.refusal = SourceRefusal::kLimit;
    return result;
  }
  const auto refuse = [&](SourceRefusal refusal) {
    if (owner.rule_nodes != nullptr) {
      owner.rule_nodes->fetch_sub(1, std::memory_order_relaxed);
    }
    owner.budget->nodes.GiveBack();
    result.refusal = refusal;
    return result;
  };
  if (owner.rule_nodes != nullptr &&
      owner.rule_nodes->fetch_add(1, std::memory_order_relaxed) >=
          owner.max_nodes &&
      owner.max_nodes != 0) {
    return refuse(SourceRefusal::kNodes);
  }
  const SourceNodeIndex place = TakePlace();
  if (place == kNoSourceNode) return refuse(SourceRefusal::kLimit);

  Fill(place, key, owner, now);
  Node& node = nodes_[place];
  if (target != nullptr) {
    node.target = *target;
    node.target_port = target_port;
  }
  node.states.store(kLive | 1, std::memory_order_release);
  do {
    node.next.store(head, std::memory_order_relaxed);
    if (bucket.compare_exchange_strong(head, place + 1,
                                       std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      owner.budget->inserts.fetch_add(1, std::memory_order_relaxed);
      result.node = place;
      return result;
    }
    // Somebody has made another one meanwhile: perhaps the same.
    result.node = Walk(head, key, max_states, &result.refusal);
  } while (result.node == kNoSourceNode &&
           result.refusal == SourceRefusal::kNone);
  GiveBackPlace(place);
  refuse(result.refusal);
  return result;
}

SourceNodeIndex SourceNodes::Find(const SourceKey& key) {
  SourceRefusal refusal = SourceRefusal::kNone;
  return Walk(BucketOf(key).load(std::memory_order_acquire), key, 0, &refusal);
}

SourceNodeIndex SourceNodes::Peek(const SourceKey& key) const {
  for (uint32_t at = BucketOf(key).load(std::memory_order_acquire); at != 0;
       at = nodes_[at - 1].next.load(std::memory_order_acquire)) {
    if (nodes_[at - 1].key == key &&
        IsLive(nodes_[at - 1].states.load(std::memory_order_acquire))) {
      return at - 1;
    }
  }
  return kNoSourceNode;
}

void SourceNodes::GiveBack(SourceNodeIndex at, Tick now) {
  const auto left = static_cast<int32_t>(
      nodes_[at].expires.load(std::memory_order_relaxed) - now);
  Release(at, /*connection=*/false,
          left > 0 ? static_cast<uint32_t>(left) : 0, now);
}

// Those that stay in it keep it in its chain until they end; Purge() unlinks
// what has none.
void SourceNodes::Retire(SourceNodeIndex at) {
  Node& node = nodes_[at];
  const SourceOwner owner = {.budget = node.budget,
                             .rule_nodes = node.rule_nodes};
  uint32_t states = node.states.load(std::memory_order_acquire);
  while (IsLive(states)) {
    if (node.states.compare_exchange_weak(states, (states & kCount) | kDead,
                                          std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
      GiveBackLimits(owner);
      return;
    }
  }
}

void SourceNodes::Release(SourceNodeIndex at, bool connection, uint32_t life,
                          Tick now) {
  Node& node = nodes_[at];
  if (connection) node.connections.fetch_sub(1, std::memory_order_relaxed);
  node.expires.store(now + life, std::memory_order_relaxed);
  // Without this state somebody else may end it.
  const SourceOwner owner = {.budget = node.budget,
                             .rule_nodes = node.rule_nodes};
  uint32_t left = node.states.fetch_sub(1, std::memory_order_acq_rel) - 1;
  if (left != kLive || life != 0) return;
  if (node.states.compare_exchange_strong(left, kDead,
                                          std::memory_order_acq_rel)) {
    GiveBackLimits(owner);
  }
}

ConnectionVerdict SourceNodes::AddConnection(SourceNodeIndex at, uint32_t max,
                                             RateLimit rate, Tick now) {
  Node& node = nodes_[at];
  ConnectionVerdict verdict;
  const uint32_t connections =
      node.connections.fetch_add(1, std::memory_order_relaxed) + 1;
  // One that was taken out has no say any more.
  if ((node.states.load(std::memory_order_relaxed) & kDetached) != 0) {
    return verdict;
  }
  verdict.too_many = max != 0 && connections > max;
  if (!rate.IsSet()) return verdict;
  node.rate_seconds.store(rate.seconds, std::memory_order_relaxed);
  uint64_t before = node.rate.load(std::memory_order_relaxed);
  uint32_t value;
  do {
    const uint32_t ticks = TicksSince(static_cast<Tick>(before), now);
    const uint64_t sum =
        uint64_t{WornOff(static_cast<uint32_t>(before >> 32), ticks,
                         rate.seconds)} +
        kRateUnit;
    value = static_cast<uint32_t>(std::min<uint64_t>(sum, UINT32_MAX));
  } while (!node.rate.compare_exchange_weak(before, Packed(value, now),
                                            std::memory_order_relaxed));
  verdict.too_fast = value > uint64_t{rate.count} * kRateUnit;
  return verdict;
}

void SourceNodes::AddTraffic(SourceNodeIndex at, uint64_t packets,
                             uint64_t bytes) {
  nodes_[at].packets.fetch_add(packets, std::memory_order_relaxed);
  nodes_[at].bytes.fetch_add(bytes, std::memory_order_relaxed);
}

// ---- Control side ----------------------------------------------------------

// Workers change nothing but the head, so that a predecessor stays one.
void SourceNodes::Unlink(SourceNodeIndex at) {
  Node& node = nodes_[at];
  std::atomic<uint32_t>& bucket = BucketOf(node.key);
  const uint32_t after = node.next.load(std::memory_order_relaxed);
  uint32_t head = at + 1;
  if (!bucket.compare_exchange_strong(head, after, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
    uint32_t before = head;
    while (nodes_[before - 1].next.load(std::memory_order_acquire) != at + 1) {
      before = nodes_[before - 1].next.load(std::memory_order_acquire);
    }
    nodes_[before - 1].next.store(after, std::memory_order_release);
  }
}

void SourceNodes::Collect() {
  while (!waiting_.empty() && reclaimer_->HasPassed(waiting_.front().grace)) {
    for (const SourceNodeIndex node : waiting_.front().nodes) {
      GiveBackPlace(node);
    }
    waiting_.pop_front();
  }
}

void SourceNodes::Purge(Tick now, uint32_t budget) {
  Collect();
  const uint32_t end = used_.load(std::memory_order_acquire);
  budget = std::min(budget, end);
  for (; budget > 0; --budget) {
    if (purge_at_ >= end) purge_at_ = 0;
    const SourceNodeIndex at = purge_at_++;
    Node& node = nodes_[at];
    uint32_t states = node.states.load(std::memory_order_acquire);
    if (states == kLive) {
      const auto left = static_cast<int32_t>(
          node.expires.load(std::memory_order_relaxed) - now);
      if (left > 0 || !node.states.compare_exchange_strong(
                          states, kDead, std::memory_order_acq_rel)) {
        continue;
      }
      GiveBackLimits({.budget = node.budget, .rule_nodes = node.rule_nodes});
      states = kDead;
    }
    if (states == kDead) {
      Unlink(at);
    } else if (states != kDetached) {
      continue;
    }
    node.states.store(kRetired, std::memory_order_relaxed);
    unlinked_.push_back(at);
  }
  if (!unlinked_.empty()) {
    waiting_.push_back({.grace = reclaimer_->StartGracePeriod(),
                        .nodes = std::exchange(unlinked_, {})});
    Collect();
  }
}

SourceRecord SourceNodes::RecordOf(const Node& node, uint32_t states,
                                   Tick now) const {
  SourceRecord record;
  record.key = node.key;
  record.target = node.target;
  record.states = states & kCount;
  record.connections = node.connections.load(std::memory_order_relaxed);
  record.rate_seconds = node.rate_seconds.load(std::memory_order_relaxed);
  const uint64_t rate = node.rate.load(std::memory_order_relaxed);
  if (record.rate_seconds != 0) {
    record.rate =
        WornOff(static_cast<uint32_t>(rate >> 32),
                TicksSince(static_cast<Tick>(rate), now), record.rate_seconds);
  }
  record.age = TicksSince(node.created, now);
  if (record.states == 0) {
    const auto left = static_cast<int32_t>(
        node.expires.load(std::memory_order_relaxed) - now);
    record.expires_in = left > 0 ? static_cast<uint32_t>(left) : 0;
  }
  record.packets = node.packets.load(std::memory_order_relaxed);
  record.bytes = node.bytes.load(std::memory_order_relaxed);
  return record;
}

bool SourceNodes::Detach(SourceNodeIndex at, uint32_t states) {
  Node& node = nodes_[at];
  while (IsLive(states) &&
         !node.states.compare_exchange_weak(
             states, (states & kCount) | kDetached, std::memory_order_acq_rel,
             std::memory_order_acquire)) {
  }
  if (!IsLive(states)) return false;
  GiveBackLimits({.budget = node.budget, .rule_nodes = node.rule_nodes});
  Unlink(at);
  return true;
}

uint32_t SourceNodes::Remove(
    const std::function<bool(const SourceRecord&)>& which, Tick now) {
  const uint32_t end = used_.load(std::memory_order_acquire);
  uint32_t removed = 0;
  for (SourceNodeIndex at = 0; at < end; ++at) {
    const Node& node = nodes_[at];
    const uint32_t states = node.states.load(std::memory_order_acquire);
    if (IsLive(states) && IsSource(node.key.use) &&
        which(RecordOf(node, states, now)) && Detach(at, states)) {
      ++removed;
    }
  }
  return removed;
}

uint32_t SourceNodes::RemoveAllOf(uint16_t filter) {
  const uint32_t end = used_.load(std::memory_order_acquire);
  uint32_t removed = 0;
  for (SourceNodeIndex at = 0; at < end; ++at) {
    const Node& node = nodes_[at];
    const uint32_t states = node.states.load(std::memory_order_acquire);
    if (IsLive(states) && node.key.filter == filter && Detach(at, states)) {
      ++removed;
    }
  }
  return removed;
}

bool SourceNodes::Visit(
    uint32_t* cursor, uint32_t budget, Tick now,
    const std::function<void(const SourceRecord&)>& visit) const {
  const uint32_t end = used_.load(std::memory_order_acquire);
  for (; budget > 0 && *cursor < end; --budget) {
    const Node& node = nodes_[(*cursor)++];
    const uint32_t states = node.states.load(std::memory_order_acquire);
    if (IsLive(states) && IsSource(node.key.use)) {
      visit(RecordOf(node, states, now));
    }
  }
  return *cursor < end;
}

// ---- What comes from elsewhere -----------------------------------------------

// A place whose states are zero is nobody's: no walk, visit or purge minds it.
SourceNodeIndex SourceNodes::Reserve(const SourceRecord& record,
                                     const SourceOwner& owner) {
  if (owner.budget == nullptr || !owner.budget->nodes.Take()) {
    return kNoSourceNode;
  }
  const SourceNodeIndex place = TakePlace();
  if (place == kNoSourceNode) {
    owner.budget->nodes.GiveBack();
    return kNoSourceNode;
  }
  // The rule's own limit has let it in where it was made.
  if (owner.rule_nodes != nullptr) {
    owner.rule_nodes->fetch_add(1, std::memory_order_relaxed);
  }
  Fill(place, record.key, owner, 0);
  nodes_[place].target = record.target;
  return place;
}

void SourceNodes::Discard(SourceNodeIndex at) {
  const Node& node = nodes_[at];
  if (node.rule_nodes != nullptr) {
    node.rule_nodes->fetch_sub(1, std::memory_order_release);
  }
  node.budget->nodes.GiveBack();
  GiveBackPlace(at);
}

// Rates are what they are now; two writers at once may lose one connection.
void SourceNodes::RaiseTo(Node& node, const SourceRecord& record, Tick now) {
  const auto raise = [](std::atomic<uint64_t>& value, uint64_t to) {
    uint64_t before = value.load(std::memory_order_relaxed);
    while (before < to && !value.compare_exchange_weak(
                              before, to, std::memory_order_relaxed)) {
    }
  };
  raise(node.packets, record.packets);
  raise(node.bytes, record.bytes);
  if (record.rate_seconds == 0) return;
  const uint32_t seconds = node.rate_seconds.load(std::memory_order_relaxed);
  uint64_t before = node.rate.load(std::memory_order_relaxed);
  const uint32_t there =
      seconds == 0 ? 0
                   : WornOff(static_cast<uint32_t>(before >> 32),
                             TicksSince(static_cast<Tick>(before), now),
                             seconds);
  if (there < record.rate) {
    node.rate.compare_exchange_strong(before, Packed(record.rate, now),
                                      std::memory_order_relaxed);
  }
  if (seconds == 0) {
    node.rate_seconds.store(record.rate_seconds, std::memory_order_relaxed);
  }
}

bool SourceNodes::Raise(const SourceRecord& record, Tick now) {
  const SourceNodeIndex at = Find(record.key);
  if (at == kNoSourceNode) return false;
  Node& node = nodes_[at];
  RaiseTo(node, record, now);
  const auto left = static_cast<int32_t>(
      node.expires.load(std::memory_order_relaxed) - now);
  Release(at, /*connection=*/false,
          std::max(record.expires_in,
                   left > 0 ? static_cast<uint32_t>(left) : 0),
          now);
  return true;
}

void SourceNodes::Publish(SourceNodeIndex at, const SourceRecord& record,
                          Tick now) {
  Node& node = nodes_[at];
  node.created = now - record.age;
  node.expires.store(now + record.expires_in, std::memory_order_relaxed);
  RaiseTo(node, record, now);
  std::atomic<uint32_t>& bucket = BucketOf(record.key);
  uint32_t head = bucket.load(std::memory_order_acquire);
  for (;;) {
    if (Peek(record.key) != kNoSourceNode && Raise(record, now)) {
      Discard(at);
      return;
    }
    node.states.store(kLive, std::memory_order_release);
    node.next.store(head, std::memory_order_relaxed);
    if (bucket.compare_exchange_strong(head, at + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      node.budget->inserts.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    node.states.store(0, std::memory_order_relaxed);
  }
}

}  // namespace sluice
