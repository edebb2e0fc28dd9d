// What can be asked of a filter's states. Workers own them: what asks for them
// is answered later.
#ifndef SLUICE_DATAPLANE_CONTROL_API_STATE_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_STATE_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "packet/address.h"
#include "packet/vlan.h"
#include "pftable/policy/rule.h"

namespace sluice {

struct Generation;

// One side of a state.
struct StatePeerListing {
  // The name of its state ("ESTABLISHED", "SINGLE", ...) or, where the
  // protocol has none (ICMP), its number: pf prints the same.
  std::string state;
  // TCP only: the next sequence number expected and the edge of the window.
  uint32_t sequence_low = 0;
  uint32_t sequence_high = 0;
  uint32_t sequence_difference = 0;  // modulation
  uint8_t window_scale = 0;
};

// The addresses and ports of the packet that made a state. ICMP: the
// identifier is the source's port, the type of the request the destination's.
struct StateEndpoints {
  Address source;
  Address destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  friend bool operator==(const StateEndpoints&,
                         const StateEndpoints&) = default;
};

// A flow that a state's helper waits for, as its first packet will come.
struct ExpectedListing {
  Address source;
  Address destination;
  uint16_t source_port = 0;  // 0: any
  uint16_t destination_port = 0;
  uint64_t expires = 0;  // seconds from now
};

// Where rules send its packets instead of where the routes say.
struct StateRouteListing {
  RouteKind kind = RouteKind::kNone;
  Address gateway;        // kNone: each packet's own destination
  std::string interface;  // empty: by the one that leads to the gateway

  friend bool operator==(const StateRouteListing&,
                         const StateRouteListing&) = default;
};

struct StateListing {
  uint64_t id = 0;
  uint32_t creator_id = 0;
  std::string interface = "all";  // that it is bound to, or "all"
  VlanId vlan;
  uint8_t protocol = 0;
  Direction direction = Direction::kIn;  // in which its first packet went
  StateEndpoints before;                 // translation
  StateEndpoints after;  // translation; equal to `before` without
  StatePeerListing source;
  StatePeerListing destination;
  uint64_t age = 0;      // seconds
  uint64_t expires = 0;  // seconds from now
  // [0] from the source, [1] from the destination.
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  // The rule that made it, if that is still in force; none for states of the
  // default rule.
  std::optional<uint32_t> rule;
  std::string tag;
  bool sloppy = false;
  bool no_sync = false;
  uint64_t parent_id = 0;  // the state that it belongs to (a helper); 0: none
  std::optional<StateRouteListing> route;
  std::vector<ExpectedListing> expected;
};

enum class StateHelper : uint8_t { kFtp, kTftp };

// Which states. What is not set does not narrow; the empty one is all of them.
struct StateQuery {
  std::string interface;
  std::optional<VlanId> vlan;
  std::optional<Prefix> source;  // of the packet that made the state
  std::optional<Prefix> destination;
  // Only states that are translated; the ends, with their ports, are what the
  // translation has made of them.
  bool translated = false;
  std::optional<uint16_t> source_port;
  std::optional<uint16_t> destination_port;
  std::optional<uint8_t> protocol;
  std::optional<Direction> direction;
  std::string label;  // of the rule that made it
  std::optional<uint32_t> rule;
  std::optional<uint64_t> id;
  std::optional<uint32_t> creator_id;
  // Of either end, before its translation or after it.
  std::optional<Prefix> host;
  std::optional<uint16_t> port;  // of what has ports: not of ICMP
  std::string tag;
  std::optional<uint64_t> min_age;  // seconds
  std::optional<uint64_t> max_age;
  // Followed by this helper, or made by what it expected.
  std::optional<StateHelper> helper;
  std::optional<Prefix> gateway;  // that route-to and the like send it to
};

// What the first of a sorted listing has most of.
enum class StateOrder : uint8_t {
  kBytes,
  kPackets,
  kAge,
  kRate,  // bytes a second of its life, which counts as a second at least
};

// How many match, and what they have carried.
struct StateCount {
  struct OfPhase {
    uint8_t protocol = 0;
    std::string phase;  // of the peer that has come less far; ICMP: "0"
    uint64_t states = 0;
  };
  uint64_t states = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::vector<OfPhase> phases;  // that any is in
};

struct StateSlice {
  std::vector<StateListing> states;
  std::string next;
};

// Living states that rules would not let begin.
struct BlockedStates {
  uint64_t looked_at = 0;
  uint64_t blocked = 0;
  uint64_t killed = 0;               // of these
  std::vector<StateListing> states;  // the first of them
};

// What is remembered of a source (pf's source node).
struct SourceListing {
  Address source;
  VlanId vlan;
  Address target;  // that a pool gave it; the unspecified address else
  std::string use;  // "filter", "nat", "rdr", "route"
  uint32_t states = 0;
  uint32_t connections = 0;
  uint32_t rate = 0;          // of connections, in thousandths
  uint32_t rate_seconds = 0;  // in that time; 0: none is counted
  uint64_t age = 0;           // seconds
  uint64_t expires = 0;       // seconds from now; of one without states
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::optional<uint32_t> rule;  // whose own it is, if that is in force
};

struct SourceSlice {
  std::vector<SourceListing> sources;
  std::string next;
};

// A `state limiter` or `source limiter` of the rules in force. Zeros: the text
// does not say.
struct LimiterListing {
  std::string name;
  bool by_source = false;
  uint32_t id = 0;
  uint32_t limit = 0;    // states; of source limiters, of one source
  uint32_t entries = 0;  // sources
  uint32_t rate = 0;     // states in
  uint32_t rate_seconds = 0;
  uint32_t states = 0;
  uint32_t sources = 0;
  uint64_t admitted = 0;
  uint64_t no_address = 0;  // refused for `entries`
  uint64_t full = 0;        // ... for `limit`
  uint64_t too_fast = 0;    // ... for `rate`
};

class StateControl {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  virtual ~StateControl() = default;

