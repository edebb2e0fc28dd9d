// A method of the control socket: its name, and how its parameters become what
// is to be done. Each group of methods is a file, operations_*.cc.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/params.h"

namespace sluice {

// What the control lcore does for a request.
using Action = absl::AnyInvocable<void(std::shared_ptr<Call>)>;
// Reads the parameters, on any thread; says by the Params what is wrong.
using ParseAction = Action (*)(Params&);

struct Method {
  std::string_view name;
  ParseAction parse;
  // Whether it has the parameter "filter", and is refused before it begins if
  // there is no such filter.
  bool asks_filter = true;
};

// Ascending by name.
extern const std::vector<Method> kFilterMethods;
extern const std::vector<Method> kPolicyMethods;
extern const std::vector<Method> kPortMethods;
extern const std::vector<Method> kStatusMethods;
extern const std::vector<Method> kTableMethods;
extern const std::vector<Method> kTransferMethods;

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_
