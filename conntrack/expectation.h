// Flows that are expected because of another one: a TFTP server answers a
// request from a port of its own choice, and the packet that comes from there
// belongs to the request; FTP's hosts name the ports of their data connections
// (ftp.h); an SCTP host has other addresses than the one that
// it is met at (sctp_multihome.h).
//
// One small table of fixed capacity for all workers, because the flow that is
// expected may be owned by another worker than its parent. Asking whether it
// is empty costs one relaxed load; everything else is a short critical section
// under a spinlock, entered on state misses and by helpers only.
//
// The key of a TFTP expectation is its parent's flow key with the server's port
// wild: the child is judged in the direction opposite to its parent's, in its
// VLAN, comes from the server and goes to the client's address and port. A
// packet from the
// parent's own server port never matches, so that no expectation covers its
// parent's tuple (that packet finds the parent's state; were it gone, the
// expectation would be gone with it).
//
// An SCTP expectation names both ends, and either may send first.
//
// A `FamilyRecord` stands for each parent that has expectations or children.
// Workers know parents of other workers by it alone, as record number and id:
// a record whose id differs belongs to somebody else, and the parent is gone.
#ifndef SLUICE_CONNTRACK_EXPECTATION_H_
#define SLUICE_CONNTRACK_EXPECTATION_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "conntrack/flow_key.h"
#include "conntrack/state.h"
#include "packet/address.h"
#include "packet/packet.h"

namespace sluice {

inline constexpr uint32_t kMaxFamilyChildren = 4;
// Of one SCTP association, at one judgement: flows that are expected, and
// children alive.
inline constexpr uint32_t kMaxSctpPaths = 32;
// Of one FTP control connection: data connections that are expected, the last
// ones, and those that are open.
inline constexpr uint32_t kMaxFtpExpected = 8;
inline constexpr uint32_t kMaxFtpTransfers = 32;
// How long another path of an association is waited for: pf's first timeout of
// a state that it would make at once.
inline constexpr uint32_t kSctpTimeToLive = 120000;
// How long a child's client has to be silent, in ticks, until the child may
// lose its place.
inline constexpr uint32_t kChildIdle = 1000;

// What is full gives way fairly. Of a filter's expectations, the oldest one of
// the source that has most, or of all if each has little: a flood of forged
// requests makes the expectations' lives short for itself and shuts nobody out
// (expectation_shares.h). Of a parent's children the one
// that its client has left alone for longest, and for a second at least, loses
// its place to a new request of the same client port: clients that are switched
// off say nothing.
//
// A filter may have another expectation, or another family, if it has fewer
// than are free ("dynamic thresholds", Choudhury and Hahne 1998). However much
// some filters expect, there is room for one that expects nothing yet; n that
// take what they get have 1/(n+1) of the table each.
struct ExpectationOptions {
  // Of one filter that is alone; there is room for twice as many.
  uint32_t capacity = 4096;
  uint32_t filters = 4096;          // their numbers are below this
  uint32_t per_source = 64;         // of one client, in one filter and VLAN
  // Alive at once; at most kMaxFamilyChildren.
  uint32_t children_per_parent = 4;
  uint32_t time_to_live = 30000;    // ticks
};

// What an expectation needs to know of the state that makes it.
struct ParentReference {
  StateHandle handle{};
  uint16_t filter = 0;
  Direction direction = Direction::kIn;
  bool has_parent = false;
  // The family record, or kNoFamilyRecord.
  uint16_t record = 0xffff;
  // Where it was made: an if-bound parent's child has to come there.
  uint16_t interface = 0;
  VlanId vlan{};  // its child's, too
};
inline constexpr uint16_t kNoFamilyRecord = 0xffff;

enum class ExpectResult : uint8_t {
  kArmed,          // a new one
  kRearmed,        // the parent had it already: its time starts again
  kFull,           // no room in the table, or no more for this filter
  kSourceLimit,    // too many of this client
  kChildLimit,     // the parent has as many children as it may have
  kGrandchild,     // the parent is a child itself
  kBadParent,      // no parent, or one that is not UDP
  kTaken,          // another parent's first packet could look the same
};

// What a translated parent makes of a child's packets: the other ends of its
// first one as it goes on. Ports raw.
struct ExpectedEnds {
  Family family = Family::kNone;  // kNone: they go on as they are
  std::array<uint8_t, 16> source{};  // its port stays, if it can
  std::array<uint8_t, 16> destination{};
  uint16_t destination_port = 0;

