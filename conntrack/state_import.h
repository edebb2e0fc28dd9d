// States that come from elsewhere, on their way into a shard.
//
// Three calls of StateIntake, each in slices that the worker fits between its
// bursts, none of which allocates:
//
//   Reserve()  takes all that a state needs (slot, room in the index, a unit of
//              the filter's budget, a place of its rule's limit) and writes all
//              of it. No packet, listing or sweep sees such a state. This can
//              fail; then Cancel() gives back what was taken, and the shard is
//              as it was.
//   Commit()   makes them states: a mark and two times each. It cannot fail.
//   Cancel()   instead of Commit(): gives everything back.
//
// A reserved slot is in the index under the hash of its flow, but its family is
// marked, so that it is no packet's. Whoever makes a state of the same flow
// beside it, live or reserved, contests it; only contested ones look for a live
// state when they are committed.
//
// If a live state has the key of an imported one by the time of Commit(), the
// live one stays, with its id, rule and family, and the imported one goes; its
// children go on without a tie and its expectations end. What the live one
// takes over is what pfsync would: each peer by itself, only forwards. The
// peer's phase, and for TCP its window and scale, are taken if the imported
// phase is not behind, for TCP the imported `low` is not behind either, and one
// of them is ahead. On equal, live wins.
#ifndef SLUICE_CONNTRACK_STATE_IMPORT_H_
#define SLUICE_CONNTRACK_STATE_IMPORT_H_

#include <cstdint>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/flow_key.h"
#include "conntrack/state.h"
#include "packet/packet.h"

namespace sluice {

class StateEntries;
class StateTable;

// The counter in an id is below this, so that imports, however often and of
// whatever, leave a worker more ids than it can use up.
inline constexpr uint64_t kMaxImportedCount = uint64_t{1} << 48;

// One state. Of `record`: `expires_in` is kept as far as the timeouts of the
// receiving filter allow, `idle` follows from it; `slot` is where Reserve() put
// it. Key, timeout and phases are sound for the protocol, addresses of
// one family; the id has this worker's number in its low bits.
struct ImportedState {
  StateRecord record;
  // Of a parent and of a child (StateImport::Tie()).
  uint16_t family_record = kNoFamilyRecord;
};

// The states of one filter for one shard. The control side fills in `states`
// and leaves it alone while the worker has it.
struct StateImport {
  uint16_t filter = 0;
  std::vector<ImportedState> states;  // ascending by id, by Add()
  // The slots of those that have one; as long as `states`.
  std::vector<StateIndex> slots;
  // The indexes of parents and children, ascending, by Tie().
  std::vector<uint32_t> ties;

  void Add(const ImportedState& state) {
    slots.push_back(kNoState);
    states.push_back(state);
  }
  void Reserve(size_t count) {
    slots.reserve(count);
    states.reserve(count);
  }
  // Between StateIntake::Reserve() and Commit(), ascending by index: what the
  // state has in the expectation table, and for a child its parent.
  void Tie(uint32_t index, const StateHandle& parent, uint16_t family_record) {
    ties.push_back(index);
    states[index].record.parent = parent;
    states[index].family_record = family_record;
  }

  size_t tied = 0;        // of `ties`, how many were committed
  uint32_t reserved = 0;  // how many states have a place
  uint32_t done = 0;      // how many were committed
  bool begun = false;
  uint64_t inserted = 0;
  uint64_t merged = 0;    // a live state had the key
  uint64_t advanced = 0;  // of those, how many live states took something over
};

enum class ReserveResult : uint8_t {
  kMore,        // call again
  kReady,       // all have a place
  kIds,         // ids are out of order, in use here, or of another worker
  kFilter,      // the shard does not have that filter
  kSlots,       // no free slot
  kIndex,       // no room in the index
  kStateLimit,  // `set limit states`
  kRuleLimit,   // `max` of a rule
  kTranslated,  // another state has given out its translated flow
};

// States of one filter of a shard that become those of another one: flows that
// an emergency ruleset has let through while its filter waited. What the other
// filter has of a flow stays, with its rule, and takes over what is ahead; what
// it does not have becomes a state of no rule.
struct StateAdoption {
  uint16_t from = 0;
  uint16_t to = 0;
  // Those of `from` end; otherwise they go on beside their copies.
  bool moves = false;
  uint32_t slot = 0;  // how far it has come
  bool begun = false;
  // Of the states that were made, counters of ids.
  uint64_t first_id = 0;
  uint64_t last_id = 0;
  uint64_t made = 0;
  uint64_t merged = 0;
  uint64_t refused = 0;  // no room
};

// The way into one shard. Everything is the worker's, as for StateTable; each
// call looks at no more than `budget` states.
class StateIntake {
 public:
  // The table outlives it.
  explicit StateIntake(StateTable* table);

  ReserveResult Reserve(StateImport* import, uint32_t budget);
  // True when all are in. Only after kReady.
  bool Commit(StateImport* import, Tick now, uint32_t budget);
  // True when all was given back. After any Reserve().
  bool Cancel(StateImport* import, uint32_t budget);
  // True when all were adopted. Looks at no more than `budget` slots. The shard
  // has both filters.
  bool Adopt(StateAdoption* adoption, Tick now, uint32_t budget);
  // Takes the copies of an adoption that does not move back. True when all are
  // gone; `*slot` is where it goes on.
  bool Disown(const StateAdoption& adoption, uint32_t* slot, uint32_t budget);
  // The counter of the newest id: ids above are free.
  uint64_t last_id() const;

 private:
  FlowHash HashOf(const StateRecord& record) const;
  ReserveResult Begin(StateImport* import);
  ReserveResult ReserveOne(StateRecord* record);
  // Gives a translated state its second key. While the flow is a live state's
  // too, what that has given out is its own.
  bool ReserveSecond(const StateRecord& record, StateIndex state);
  void Release(const ImportedState& imported);
  void Write(const StateRecord& record, StateIndex state);
  // The mark goes: from here on it is a state.
  void Publish(StateIndex state, Tick now);
  void CommitContested(StateImport* import, const ImportedState& imported,
                       Tick now);
  void TieFamily(const ImportedState& imported, Tick now);
  void AdoptOne(StateAdoption* adoption, StateIndex state, Tick now);
  // A state with the key of that one, where both would hold.
  StateIndex FindLive(const StateRecord& record) const;
  // Takes over what is ahead of the live state; whether anything was.
  bool Advance(StateIndex state, const StateRecord& record, Tick now);

  StateTable& table_;
  StateEntries& entries_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_IMPORT_H_
