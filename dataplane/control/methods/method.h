// A method of the control socket: its name, and how its parameters become what
// is to be done. Each group of methods is a file, operations_*.cc.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/params.h"
#include "dataplane/control/socket/role.h"

namespace sluice {

// What the control lcore does for a request.
using Action = absl::AnyInvocable<void(std::shared_ptr<Call>)>;
// Reads the parameters, on any thread; says by the Params what is wrong.
using ParseAction = Action (*)(Params&);

// Whose a method is.
enum class Access : uint8_t {
  kRead,     // it shows something
  kWatch,    // it shows what passes, to whoever may kOperate
  kOperate,  // it changes tables, states or counters, or takes states along
  kCommit,   // it changes a policy: of a named filter kOperate, of main kAdmin
  kAdmin,
};

// The least role that may use the method on some filter, and on this one.
Role RoleFor(Access access);
Role RoleFor(Access access, std::string_view filter);

struct Method {
  std::string_view name;
  ParseAction parse;
  Access access;
  // Whether it has the parameter "filter", and is refused before it begins if
  // there is no such filter.
  bool asks_filter = true;
};

// Null: there is none of this name.
const Method* FindMethod(std::string_view name);
// Ascending by name.
std::vector<const Method*> AllMethods();

// Ascending by name.
extern const std::vector<Method> kCommitMethods;
extern const std::vector<Method> kExplainMethods;
extern const std::vector<Method> kFilterMethods;
extern const std::vector<Method> kLogMethods;
extern const std::vector<Method> kPolicyMethods;
extern const std::vector<Method> kPortMethods;
extern const std::vector<Method> kProcessMethods;
extern const std::vector<Method> kRouterMethods;
extern const std::vector<Method> kSegmentMethods;
extern const std::vector<Method> kStatusMethods;
extern const std::vector<Method> kTableMethods;
extern const std::vector<Method> kTraceMethods;
extern const std::vector<Method> kTransferMethods;

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_METHOD_H_
