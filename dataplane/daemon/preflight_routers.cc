// What the kernel's interfaces of routers need.
#include <linux/capability.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/daemon/preflight_parts.h"

namespace sluice {
namespace {

constexpr char kTun[] = "/dev/net/tun";
constexpr char kDropIn[] =
    "install the drop-in router.conf of the unit, or run it as root";

}  // namespace

void CheckRouters(const PreflightContext& context) {
  if (context.config.routers.empty()) return;
  const ProcessFacts& process = context.input.process;
  if (const int code = context.input.open_errno(context.input.host.Path(kTun)); code != 0) {
    context.Add(FindingLevel::kError, "[[router]]",
                absl::StrCat(kTun, ": ", std::strerror(code),
                             ", and ports of routers are made by it"),
                code == ENOENT || code == ENODEV || code == ENXIO
                    ? "load the kernel's module (`modprobe tun`)"
                    : kDropIn);
  }
  if (!process.Has(CAP_NET_ADMIN)) {
    context.Add(FindingLevel::kError, "[[router]]",
                absl::StrCat("user ", process.user,
                             " lacks CAP_NET_ADMIN, which interfaces of the "
                             "kernel need"),
                kDropIn);
  }
  bool needs_admin = false;
  for (const RouterConfig& router : context.config.routers) {
    const std::string where = absl::StrCat("router '", router.name, "'");
    if (!router.netns.empty()) {
      needs_admin = true;
      const std::string path = NetnsPath(router.netns);
      if (!context.input.host.Exists(path)) {
        context.Add(FindingLevel::kError, where,
                    absl::StrCat("there is no network namespace '",
                                 router.netns, "' (", path, ")"),
                    absl::StrCat("`ip netns add ", router.netns,
                                 "`, before sluiced starts"));
      }
      continue;
    }
    for (const PortConfig& port : context.config.ports) {
      if (std::ranges::find(router.ports, port.name) == router.ports.end() ||
          !context.input.interface_flags(port.tap_name())) {
        continue;
      }
      context.Add(FindingLevel::kError, where,
                  absl::StrCat("port '", port.name,
                               "': there is an interface ", port.tap_name(),
                               " already"),
                  "give the port another `tap`, or the router a `netns`");
    }
  }
  if (needs_admin && !process.Has(CAP_SYS_ADMIN)) {
    context.Add(FindingLevel::kError, "[[router]] netns",
                absl::StrCat("user ", process.user,
                             " lacks CAP_SYS_ADMIN, which entering a network "
                             "namespace needs"),
                kDropIn);
  }
}

}  // namespace sluice
