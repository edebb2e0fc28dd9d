// Memory and processors.
#include <linux/capability.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "conntrack/state_table.h"
#include "dataplane/daemon/preflight_parts.h"

namespace sluice {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kPage = 2 * kMiB;
// Of each port on its own node: what PlanEal() adds for drivers' rings.
constexpr uint64_t kRingBytes = 4 * kMiB;

uint64_t MiB(uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }
uint64_t Pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage; }

// Free bytes in hugepages of all sizes below a folder of the kernel.
uint64_t FreeBytes(const HostFiles& host, const std::string& folder) {
  uint64_t bytes = 0;
  for (const std::string& size : host.List(folder)) {
    constexpr std::string_view kPrefix = "hugepages-";
    if (!size.starts_with(kPrefix)) continue;
    uint64_t kilobytes = 0;
    std::from_chars(size.data() + kPrefix.size(), size.data() + size.size(),
                    kilobytes);
    bytes += kilobytes * 1024 *
             static_cast<uint64_t>(std::max<int64_t>(
                 0, host.ReadNumber(absl::StrCat(folder, "/", size,
                                                 "/free_hugepages"))
                        .value_or(0)));
  }
  return bytes;
}

std::string NodePages(int node) {
  return absl::StrCat("/sys/devices/system/node/node", node, "/hugepages");
}

// How to have `bytes` more free than now, on a node or (-1) anywhere.
std::string ReserveAdvice(const HostFiles& host, uint64_t bytes, int node) {
  const std::string folder =
      node < 0 ? "/sys/kernel/mm/hugepages" : NodePages(node);
  const std::string size = folder + "/hugepages-2048kB";
  const int64_t total = host.ReadNumber(size + "/nr_hugepages").value_or(0);
  const int64_t free = host.ReadNumber(size + "/free_hugepages").value_or(0);
  const uint64_t wanted =
      Pages(bytes) + static_cast<uint64_t>(std::max<int64_t>(0, total - free));
  if (node < 0) {
    return absl::StrCat("reserve them: `sysctl -w vm.nr_hugepages=", wanted,
                        "`, and in /etc/sysctl.d/ for the next boot");
  }
  return absl::StrCat("reserve them there: `echo ", wanted, " > ", size,
                      "/nr_hugepages`");
}

// Every NIC needs memory for its rings on its own node.
void CheckNodes(const PreflightContext& context) {
  const HostFiles& host = context.input.host;
  if (NumaNodes(host).size() < 2) return;
  for (const int node : NumaNodes(host)) {
    std::vector<std::string> ports;
    for (const PortConfig& port : context.config.ports) {
      if (!port.is_pci()) continue;
      const auto found = host.ReadNumber(absl::StrCat(
          "/sys/bus/pci/devices/", std::string(port.device_name()),
          "/numa_node"));
      if (found && *found == node) ports.push_back(port.name);
    }
    const uint64_t needed = kRingBytes * ports.size();
    const uint64_t free = FreeBytes(host, NodePages(node));
    if (ports.empty() || free >= needed) continue;
    context.Add(FindingLevel::kError, "[eal] hugepages",
                absl::StrCat("NUMA node ", node, " has ", MiB(free),
                             " MiB of free hugepages, and the rings of port(s) ",
                             absl::StrJoin(ports, ", "), " on it need ",
                             MiB(needed), " MiB"),
                ReserveAdvice(host, std::max(needed,
                                             context.plan.memory_bytes),
                              node));
  }
}

std::string CoreList(const std::vector<uint16_t>& cores) {
  return absl::StrJoin(cores, ", ");
}

}  // namespace

std::vector<int> NumaNodes(const HostFiles& host) {
  std::vector<int> nodes;
  const std::string online =
      host.Read("/sys/devices/system/node/has_cpu").value_or("");
  for (const uint16_t node : ParseCpuList(online)) nodes.push_back(node);
  return nodes;
}

int NodeOfCore(const HostFiles& host, uint16_t core) {
  for (const int node : NumaNodes(host)) {
    const auto cores = ParseCpuList(
        host.Read(absl::StrCat("/sys/devices/system/node/node", node,
                               "/cpulist"))
            .value_or(""));
    if (std::ranges::find(cores, core) != cores.end()) return node;
  }
  return -1;
}

