#include "dataplane/metrics/caller.h"

#include <utility>

#include "nlohmann/json.hpp"

namespace sluice {

std::unique_ptr<nlohmann::json> Caller::CallWithDescriptor(
    const std::string& method, nlohmann::json params, int descriptor,
    CallError* error) {
  if (descriptor < 0) return Call(method, std::move(params), error);
  error->message = "no descriptor can be passed this way";
  return nullptr;
}

}  // namespace sluice
