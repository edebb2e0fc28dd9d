// Named places in the work of the control side at which a test can end the
// process, as a power failure would: SLUICE_FAULT_POINT=NAME:COUNT in the
// environment raises SIGKILL when NAME is passed for the COUNT-th time.
//
// The variable is read once, by ReadFaultPoints() at the start. Without it a
// point costs one load of a pointer. Workers pass none.
#ifndef SLUICE_DATAPLANE_BASE_FAULT_POINT_H_
#define SLUICE_DATAPLANE_BASE_FAULT_POINT_H_

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice {

// All names, for tests that sweep over them and to refuse others.
std::span<const std::string_view> FaultPointNames();

namespace internal {
struct ArmedFault;
// Written before the process has a second thread.
extern ArmedFault* armed_fault;
void PassFaultPoint(std::string_view name);
}  // namespace internal

// InvalidArgument if the variable is there and not NAME:COUNT with a name from
// the list and a count from 1 to 2^31.
absl::Status ReadFaultPoints();
// The same with the variable's value, for programs that fork.
absl::Status ArmFaultPoint(std::string_view value);

inline void FaultPoint(std::string_view name) {
  if (internal::armed_fault != nullptr) [[unlikely]] {
    internal::PassFaultPoint(name);
  }
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_FAULT_POINT_H_
