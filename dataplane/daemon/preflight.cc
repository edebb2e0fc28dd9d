#include "dataplane/daemon/preflight.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/user_group.h"
#include "dataplane/daemon/preflight_parts.h"

namespace sluice {
namespace {

// Asks the kernel of an interface. False: it does not answer.
bool Ask(const std::string& name, unsigned long what, ifreq* request) {
  if (name.empty() || name.size() >= IFNAMSIZ) return false;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  std::memcpy(request->ifr_name, name.data(), name.size());
  const int result = ioctl(fd, what, request);
  close(fd);
  return result == 0;
}

std::optional<uint32_t> InterfaceFlags(const std::string& name) {
  ifreq request = {};
  if (!Ask(name, SIOCGIFFLAGS, &request)) return std::nullopt;
  return static_cast<uint16_t>(request.ifr_flags);
}

std::optional<uint32_t> InterfaceQueues(const std::string& name) {
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = {};
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (!Ask(name, SIOCETHTOOL, &request)) return std::nullopt;
  const uint32_t queues = channels.max_combined + channels.max_rx;
  return queues > 0 ? std::optional(queues) : std::nullopt;
}

int OpenErrno(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

// By making a file: rights on paper are not all that there is (a read-only
// mount, a full quota).
int FolderErrno(const std::string& path) {
  std::string name = absl::StrCat(path, "/.sluice-check-XXXXXX");
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  unlink(name.c_str());
  return 0;
}

}  // namespace

ProcessFacts ProcessFacts::FromSystem(const HostFiles& host) {
  ProcessFacts facts;
  const passwd* user = getpwuid(geteuid());
  facts.user = user != nullptr ? user->pw_name : absl::StrCat(geteuid());
  facts.capabilities = 0;
  const std::string status = host.Read("/proc/self/status").value_or("");
  const size_t at = status.find("CapEff:");
  if (at != std::string::npos) {
    facts.capabilities =
        std::strtoull(status.c_str() + at + 7, nullptr, 16);
  } else if (geteuid() == 0) {
    facts.capabilities = ~uint64_t{0};
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
      limit.rlim_cur != RLIM_INFINITY) {
    facts.lockable_bytes = limit.rlim_cur;
  }
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
      limit.rlim_max != RLIM_INFINITY) {
    facts.descriptors = limit.rlim_max;
  }
  return facts;
}

PreflightInput PreflightInput::FromSystem() {
  PreflightInput input;
  input.machine = MachineFacts::FromSystem();
  input.process = ProcessFacts::FromSystem(input.host);
  input.open_errno = OpenErrno;
  input.folder_errno = FolderErrno;
  input.has_group = [](const std::string& name) {
    return FindGroupId(name).has_value();
  };
  input.drivers = DriversOfSystem();
  input.interface_flags = InterfaceFlags;
  input.interface_queues = InterfaceQueues;
  return input;
}

void CheckFiles(const PreflightContext& context) {
  const auto check = [&context](const char* where, const std::string& path,
                                const char* key, bool makes_folder) {
    std::string folder = std::filesystem::path(path).parent_path().string();
    int code = context.input.folder_errno(folder);
    if (code == ENOENT && makes_folder) {
      folder = std::filesystem::path(folder).parent_path().string();
      code = context.input.folder_errno(folder);
    }
    if (code == 0) return;
    context.Add(FindingLevel::kError, where,
                absl::StrCat("user ", context.input.process.user,
                             " cannot make files in ", folder, ": ",
                             std::strerror(code)),
                absl::StrCat(code == ENOENT ? "make the folder (`install -d "
                                            : "give the user the folder "
                                              "(`install -d ",
                             "-o ", context.input.process.user, " ", folder,
                             "`) or set another ", key));
  };
  // Else they would be found out only after EAL has the devices.
  check("[control] socket", context.config.control.socket, "`socket`",
        /*makes_folder=*/true);
  if (!context.config.log.file.empty()) {
    check("[log] file", context.config.log.file, "`file`",
          /*makes_folder=*/false);
  }
  if (!context.config.log.packets.empty()) {
    check("[log] packets", context.config.log.packets + "/pflog0",
          "`packets`", /*makes_folder=*/false);
  }
  if (!context.config.flows.sessions.empty()) {
    check("[log] sessions", context.config.flows.sessions, "`sessions`",
          /*makes_folder=*/false);
  }
  if (!context.config.log.audit.empty()) {
    check("[log] audit", context.config.log.audit, "`audit`",
          /*makes_folder=*/false);
  }
  // Beside the control socket it has that one's folder.
  const MetricsConfig& metrics = context.config.metrics;
  const auto folder_of = [](const std::string& path) {
    return std::filesystem::path(path).parent_path();
  };
  const WebConfig& web = context.config.web;
  for (const auto& [what, is_unix, path] :
       {std::tuple("[metrics] listen", metrics.is_unix(), &metrics.listen),
        std::tuple("[web] listen", web.is_unix(), &web.listen)}) {
    if (!is_unix ||
        folder_of(*path) == folder_of(context.config.control.socket)) {
      continue;
    }
    check(what, *path, "`listen`", /*makes_folder=*/false);
  }
  if (!context.config.state.directory.empty()) {
    check("[state] dir", context.config.state.directory + "/manifest",
          "`dir`", /*makes_folder=*/true);
  }
}

void CheckGroups(const PreflightContext& context) {
  if (context.input.has_group == nullptr) return;
  for (const auto& [key, group] :
       {std::pair("[metrics] group", &context.config.metrics.group),
        std::pair("[web] group", &context.config.web.group)}) {
    if (group->empty() || context.input.has_group(*group)) continue;
    context.Add(FindingLevel::kError, key,
                absl::StrCat("there is no group '", *group, "' on this system"),
                absl::StrCat("make it (`groupadd --system ", *group,
                             "`), or set another `group`"));
  }
  const ControlConfig& control = context.config.control;
  for (const auto& [key, group] :
       {std::pair("group", &control.group),
        std::pair("read_group", &control.read_group),
        std::pair("operate_group", &control.operate_group),
        std::pair("admin_group", &control.admin_group),
        std::pair("device_group", &control.device_group)}) {
    if (group->empty() || context.input.has_group(*group)) continue;
    context.Add(FindingLevel::kError, absl::StrCat("[control] ", key),
                absl::StrCat("there is no group '", *group,
                             "' on this system"),
                absl::StrCat("make it (`groupadd --system ", *group,
                             "`), or set another `", key, "`"));
  }
}

std::vector<Finding> Preflight(const Config& config,
                               const PreflightInput& input) {
  std::vector<Finding> findings;
  // What is needed, whether it is there or not: CheckMemory() compares.
  Config without_pages = config;
  without_pages.eal.hugepages = Hugepages::kNo;
  absl::StatusOr<EalPlan> plan = PlanEal(without_pages, input.machine);
  const bool processors_fit = plan.ok();
  if (!plan.ok()) {
    std::string text(plan.status().message());
    const std::string file = absl::StrCat(config.file, ": ");
    if (text.starts_with(file)) text.erase(0, file.size());
    findings.push_back(
        {FindingLevel::kError, config.file, std::move(text),
         "name processors that are there and that the process may use "
         "(`taskset -p $$`), or set `count` instead"});
    // The rest is told at once, as for a machine with all of them.
    MachineFacts larger = input.machine;
    larger.cores.resize(kMaxCore + 1u);
    std::iota(larger.cores.begin(), larger.cores.end(), uint16_t{0});
    plan = PlanEal(without_pages, larger);
    if (!plan.ok()) return findings;
  }
  const PreflightContext context = {config, input, *plan, &findings};
  CheckFiles(context);
  CheckGroups(context);
  CheckMemory(context);
  if (processors_fit) CheckProcessors(context);
  CheckVfio(context);
  if (config.ports.empty()) {
    context.Add(FindingLevel::kNote, config.file,
                "there is no [[port]]: nothing is forwarded until `sluicectl "
                "port add` brings some",
                "");
  } else if (config.wires.empty() && config.segments.empty() &&
             config.routers.empty()) {
    context.Add(FindingLevel::kNote, config.file,
                "there is no [[wire]], [[segment]] or [[router]]: nothing is "
                "forwarded until `sluicectl port add --wire` makes one",
                "");
  }
  CheckRouters(context);
  CheckDescriptors(context);
  for (const PortConfig& port : config.ports) {
    if (port.is_logical()) continue;
    if (port.is_vhost()) {
      CheckVhostPort(context, port);
    } else if (port.is_pci()) {
      CheckPciPort(context, port);
    } else {
      CheckVirtualPort(context, port);
    }
  }
  return findings;
}

bool HasErrors(const std::vector<Finding>& findings) {
  return std::ranges::any_of(findings, [](const Finding& finding) {
    return finding.level == FindingLevel::kError;
  });
}

std::string FormatFinding(const Finding& finding) {
  std::string text = absl::StrCat(
      finding.where, ": ",
      finding.level == FindingLevel::kWarning ? "warning: "
      : finding.level == FindingLevel::kNote  ? "note: "
                                              : "",
      finding.what, "\n");
  if (!finding.advice.empty()) {
    absl::StrAppend(&text, "hint: ", finding.advice, "\n");
  }
  return text;
}

}  // namespace sluice
