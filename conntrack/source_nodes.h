// What is known of sources: pf's source nodes. A node stands for one address
// in one VLAN and one rule (`source-track rule`), for one address and all rules that share
// (`source-track global`), or for one address and a pool (sticky-address).
// States hold it; it lives for as long as one does and `src.track` after that.
//
// Pools keep more here that goes with states and is the same for all workers,
// but is no source to anybody who lists, flushes or limits them (IsSource).
//
// All workers share the table, because the flows of one source belong to
// several. Nobody waits for anybody: a worker finds a node by walking a chain
// that only grows at its head, and counts itself in with one compare-and-swap,
// which is where limits are checked, so that they are exact. Only the control
// side unlinks, and gives a place out again when no worker can stand on it any
// more (Reclaimer).
//
// A node that has no states and nothing to live for is dead at once, for limits
// and for whoever looks for it; its place is free when the control side has
// come by (Purge).
#ifndef SLUICE_CONNTRACK_SOURCE_NODES_H_
#define SLUICE_CONNTRACK_SOURCE_NODES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "conntrack/flow_key.h"
#include "conntrack/memory.h"
#include "conntrack/state_budget.h"
#include "packet/address.h"
#include "packet/packet.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/limiters.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/policy/rule.h"

namespace sluice {

using SourceNodeIndex = uint32_t;
inline constexpr SourceNodeIndex kNoSourceNode = 0xffffffff;

// What it is kept for.
enum class SourceUse : uint8_t {
  kFilter,
  kNat,
  kRedirect,
  kRoute,
  // An address that least-states pools give out, and how many states have it.
  kLoad,
  // endpoint-independent: an inside address and port, whose target is what it
  // becomes; and the other way about. `rule_slot` is the port.
  kMappingInside,
  kMappingOutside,
  // A source limiter's (limiter_gate.h): what it has admitted and refused is
  // counted as packets and bytes, and its tokens are its rate.
  kLimiter,
};
constexpr bool IsSource(SourceUse use) { return use <= SourceUse::kRoute; }

struct SourceKey {
  std::array<uint8_t, 16> address{};
  VlanId vlan{};
  uint32_t rule_slot = kNoRuleSlot;  // kNoRuleSlot: of all rules
  uint16_t filter = 0;
  Family family = Family::kNone;
  SourceUse use = SourceUse::kFilter;

  friend bool operator==(const SourceKey&, const SourceKey&) = default;
};

// `set limit src-nodes` of a filter, and what its nodes count. Any lcore.
struct SourceBudget {
  StateBudget nodes{0};
  std::atomic<uint64_t> searches{0};
  std::atomic<uint64_t> inserts{0};
  std::atomic<uint64_t> removals{0};
};

// Whose limits a new node counts for. All of it lives for longer than the node.
struct SourceOwner {
  SourceBudget* budget = nullptr;
  std::atomic<uint32_t>* rule_nodes = nullptr;  // of the rule; null: not counted
  uint32_t max_nodes = 0;                       // `max-src-nodes`, 0: none
};

enum class SourceRefusal : uint8_t {
  kNone,
  kStates,  // `max-src-states`
  kNodes,   // `max-src-nodes`
  kLimit,   // `set limit src-nodes`, or no place in the table
};

struct SourceResult {
  SourceNodeIndex node = kNoSourceNode;
  SourceRefusal refusal = SourceRefusal::kNone;
};

// What one more connection means.
struct ConnectionVerdict {
  bool too_many = false;   // `max-src-conn`
  bool too_fast = false;   // `max-src-conn-rate`
};

// The nodes that a state has of the pools that gave it its addresses.
enum PoolNode : uint8_t {
  kStickySource,    // of nat-to
  kStickyTarget,    // of rdr-to
  kLoadOfSource,
  kLoadOfTarget,
  kMappedInside,    // given back before the other: who finds it finds both
  kMappedOutside,
  kStickyRoute,     // of route-to, reply-to, dup-to
  kLoadOfRoute,
};
inline constexpr size_t kPoolNodes = 8;
// The first ones lie in StateSide, the others in StateRoute.
inline constexpr size_t kSidePoolNodes = 6;
inline constexpr size_t kRouteNodes = kPoolNodes - kSidePoolNodes;
struct PoolHolds {
  std::array<SourceNodeIndex, kPoolNodes> nodes = {
      kNoSourceNode, kNoSourceNode, kNoSourceNode, kNoSourceNode,
      kNoSourceNode, kNoSourceNode, kNoSourceNode, kNoSourceNode};
  bool any = false;