  friend bool operator==(const ExpectedEnds&, const ExpectedEnds&) = default;
};

// What a flow's first packet will be. Addresses as in PacketInfo, ports raw.
struct ExpectedFlow {
  uint8_t proto = 0;
  Family family = Family::kNone;
  // Where that packet will be judged. Of SCTP: where one from `source` would.
  Direction direction = Direction::kIn;
  std::array<uint8_t, 16> source{};
  std::array<uint8_t, 16> destination{};
  uint16_t source_port = 0;  // 0: any
  uint16_t destination_port = 0;
  uint16_t not_from = 0;     // the parent's, from which no child comes
  bool alone = false;        // if no other parent expects what looks the same
  // Whose share it takes (expectation_shares.h).
  std::array<uint8_t, 16> owner{};
  // SCTP: the tags that packets from `source` and from `destination` bear; 0 is
  // unknown.
  std::array<uint32_t, 2> tag{};
  ExpectedEnds after{};
};

// What the first packet of an expected flow gets.
struct ExpectedChild {
  ParentReference parent;
  StateTemplate values;  // the parent's, or what its rules said
  // SCTP: by the child's Peer; 0 is unknown.
  std::array<uint32_t, 2> tag{};
  ExpectedEnds after{};
};

// An expectation as values. Host order.
struct ExpectationRecord {
  StateHandle parent;
  uint16_t filter = 0;
  Direction direction = Direction::kIn;  // of the parent
  uint16_t interface = 0;  // with kStateIfBound
  VlanId vlan;
  uint8_t proto = 0;
  Address client;
  Address server;
  uint16_t client_port = 0;
  // The parent's, from which no child comes; of SCTP the child's.
  uint16_t server_port = 0;
  // Of the first packet; of SCTP both.
  Direction child_direction = Direction::kIn;
  std::array<uint32_t, 2> tag{};  // SCTP, by the end that bears it
  std::array<uint8_t, 16> owner{};  // whose share it takes
  ExpectedEnds after{};
  uint32_t expires_in = 0;   // ticks
  StateTemplate values;
};

// What the table counts of one filter. T: Counter in the table, which writes
// it under its lock and lets it be read at any time; else plain numbers.
template <typename T>
struct ExpectationCounts {
  T armed{};
  T rearmed{};
  T matched{};
  T expired{};
  T dropped_early{};      // the server answered from the parent's port
  T parent_gone{};        // freed with the parent
  T displaced{};          // gave way to another source's
  T children_replaced{};  // idle children that lost their place
  T refused_full{};
  T refused_source{};
  T refused_children{};
  T refused_grandchild{};
  T refused_parent{};
  // Messages to a server that are none; of FTP what names another host, a port
  // that is not allowed, or none.
  T malformed{};
  // Packets to an expected client port from somebody else than the server.
  T unrelated{};
  // Now: expectations, and parents that have some or have children.
  T in_use{};
  T families{};

  struct Field {
    std::string_view name;
    T ExpectationCounts::*value;
    bool gauge = false;
  };
  static constexpr std::array<Field, 17> Fields() {
    using C = ExpectationCounts;
    return {{{"in_use", &C::in_use, true},
             {"families", &C::families, true},
             {"armed", &C::armed},
             {"rearmed", &C::rearmed},
             {"matched", &C::matched},
             {"expired", &C::expired},
             {"dropped_early", &C::dropped_early},
             {"parent_gone", &C::parent_gone},
             {"displaced", &C::displaced},
             {"children_replaced", &C::children_replaced},
             {"refused_full", &C::refused_full},
             {"refused_source", &C::refused_source},
             {"refused_children", &C::refused_children},
             {"refused_grandchild", &C::refused_grandchild},
             {"refused_parent", &C::refused_parent},
             {"malformed", &C::malformed},
             {"unrelated", &C::unrelated}}};
  }
};
using ExpectationStatistics = ExpectationCounts<uint64_t>;

class ExpectationTable {
 public:
  ExpectationTable(const ExpectationOptions& options,
                   const HashSecret& secret);
  ~ExpectationTable();
  ExpectationTable(const ExpectationTable&) = delete;
  ExpectationTable& operator=(const ExpectationTable&) = delete;

  // May be stale by the time that it is used, as any answer would be.
  bool empty() const { return live_.load(std::memory_order_relaxed) == 0; }
  uint32_t size() const { return live_.load(std::memory_order_relaxed); }

  // Arms the expectation of `parent`, a UDP state whose first packet had this
  // key. `server_end` is the end of the key, 0 or 1, at which the server is.
  // On kArmed and kRearmed *record is the parent's family record.
  ExpectResult Arm(const FlowKey4& key, int server_end,
                   const ParentReference& parent, const StateTemplate& values,
                   Tick now, uint16_t* record);
  ExpectResult Arm(const FlowKey6& key, int server_end,
                   const ParentReference& parent, const StateTemplate& values,
                   Tick now, uint16_t* record);

