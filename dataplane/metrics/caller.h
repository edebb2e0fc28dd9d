// Who asks the daemon, over whatever way.
#ifndef SLUICE_DATAPLANE_METRICS_CALLER_H_
#define SLUICE_DATAPLANE_METRICS_CALLER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"
#include "pftable/policy/diagnostic.h"

namespace sluice {

// What the daemon answered instead of a result.
struct CallError {
  int32_t code = 0;
  std::string message;
  std::vector<Diagnostic> diagnostics;
};

// Asks the daemon. Tests answer from fixed JSON.
class Caller {
 public:
  virtual ~Caller() = default;
  // The result of the method, or null with `error` filled.
  virtual std::unique_ptr<nlohmann::json> Call(const std::string& method,
                                               nlohmann::json params,
                                               CallError* error) = 0;
  // The same with a descriptor beside the parameters, which stays the
  // caller's; -1: none.
  virtual std::unique_ptr<nlohmann::json> CallWithDescriptor(
      const std::string& method, nlohmann::json params, int descriptor,
      CallError* error);
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_METRICS_CALLER_H_
