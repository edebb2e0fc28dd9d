// The walker that recomputes what a generation claims, for tests.
#ifndef SLUICE_PFTABLE_STORE_INVARIANTS_H_
#define SLUICE_PFTABLE_STORE_INVARIANTS_H_

#include "absl/status/status.h"
#include "pftable/store/policy_store.h"

namespace sluice {

// Counts all references anew and compares, and checks that all indexes and
// pointers of the generation in force resolve inside it. The status says what
// is wrong. While nobody publishes.
absl::Status CheckInvariants(const PolicyStore& store);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_INVARIANTS_H_
