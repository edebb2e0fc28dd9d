// The numbers of the snapshot format. docs/snapshot-format.md describes every
// byte; this header, the writer and the reader are its implementation.
#ifndef SLUICE_RESTORE_SNAPSHOT_FORMAT_H_
#define SLUICE_RESTORE_SNAPSHOT_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

inline constexpr std::array<uint8_t, 8> kSnapshotMagic = {
    'S', 'L', 'U', 'I', 'C', 'E', 0x1a, '\n'};
inline constexpr uint16_t kSnapshotMajor = 1;
inline constexpr uint16_t kSnapshotMinor = 8;
// From this minor version on expectations name an interface of their own.
inline constexpr uint16_t kMinorOfExpectedInterface = 1;
// META says which dialect the policy is in.
inline constexpr uint16_t kMinorOfDialect = 2;
// What were the header's flags are the upper bits of the length, and there may
// be several sections of states.
inline constexpr uint16_t kMinorOfLongSnapshots = 3;
// States say that they are `no-sync`.
inline constexpr uint16_t kMinorOfNoSync = 3;
// States say what their flows are behind a translation.
inline constexpr uint16_t kMinorOfTranslation = 4;
// ... which may be of the other family.
inline constexpr uint16_t kMinorOfFamilies = 5;

// States may have offsets of sequence numbers.
inline constexpr uint16_t kMinorOfSequence = 4;
// States say in which VLAN they are; before, there was one space for all.
inline constexpr uint16_t kMinorOfVlan = 5;

// Translated states say where their hosts are on their links.
inline constexpr uint16_t kMinorOfLinks = 6;

// States say what their pools keep of them.
inline constexpr uint16_t kMinorOfPools = 5;
// ... and what `pflow` and the like leave in states.
inline constexpr uint16_t kMinorOfMarks = 6;

// States and expectations say where rules send their packets.
inline constexpr uint16_t kMinorOfRoutes = 7;

// Counters of rules say what `max-pkt-rate` and `once` have counted.
inline constexpr uint16_t kMinorOfRuleLives = 6;

// Expectations of other helpers than TFTP's are said.
inline constexpr uint16_t kMinorOfExpectedFlows = 7;

// Sources are carried by themselves.
inline constexpr uint16_t kMinorOfSourceNodes = 7;

// Children of FTP's control connections and SCTP's associations name them.
inline constexpr uint16_t kMinorOfFlowParents = 8;

inline constexpr size_t kSnapshotHeaderBytes = 96;
// What a newer minor version may lengthen the header to.
inline constexpr size_t kMaxSnapshotHeaderBytes = 1024;
inline constexpr size_t kSnapshotUpperLengthOffset = 14;
inline constexpr size_t kSnapshotLengthOffset = 16;
inline constexpr size_t kSnapshotSectionsOffset = 20;
inline constexpr size_t kSnapshotCrcOffset = 92;  // of the header
// What 48 bits can say.
inline constexpr uint64_t kMaxSnapshotBytes = (uint64_t{1} << 48) - 1;

// Type, version, flags, length.
inline constexpr size_t kTlvHeaderBytes = 8;
// A section's count and bytes before its records, its CRC32C behind them.
inline constexpr size_t kSectionHeadBytes = 8;
inline constexpr size_t kSectionTailBytes = 4;
inline constexpr size_t kMaxRecordBytes = 4096;  // of its value
// Of all records of a section, so that its length says itself in 32 bits.
inline constexpr uint64_t kMaxSectionBytes = UINT32_MAX - 15;
inline constexpr size_t kMaxSections = 32;
inline constexpr size_t kDigestBytes = 32;
// The value of END: algorithm, sections, records, digest.
inline constexpr size_t kEndBytes = 16 + kDigestBytes;

// In the type of a section, a record or an attribute: who does not know it
// must refuse the snapshot. Others are skipped.
inline constexpr uint16_t kCriticalType = 0x8000;

