// Bytes that operator new has given out, and the most of them at one time.
#ifndef SLUICE_TESTS_UNIT_RESTORE_ALLOCATION_COUNT_H_
#define SLUICE_TESTS_UNIT_RESTORE_ALLOCATION_COUNT_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

// Begins to count from zero.
void ResetAllocationPeak();
// The most that was in use at once since then, beyond what was in use then.
size_t AllocationPeak();

// The allocation after `number` more fails, once; with a negative number none
// does. Only those of at least `least` bytes count.
void FailAllocation(int64_t number, size_t least = 0);
bool AllocationHasFailed();

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_ALLOCATION_COUNT_H_