  // Brings what living states have counted to their rules and tables, so that
  // the listings that follow are exact. `done` is called once, on the control
  // lcore, now or later.
  virtual void CollectCounters(std::function<void()> done) { done(); }

  // About `limit` states, gathered from the workers between their bursts.
  // `done` is called once, on the control lcore, now or later. States that
  // live all the while are listed exactly once.
  virtual void ListStates(const StateQuery& query, const std::string& cursor,
                          size_t limit, Done<StateSlice> done) = 0;
  // The `limit` states that are first by `order`, in that order; found by the
  // workers, each of which keeps no more than so many.
  virtual void TopStates(const StateQuery& query, StateOrder order,
                         size_t limit,
                         Done<std::vector<StateListing>> done) = 0;
  virtual void CountStates(const StateQuery& query, Done<StateCount> done) = 0;
  // Removes the states that match, without an answer to their hosts. The
  // result counts them.
  virtual void KillStates(const StateQuery& query, Done<uint64_t> done) = 0;

  // Which states the rules would block if they began now, judged by their
  // first packet; with `kill` they are removed. At most `most` of them are
  // listed. Those that end or begin meanwhile may be left out.
  virtual void FindBlocked(std::shared_ptr<const Generation> rules, bool kill,
                           size_t most, Done<BlockedStates> done) {
    static_cast<void>(rules);
    static_cast<void>(kill);
    static_cast<void>(most);
    done(BlockedStates{});
  }

  // About `limit` sources.
  virtual absl::StatusOr<SourceSlice> ListSources(const std::string& cursor,
                                                  size_t limit) {
    static_cast<void>(cursor);
    static_cast<void>(limit);
    return SourceSlice{};
  }
  // State limiters first, each kind by id.
  virtual std::vector<LimiterListing> ListLimiters() { return {}; }
  // Forgets sources, those within `source` that got a target within `target`;
  // their states stay. Returns how many.
  virtual uint64_t KillSources(const std::optional<Prefix>& source,
                               const std::optional<Prefix>& target) {
    static_cast<void>(source);
    static_cast<void>(target);
    return 0;
  }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_STATE_CONTROL_H_