// In the order in which sections stand. NAT-POOLS is reserved: this minor
// version writes none, and refuses it when it is critical.
enum class SectionKind : uint16_t {
  kMeta = 0x8010,
  kLimits = 0x8020,
  kTables = 0x8030,
  kRules = 0x8040,
  kNatPools = 0x0050,
  kParentStates = 0x8060,
  kChildStates = 0x8070,
  kExpectations = 0x8080,
  kSourceNodes = 0x0090,  // only with records; since 1.7
  kCounters = 0x80a0,
  kEnd = 0xffff,
};

// Types of records, by section.
enum class RecordType : uint16_t {
  kMeta = 0x8001,            // META
  kDialect = 0x0002,
  kLimit = 0x8001,           // LIMITS
  kTable = 0x8001,           // TABLES
  kTableEntry = 0x8002,
  kRuleset = 0x8001,         // RULES
  kOption = 0x8002,
  kRule = 0x8003,
  kState = 0x8001,           // both sections of states
  kExpectation = 0x8001,     // EXPECTATIONS
  kExpectedFlow = 0x0002,    // of FTP and SCTP; since 1.7
  kRuleCounters = 0x8001,    // COUNTERS
  kTableCounters = 0x8002,
  kSourceNode = 0x8001,      // SRC-NODES
};

// Types of attributes, of states, expectations and sources.
enum class AttributeType : uint16_t {
  kInterface = 0x8001,   // name of the interface that it is bound to
  kTag = 0x8002,
  kAnchorRule = 0x8003,  // identity of the innermost anchor call
  kMatchRules = 0x8004,  // identities of match rules
  kTimeouts = 0x8005,    // the rule's own timeouts
  kActions = 0x8006,     // what is done to its packets; since 1.4
  kTcpScrub = 0x8007,    // of scrub (reassemble tcp); since 1.4
  kSequence = 0x8008,    // offsets of both peers' TCP sequence numbers
  // Of states: the flow behind it; since 1.4, of the other family since 1.5.
  kTranslation = 0x8009,
  kPools = 0x8030,       // of states: what pools keep of it; since 1.5
  kLimiters = 0x8031,    // of states: the limiters that count it; since 1.5
  kVlan = 0x800a,         // of states: their VLAN's numbers; since 1.5
  kLinks = 0x800c,        // of translated states: their hosts' MACs; since 1.6
  kMarks = 0x800d,        // what else their rules want; since 1.6
  kRoute = 0x800e,        // where rules send their packets; since 1.7
  kPoolTarget = 0x8032,   // of sources: what their pool has given; since 1.7
  kRate = 0x8033,         // of sources: their rate of connections; since 1.7
  // Of FTP's and SCTP's children, among the states without a seat in a family:
  // the parent's id; since 1.8.
  kParent = 0x0034,
};

enum class DigestAlgorithm : uint32_t {
  kSha256 = 1,
};

inline constexpr uint8_t kRecordVersion = 1;

inline constexpr size_t kMaxNameBytes = 31;
inline constexpr size_t kMaxTagBytes = 63;
inline constexpr size_t kMaxAnchorComponentBytes = 63;
inline constexpr size_t kMaxAnchorPathBytes = 1023;
inline constexpr size_t kMaxMatchRulesOfState = 8;

// Of rules and tables.
inline constexpr uint64_t kMaxSnapshotCounter = INT64_MAX;

// The least bytes of a whole record, its padding included: what a count is
// held against before anything is allocated for it.
inline constexpr size_t kLeastLimitBytes = 16;
inline constexpr size_t kLeastTableBytes = 24;
inline constexpr size_t kLeastEntryBytes = 16;
inline constexpr size_t kLeastRulesetBytes = 24;
inline constexpr size_t kLeastOptionBytes = 16;
inline constexpr size_t kLeastRuleBytes = 24;
inline constexpr size_t kLeastStateBytes = 136;
inline constexpr size_t kLeastExpectationBytes = 48;
inline constexpr size_t kLeastRuleCountersBytes = 72;
inline constexpr size_t kLeastTableCountersBytes = 104;
inline constexpr size_t kLeastSourceNodeBytes = 56;

constexpr size_t PaddedBytes(size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_FORMAT_H_