void CheckMemory(const PreflightContext& context) {
  const Config& config = context.config;
  const HostFiles& host = context.input.host;
  const ProcessFacts& process = context.input.process;
  const uint64_t packets = context.plan.memory_bytes;
  // With several workers each has a quarter more than its share.
  const uint32_t shards = config.memory.states;
  const uint64_t states = StateTable::BytesFor(
      config.workers.size() == 1 ? shards : shards + shards / 4);
  const uint64_t free = context.input.machine.free_hugepage_bytes;
  const std::string needs = absl::StrCat(
      MiB(packets), " MiB for ", context.plan.mbufs,
      " mbufs and the ports' rings, and ", MiB(states), " MiB for ",
      config.memory.states, " states");

  if (config.eal.hugepages == Hugepages::kNo) {
    if (config.uses_pci()) {
      context.Add(FindingLevel::kWarning, "[eal] hugepages",
                  "\"no\" with PCI ports: every packet costs more address "
                  "translations, in the processor and in the IOMMU",
                  "set hugepages = \"yes\" and reserve them");
    }
  } else if (free < packets) {
    // Going without is for virtual devices, to try things out.
    const bool refuse =
        config.eal.hugepages == Hugepages::kYes || config.uses_pci();
    context.Add(
        refuse ? FindingLevel::kError : FindingLevel::kWarning,
        "[eal] hugepages",
        absl::StrCat(free == 0 ? "none are free" : "too few are free: ",
                     free == 0 ? "" : absl::StrCat(MiB(free), " MiB"),
                     "; needed are ", needs,
                     refuse ? "" : "; going without, slower"),
        absl::StrCat(ReserveAdvice(host, packets + states, -1),
                     "; or lower [memory] mbufs and the ports' descriptors",
                     refuse ? "; or set hugepages = \"no\" to go without"
                            : ""));
  } else {
    CheckNodes(context);
    if (free < packets + states) {
      context.Add(FindingLevel::kWarning, "[eal] hugepages",
                  absl::StrCat(MiB(free), " MiB are free and needed are ",
                               needs, "; states go to ordinary pages"),
                  ReserveAdvice(host, packets + states, -1));
    }
  }
  if (config.uses_pci() && !process.Has(CAP_IPC_LOCK) &&
      process.lockable_bytes < packets) {
    context.Add(FindingLevel::kError, "RLIMIT_MEMLOCK",
                absl::StrCat("user ", process.user, " may lock ",
                             MiB(process.lockable_bytes),
                             " MiB of memory, and vfio locks ", MiB(packets),
                             " MiB for the NICs"),
                "raise it: LimitMEMLOCK=infinity in the unit, or `ulimit -l "
                "unlimited`");
  }
}

void CheckProcessors(const PreflightContext& context) {
  const Config& config = context.config;
  const HostFiles& host = context.input.host;
  for (const std::string& warning : context.plan.warnings) {
    context.Add(FindingLevel::kWarning, "[workers]", warning,
                "give each worker a processor of its own with `lcores`");
  }
  // Whoever sleeps when nothing comes does not mind to share.
  const bool polls = config.workers.idle == IdleMode::kPoll ||
                     (config.workers.idle == IdleMode::kAuto &&
                      config.uses_pci() && !context.plan.cores_shared);
  if (!polls || !config.workers.pin) return;
  const auto outside = [&](const char* file) {
    const auto listed = ParseCpuList(
        host.Read(absl::StrCat("/sys/devices/system/cpu/", file))
            .value_or(""));
    std::vector<uint16_t> rest;
    for (const uint16_t core : context.plan.worker_cores) {
      if (std::ranges::find(listed, core) == listed.end()) {
        rest.push_back(core);
      }
    }
    return rest;
  };
  const std::string all = absl::StrJoin(context.plan.worker_cores, ",");
  if (const auto cores = outside("isolated"); !cores.empty()) {
    context.Add(FindingLevel::kNote, "[workers] lcores",
                absl::StrCat("other programs may run on worker processor(s) ",
                             CoreList(cores), " (not in isolcpus)"),
                absl::StrCat("for the shortest delays boot with isolcpus=",
                             all));
  }
  if (const auto cores = outside("nohz_full"); !cores.empty()) {
    context.Add(FindingLevel::kNote, "[workers] lcores",
                absl::StrCat("the timer interrupts worker processor(s) ",
                             CoreList(cores), " (not in nohz_full)"),
                absl::StrCat("for the shortest delays boot with nohz_full=",
                             all, " rcu_nocbs=", all));
  }
  std::vector<uint16_t> used = context.plan.worker_cores;
  used.push_back(context.plan.control_core);
  for (size_t i = 0; i + 1 < used.size(); ++i) {
    const auto siblings = ParseCpuList(
        host.Read(absl::StrCat("/sys/devices/system/cpu/cpu", used[i],
                               "/topology/thread_siblings_list"))
            .value_or(""));
    for (size_t j = i + 1; j < used.size(); ++j) {
      if (used[i] == used[j] ||
          std::ranges::find(siblings, used[j]) == siblings.end()) {
        continue;
      }
      context.Add(FindingLevel::kNote, "[workers] lcores",
                  absl::StrCat("processors ", used[i], " and ", used[j],
                               " are two threads of one core"),
                  "give workers cores of their own");
    }
  }
}

}  // namespace sluice
