// Snapshots for tests, the same in every run and process: the golden corpus is
// made of them.
#ifndef SLUICE_TESTS_UNIT_RESTORE_SNAPSHOT_SAMPLES_H_
#define SLUICE_TESTS_UNIT_RESTORE_SNAPSHOT_SAMPLES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "restore/snapshot.h"

namespace sluice {

// A filter without anything.
Snapshot EmptySnapshot();
// Both families and every kind of record and attribute.
Snapshot FullSnapshot();
// A TFTP transfer in the middle: request, data flow, and what another request
// still expects.
Snapshot TransferSnapshot();
// The same by a rule that binds states to an interface.
Snapshot BoundSnapshot();
// A filter in FreeBSD's dialect, with a table that the optimiser has made and
// an unnamed anchor.
Snapshot DialectSnapshot();
// Two states, one of them not for others.
Snapshot NoSyncSnapshot();
// Two states behind nat-to.
// Its two states go on in the other family.
Snapshot FamiliesSnapshot();
Snapshot TranslatedSnapshot();
Snapshot LinksSnapshot();
// States and an expectation whose packets are rewritten.
Snapshot ActionsSnapshot();
// A TCP state whose peers see other sequence numbers.
Snapshot ModulatedSnapshot();
// States in VLANs, with their children and expectations, and flows that are
// in several.
Snapshot VlanSnapshot();
Snapshot MarksSnapshot();
Snapshot RoutesSnapshot();
// Rules with `max-pkt-rate` and `once`, and fingerprints.
Snapshot LivesSnapshot();
// Sources of rules, of all rules and of pools, in both families.
Snapshot SourcesSnapshot();
// What FTP and SCTP expect, in both families, translated and not.
Snapshot HelpersSnapshot();
Snapshot FlowChildrenSnapshot();
// `count` TCP states, half of them IPv6.
Snapshot ManyStatesSnapshot(uint32_t count);
// The state with that number of them, from 0.
SnapshotState OneOfMany(uint32_t number);

// A state of a UDP or TCP flow, both sides in their first phase.
SnapshotState SampleState(uint64_t id, uint8_t proto, std::string_view from,
                          uint16_t from_port, std::string_view to,
                          uint16_t to_port);

struct NamedSnapshot {
  std::string name;
  Snapshot snapshot;
  uint16_t since = 0;  // the minor version that could first say it
};
// What the golden corpus holds, a file NAME.snap each in the folder of each
// minor version.
std::vector<NamedSnapshot> GoldenSnapshots();

// As WriteSnapshot(), but writes what the reader refuses too.
std::vector<uint8_t> WriteUnchecked(const Snapshot& snapshot);

// Computes the checksums, the length and the digest anew, as far as the bytes
// have the form of a snapshot at all: a damaged one becomes one that somebody
// wrote on purpose.
void FixSnapshot(std::vector<uint8_t>& bytes);

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_SNAPSHOT_SAMPLES_H_
