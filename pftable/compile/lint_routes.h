// Rules that need a router, and ports that have none.
#ifndef SLUICE_PFTABLE_COMPILE_LINT_ROUTES_H_
#define SLUICE_PFTABLE_COMPILE_LINT_ROUTES_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "pftable/engine/interface_registry.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/policy/policy.h"

namespace sluice {

// A port that forwards, by a wire or a segment, and belongs to no router.
struct UnroutedPort {
  std::string name;
  InterfaceView interface;
};

// Warnings, with places: rules that send packets another way (route-to, reply-to,
// dup-to), which are dropped at these ports, and rules that ask for routes
// (no-route, urpf-failed), which hold for nothing there; each of a rule that its
// `on` lets match at one of them. None without ports.
std::vector<Diagnostic> LintRoutes(const Policy& policy,
                                   const InterfaceRegistry& interfaces,
                                   std::span<const UnroutedPort> ports,
                                   size_t limit);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_LINT_ROUTES_H_
