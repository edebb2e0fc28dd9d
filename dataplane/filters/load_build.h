// From a request to load a ruleset to the policy that it makes of another one:
// the part of a load that changes nothing.
#ifndef SLUICE_DATAPLANE_FILTERS_LOAD_BUILD_H_
#define SLUICE_DATAPLANE_FILTERS_LOAD_BUILD_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/control/api/rule_control.h"
#include "dataplane/filters/filter_core.h"
#include "pftable/compile/lint_routes.h"
#include "pftable/policy/merge_policy.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Control lcore. The filter's ports that forward and have no router.
std::vector<UnroutedPort> UnroutedPortsOf(const FilterCore& core);

// Any thread. What `old` becomes by the request, whose diagnostics, rules,
// text and differences go into the result; none: there are errors among them.
// With `from_file` the request's name is a path, and there is no text.
// `standing` is that of `old`. Of `unrouted` ports it is said what rules cannot do
// there.
std::optional<Policy> BuildPolicy(FilterCore& core, const LoadRequest& request,
                                  bool from_file, const Policy& old,
                                  std::span<const UnroutedPort> unrouted,
                                  LoadResult* result,
                                  Standing standing = Standing::kInForce);

// Adds the lines of a status that PolicyStore::Define() has answered.
void AddDiagnostics(const absl::Status& status, const std::string& name,
                    LoadResult* result);

// Adds the milliseconds of its life.
class BuildTime {
 public:
  explicit BuildTime(uint64_t* sum) : sum_(*sum) {}
  ~BuildTime() {
    sum_ += static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - began_)
            .count());
  }
  BuildTime(const BuildTime&) = delete;
  BuildTime& operator=(const BuildTime&) = delete;

 private:
  uint64_t& sum_;
  const std::chrono::steady_clock::time_point began_ =
      std::chrono::steady_clock::now();
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_LOAD_BUILD_H_