  void Set(PoolNode which, SourceNodeIndex node) {
    nodes[which] = node;
    any = true;
  }
};

// A node as values.
struct SourceRecord {
  SourceKey key;
  Address target;  // the pool's address, or none
  uint32_t states = 0;
  uint32_t connections = 0;
  uint32_t rate = 0;  // of connections, in thousandths
  uint32_t rate_seconds = 0;  // 0: it has none
  uint32_t age = 0;         // ticks
  uint32_t expires_in = 0;  // ticks; with states it does not expire
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

class SourceNodes {
 public:
  struct Options {
    uint32_t capacity = 65536;  // nodes of all filters
    HashSecret secret{};
  };
  // `reclaimer` outlives it. Memory is taken as nodes are made. Errors: no
  // memory.
  static absl::StatusOr<std::unique_ptr<SourceNodes>> Build(
      const Options& options, Reclaimer* reclaimer);
  SourceNodes(const SourceNodes&) = delete;
  SourceNodes& operator=(const SourceNodes&) = delete;

  // ---- Workers -------------------------------------------------------------

  // The node of the key, made if there is none, with one state more. With
  // `max_states` no more than that. `target` is what a new node remembers.
  SourceResult Take(const SourceKey& key, const SourceOwner& owner,
                    uint32_t max_states, Tick now,
                    const Address* target = nullptr, uint16_t target_port = 0);
  // The node of the key with one state more, or kNoSourceNode.
  SourceNodeIndex Find(const SourceKey& key);
  // The node of the key as it is, which the caller has no state in.
  SourceNodeIndex Peek(const SourceKey& key) const;
  // The states of the key's node, 0 without one.
  uint32_t StatesOf(const SourceKey& key) const {
    const SourceNodeIndex node = Peek(key);
    return node == kNoSourceNode ? 0 : StatesOf(node);
  }
  // Tokens of a rate, of which each state takes one.
  bool HasToken(SourceNodeIndex node, RateLimit rate, Tick now) const {
    return TokenBucket::Has(nodes_[node].rate, rate, now);
  }
  bool TakeToken(SourceNodeIndex node, RateLimit rate, Tick now) {
    return TokenBucket::Take(nodes_[node].rate, rate, now);
  }
  // Sets or takes back a mark of the node's; false: it was so.
  bool Mark(SourceNodeIndex node, bool marked) {
    uint32_t before = marked ? 0 : 1;
    return nodes_[node].rate_seconds.compare_exchange_strong(
        before, marked ? 1 : 0, std::memory_order_relaxed);
  }
  uint32_t StatesOf(SourceNodeIndex node) const {
    return nodes_[node].states.load(std::memory_order_relaxed) & kCount;
  }
  // Of a state that did not come about: as if it had not been counted.
  void GiveBack(SourceNodeIndex node, Tick now);
  // What the node remembers does not hold any more: the next Take() of its key
  // makes another one. The caller has a state in it.
  void Retire(SourceNodeIndex node);
  // One state less; `connection`: it was counted as one. Without states the
  // node lives for `life` more ticks.
  void Release(SourceNodeIndex node, bool connection, uint32_t life, Tick now);
  // A state's connection is open. The caller has a state in the node. With a
  // limit of 0 there is none.
  ConnectionVerdict AddConnection(SourceNodeIndex node, uint32_t max,
                                  RateLimit rate, Tick now);
  void AddTraffic(SourceNodeIndex node, uint64_t packets, uint64_t bytes);
  const Address& target(SourceNodeIndex node) const {
    return nodes_[node].target;
  }
  const SourceKey& key(SourceNodeIndex node) const {
    return nodes_[node].key;
  }
  uint16_t target_port(SourceNodeIndex node) const {
    return nodes_[node].target_port;
  }
  // For what is no source: no limit but the table's own.
  SourceBudget* unlimited() { return &unlimited_; }

  // ---- Control side, one thread at a time -----------------------------------

