// Network namespaces: what is done in one, by a thread of its own, so that no
// other thread of the process ever leaves its own.
#ifndef SLUICE_DATAPLANE_ROUTER_NETNS_H_
#define SLUICE_DATAPLANE_ROUTER_NETNS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace sluice {

// Calls `work` on a thread that is in `netns` (as in RouterConfig; empty: where
// the process is, and then on this thread), and waits for it. What it opens
// stays in that namespace. Errors: those of `work`, and a namespace that is not
// there (NotFound) or may not be entered (PermissionDenied).
absl::Status InNetns(const std::string& netns,
                     absl::FunctionRef<absl::Status()> work);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_NETNS_H_