  // Arms any flow that a parent of the same protocol may expect.
  ExpectResult Arm(const ExpectedFlow& flow, const ParentReference& parent,
                   const StateTemplate& values, Tick now, uint16_t* record);

  // SCTP. The addresses that are expected of a family at the end of its flow
  // keys, each once; how many there are.
  uint32_t AddressesOf(uint16_t record, StateId parent, int end,
                       std::span<std::array<uint8_t, 16>> addresses);
  // The tag that packets of the family from this end bear is known by now.
  void LearnTag(uint16_t record, StateId parent, int end, uint32_t tag);
  // The peer at this end has given up the address.
  void Forget(uint16_t record, StateId parent, int end,
              const std::array<uint8_t, 16>& address);

  // For a packet that has no state: takes the expectation that it fulfils.
  // One-shot: of two workers with such packets one gets it. The child counts as
  // alive from here on: give it to StateTable::Insert(), which says ChildGone()
  // if it cannot make it, or say so yourself.
  bool Take(const PacketInfo& info, VlanId vlan, const JudgePoint& where,
            Tick now, ExpectedChild* child);

  // Whether Take() would find one.
  bool Expects(const PacketInfo& info, VlanId vlan, const JudgePoint& where,
               Tick now);

  // The parent's own expectations are not needed any more.
  void Disarm(uint16_t record, StateId parent);
  // A state that had a family record has ended: frees what it expected, O(its
  // list). Its children live on.
  void ParentGone(uint16_t record, StateId parent);
  // The child that Take() or ReserveFamily() counted is a state by now.
  void ChildMade(uint16_t record, StateId parent, StateId child, Tick now);
  // A packet of the child's client. False: the child has lost its place and
  // there is no other.
  bool ChildActive(uint16_t record, StateId parent, StateId child, Tick now);
  // The child has ended, or has nothing more to say; 0 if it never was a
  // state.
  void ChildGone(uint16_t record, StateId parent, StateId child);

  // Frees at most `budget` expectations whose time is over.
  void Expire(Tick now, uint32_t budget);

  // Appends the expectations in at most `budget` places from *cursor on, which
  // starts at 0, to `records`. False at the end. Control side.
  bool List(uint32_t* cursor, uint32_t budget, Tick now,
            std::vector<ExpectationRecord>* records) const;

  // The way in for a parent from elsewhere with what it expects; control side.
  // First its family, of the parent's protocol and with as many children as
  // will be inserted: the record's number goes into their ImportedState. kFull,
  // kChildLimit, kGrandchild and kBadParent as for Arm().
  ExpectResult ReserveFamily(const ParentReference& parent, uint8_t proto,
                             uint32_t children, uint16_t* record);
  // Then its expectations, which no packet meets and no listing shows until
  // CommitFamily(). `record` is the family's. At most the
  // table's own time to live remains. kTaken: it is translated, and another
  // parent's first packet could look the same.
  ExpectResult ReserveExpectation(const ExpectationRecord& expected,
                                  uint16_t record);
  // Cannot fail. Nothing happens if the parent has gone since.
  void CommitFamily(uint16_t record, StateId parent, Tick now);
  // Instead, when no state of the family was or will be inserted.
  void CancelFamily(uint16_t record, StateId parent);

  void CountMalformed(uint16_t filter, uint8_t proto = protocol::kUdp);
  // A flow that a helper could not follow for want of room.
  void CountFull(uint16_t filter, uint8_t proto);
  // Take no lock. Of the helper for a protocol: UDP is TFTP, TCP is FTP. Of one
  // filter, which has been counted since the table was made, whoever had its
  // number; and of all.
  ExpectationStatistics statistics(uint16_t filter, uint8_t proto) const;
  ExpectationStatistics StatisticsOfAll(uint8_t proto) const;
  ExpectationStatistics statistics() const {
    return StatisticsOfAll(protocol::kUdp);
  }

 private:
  struct Impl;
  ExpectResult ArmTarget(const std::array<uint8_t, 16>& client,
                         uint16_t client_port,
                         const std::array<uint8_t, 16>& server,
                         uint16_t server_port, Family family, uint8_t proto,
                         const ParentReference& parent,
                         const StateTemplate& values, Tick now,
                         uint16_t* record);
  ExpectResult ArmLocked(const ExpectedFlow& flow,
                         const ParentReference& parent,
                         const StateTemplate& values, Tick now,
                         uint16_t* record);
  // Under the lock, after each change.
  void Publish();

  std::unique_ptr<Impl> impl_;
  // Written under the lock, read without it; a line of its own.
  alignas(128) std::atomic<uint32_t> live_{0};
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_EXPECTATION_H_