  // Looks at no more than `budget` places: ends what has expired and gives out
  // again what nobody can stand on any more.
  void Purge(Tick now, uint32_t budget);
  // Takes sources out: states that hold them go on without. Returns how many.
  uint32_t Remove(const std::function<bool(const SourceRecord&)>& which,
                  Tick now);
  // Takes all of a filter out, of whatever use: what they count for may go then.
  // Its states are gone, or go on without. Returns how many.
  uint32_t RemoveAllOf(uint16_t filter);
  // Calls visit() for sources from *cursor on, at most `budget` places; false
  // at the end.
  bool Visit(uint32_t* cursor, uint32_t budget, Tick now,
             const std::function<void(const SourceRecord&)>& visit) const;
  // A source that was known elsewhere. Reserve() takes its place and what it
  // counts for, and nobody sees it yet; kNoSourceNode: no room. Any thread.
  SourceNodeIndex Reserve(const SourceRecord& record, const SourceOwner& owner);
  // Instead of Publish(): gives all of it back. Any thread.
  void Discard(SourceNodeIndex node);
  // From here on it is a source without states. If its key has one by now that
  // one stays, with what it remembers, and is raised.
  void Publish(SourceNodeIndex node, const SourceRecord& record, Tick now);
  // The source of that key, if there is one, goes on from the greater of its
  // own numbers and these.
  bool Raise(const SourceRecord& record, Tick now);

  uint32_t capacity() const { return capacity_; }
  size_t memory() const { return memory_.size() + bucket_memory_.size(); }

 private:
  // Bits of Node::states above the number. None: a place without a node.
  static constexpr uint32_t kLive = 1u << 31;
  static constexpr uint32_t kDead = 1u << 30;      // ended, to be unlinked
  static constexpr uint32_t kDetached = 1u << 29;  // taken out by Remove()
  static constexpr uint32_t kRetired = 1u << 28;   // waits for a grace period
  static constexpr uint32_t kCount = kRetired - 1;
  static bool IsLive(uint32_t states) { return (states & kLive) != 0; }

  struct alignas(128) Node {
    // Written before the node is linked, then unchanged.
    SourceKey key;
    Address target;
    uint16_t target_port;
    SourceBudget* budget;
    std::atomic<uint32_t>* rule_nodes;
    Tick created;
    // Writers: whoever links it, then the control side. Readers: all.
    std::atomic<uint32_t> next;
    // Any worker.
    std::atomic<uint32_t> states;
    std::atomic<uint32_t> connections;
    std::atomic<uint32_t> expires;
    std::atomic<uint32_t> rate_seconds;
    std::atomic<uint64_t> rate;  // value above, tick of it below
    std::atomic<uint64_t> packets;
    std::atomic<uint64_t> bytes;
  };
  static_assert(sizeof(Node) == 128);
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  SourceNodes(const Options& options, Reclaimer* reclaimer);

  std::atomic<uint32_t>& BucketOf(const SourceKey& key) const;
  SourceNodeIndex Walk(uint32_t from, const SourceKey& key,
                       uint32_t max_states, SourceRefusal* refusal);
  void Fill(SourceNodeIndex at, const SourceKey& key, const SourceOwner& owner,
            Tick now);
  static void GiveBackLimits(const SourceOwner& owner);
  SourceNodeIndex TakePlace();
  void GiveBackPlace(SourceNodeIndex node);
  void Unlink(SourceNodeIndex node);
  // Takes one out, which lived when `states` was read; false: it has ended.
  bool Detach(SourceNodeIndex node, uint32_t states);
  void Collect();
  static void RaiseTo(Node& node, const SourceRecord& record, Tick now);
  SourceRecord RecordOf(const Node& node, uint32_t states, Tick now) const;

  const HashSecret secret_;
  Reclaimer* const reclaimer_;
  const uint32_t capacity_;
  SourceBudget unlimited_;
  TableMemory memory_;
  TableMemory bucket_memory_;
  Node* nodes_ = nullptr;
  std::atomic<uint32_t>* buckets_ = nullptr;
  uint32_t bucket_mask_ = 0;
  // Free places: a stack, its top below and a count that keeps tops apart
  // above; and those that were never used.
  alignas(128) std::atomic<uint64_t> free_{kNoSourceNode};
  alignas(128) std::atomic<uint32_t> used_{0};

  // Control side.
  struct Batch {
    uint64_t grace = 0;
    std::vector<SourceNodeIndex> nodes;
  };
  alignas(128) std::deque<Batch> waiting_;
  std::vector<SourceNodeIndex> unlinked_;
  uint32_t purge_at_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_SOURCE_NODES_H_
