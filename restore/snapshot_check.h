// What may stand in a snapshot, value by value. The reader refuses what these
// refuse; the exporter asks them first, so that it never writes such a thing.
#ifndef SLUICE_RESTORE_SNAPSHOT_CHECK_H_
#define SLUICE_RESTORE_SNAPSHOT_CHECK_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "restore/snapshot.h"

namespace sluice {

// 1 to 31 of [A-Za-z0-9_.:-].
bool IsSnapshotName(std::string_view text);
// 1 to `longest` bytes without control characters.
bool IsSnapshotText(std::string_view text, size_t longest);

// What is wrong, or null. Each looks at the value alone, not at its
// neighbours.
const char* WhatIsWrong(const SnapshotLimit& limit);
const char* WhatIsWrong(const SnapshotTable& table);  // without its entries
const char* WhatIsWrong(const SnapshotTableEntry& entry);
const char* WhatIsWrong(const SnapshotRule& rule);
const char* WhatIsWrong(const SnapshotBinding& binding);
const char* WhatIsWrong(const SnapshotState& state);
const char* WhatIsWrong(const SnapshotExpectation& expectation);
const char* WhatIsWrong(const SnapshotSourceNode& node);
const char* WhatIsWrong(const SnapshotRuleCounters& counters);
const char* WhatIsWrong(const SnapshotTableCounters& counters);

// Neither of none nor of a group.
bool IsHostAddress(const Address& address);

// Whether it stands before the other one: not if they are one.
bool IsBefore(const SnapshotExpectation& a, const SnapshotExpectation& b);
// How many of its kind one parent has at most.
uint32_t MostExpected(const SnapshotExpectation& expectation);
bool IsBefore(const SnapshotSourceNode& a, const SnapshotSourceNode& b);

// Whether it expects its flow behind its parent's translation, as answers come.
// What was written before sluice followed those names the ends in front of it,
// where no answer comes.
bool IsBeyond(const SnapshotExpectation& expectation,
              const SnapshotState& parent);

// What is wrong with the tie of a child to its parent (null: there is no such
// state), or null: the parent is a state of the same filter that was made
// before, has no parent itself, and follows a protocol that has children.
const char* WhatIsWrongWithLink(const SnapshotState& child,
                                const SnapshotState* parent);
const char* WhatIsWrongWithLink(const SnapshotExpectation& expectation,
                                const SnapshotState* parent);

// The state with that id among states that ascend by id, or null.
const SnapshotState* FindState(const std::vector<SnapshotState>& states,
                               uint64_t id);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_CHECK_H_
