#include "dataplane/control/methods/call.h"

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/method.h"

namespace sluice {

FilterControl* Call::filter() {
  FilterControl* const filter = operations_->directory_->Find(filter_);
  if (filter == nullptr) {
    Error(absl::NotFoundError(
        absl::StrCat("there is no filter \"", filter_,
                     "\"; filter.list names those that there are")));
  }
  return filter;
}

void Call::Audit(std::string_view outcome) const {
  const Method* const method = FindMethod(method_);
  const bool changes = method == nullptr || method->access != Access::kRead;
  Log(changes ? LogLevel::kInfo : LogLevel::kDebug,
              "control: uid {} pid {}: {}{}: {}", peer_.uid, peer_.pid,
              method_, filter_.empty() ? "" : " of filter " + filter_,
              outcome);
}

}  // namespace sluice
