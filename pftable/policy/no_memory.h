// Where a lack of memory becomes an answer. Inside the rooms operator new may
// throw, and what is half made unwinds; the functions that others call turn it
// into ResourceExhausted and leave what is in force as it was.
#ifndef SLUICE_PFTABLE_POLICY_NO_MEMORY_H_
#define SLUICE_PFTABLE_POLICY_NO_MEMORY_H_

#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {

// ResourceExhausted: "no memory to WHAT". Without a message if there is not
// even memory for that.
inline absl::Status NoMemory(std::string_view what) noexcept {
  try {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory to ", absl::string_view(what.data(), what.size()),
        ": nothing has changed"));
  } catch (const std::bad_alloc&) {
    return absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
}

// Whether the status is one of those above, and not of a limit: another time
// there may be memory.
inline bool IsNoMemory(const absl::Status& status) {
  return absl::IsResourceExhausted(status) &&
         (status.message().empty() ||
          absl::StartsWith(status.message(), "no memory to "));
}

// f(), which returns a Status or a StatusOr.
template <typename F>
std::invoke_result_t<F> OrNoMemory(std::string_view what, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const std::bad_alloc&) {
    return NoMemory(what);
  }
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_NO_MEMORY_H_
