#include "dataplane/control/methods/call.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"

namespace sluice {

bool ChangesSomething(std::string_view method) {
  // An export changes nothing here, but takes all that there is elsewhere.
  constexpr std::array<std::string_view, 7> kReading = {
      "show", "list", "test", "stats", "status", "metrics", "version"};
  const std::string_view verb = method.substr(method.rfind('.') + 1);
  return std::ranges::find(kReading, verb) == kReading.end();
}

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
  const bool changes = ChangesSomething(method_);
  Log(changes ? LogLevel::kInfo : LogLevel::kDebug,
              "control: uid {} pid {}: {}{}: {}", peer_.uid, peer_.pid,
              method_, filter_.empty() ? "" : " of filter " + filter_,
              outcome);
}

}  // namespace sluice
