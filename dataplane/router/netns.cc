#include "dataplane/router/netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/ports/port_config.h"

namespace sluice {
namespace {

absl::Status Enter(const std::string& netns) {
  const std::string path = NetnsPath(netns);
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return absl::NotFoundError(absl::StrCat(
        "network namespace '", netns, "': ", path, ": ",
        std::strerror(errno), "; make it first (`ip netns add ", netns, "`)"));
  }
  if (setns(file.get(), CLONE_NEWNET) == 0) return absl::OkStatus();
  const int error = errno;
  std::string text = absl::StrCat("network namespace '", netns,
                                  "' cannot be entered: ",
                                  std::strerror(error));
  if (error == EINVAL) {
    return absl::InvalidArgumentError(absl::StrCat(
        text, "; ", path, " is no network namespace"));
  }
  return absl::PermissionDeniedError(absl::StrCat(
      text, "; sluiced needs CAP_SYS_ADMIN for that (the drop-in router.conf "
      "of its unit)"));
}

}  // namespace

absl::Status InNetns(const std::string& netns,
                     absl::FunctionRef<absl::Status()> work) {
  if (netns.empty()) return work();
  absl::Status status;
  std::thread thread([&] {
    status = Enter(netns);
    if (status.ok()) status = work();
  });
  thread.join();
  return status;
}

}  // namespace sluice
