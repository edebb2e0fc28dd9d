// Which flag of a state is which bit of its record in a snapshot.
#ifndef SLUICE_RESTORE_STATE_FLAGS_H_
#define SLUICE_RESTORE_STATE_FLAGS_H_

#include <cstdint>
#include <utility>

#include "pftable/engine/state_template.h"
#include "restore/snapshot.h"

namespace sluice {

inline constexpr std::pair<StateFlag, uint32_t> kCarriedStateFlags[] = {
    {kStateSloppy, kSnapshotStateSloppy},
    {kStateAllowOptions, kSnapshotStateAllowOptions},
    {kStateLog, kSnapshotStateLog},
    {kStateLogAll, kSnapshotStateLogAll},
    {kStateLogMatches, kSnapshotStateLogMatches},
    {kStateNoSync, kSnapshotStateNoSync},
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_STATE_FLAGS_H_
