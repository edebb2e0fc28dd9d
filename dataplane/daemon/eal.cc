#include "dataplane/daemon/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

// ---- DPDK's messages -------------------------------------------------------

// DPDK writes whole lines, from any of its threads, one call a line.
std::string* last_error_line = nullptr;

ssize_t WriteLog(void*, const char* data, size_t size) {
  std::string_view text(data, size);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const auto level = static_cast<uint32_t>(rte_log_cur_msg_loglevel());
    // Of its own socket of former days; nobody misses it.
    const bool trifle = line.find("No legacy callbacks") != line.npos;
    const auto severity = trifle                     ? LogLevel::kDebug
                          : level <= RTE_LOG_ERR     ? LogLevel::kError
                          : level <= RTE_LOG_WARNING ? LogLevel::kWarning
                          : level <= RTE_LOG_NOTICE  ? LogLevel::kInfo
                                                     : LogLevel::kDebug;
    if (last_error_line != nullptr && level <= RTE_LOG_ERR) {
      *last_error_line = std::string(line);
    }
    if (!line.starts_with("EAL: ")) {
      Log(severity, "DPDK: {}", line);
    } else {
      Log(severity, "{}", line);
    }
  }
  return static_cast<ssize_t>(size);
}

void CaptureLog() {
  static FILE* stream = [] {
    cookie_io_functions_t functions = {};
    functions.write = WriteLog;
    FILE* file = fopencookie(nullptr, "w", functions);
    if (file != nullptr) setvbuf(file, nullptr, _IOLBF, 512);
    return file;
  }();
  if (stream != nullptr) rte_openlog_stream(stream);
}

// ---- Processors ------------------------------------------------------------

std::string CoreSet(const MachineFacts& machine, bool pin, uint16_t core) {
  if (pin) return absl::StrCat(core);
  // Not pinned: any that the process may use.
  std::string set;
  for (const uint16_t allowed : machine.cores) {
    absl::StrAppend(&set, set.empty() ? "(" : ",", allowed);
  }
  return absl::StrCat(set, ")");
}

absl::Status PickCores(const Config& config, const MachineFacts& machine,
                       EalPlan* plan) {
  const WorkersConfig& workers = config.workers;
  const auto allowed = [&machine](uint16_t core) {
    return std::ranges::find(machine.cores, core) != machine.cores.end();
  };
  if (machine.cores.empty()) {
    return absl::FailedPreconditionError("the process may use no processor");
  }
  std::string list;
  for (const uint16_t core : machine.cores) {
    absl::StrAppend(&list, list.empty() ? "" : ", ", core);
  }
  for (const uint16_t core : workers.lcores) {
    if (allowed(core)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        config.file, ": [workers] lcores: processor ", core,
        " is not there or not allowed to this process; it may use ", list));
  }
  if (workers.control_lcore && !allowed(*workers.control_lcore)) {
    return absl::FailedPreconditionError(absl::StrCat(
        config.file, ": [workers] control_lcore: processor ",
        *workers.control_lcore,
        " is not there or not allowed to this process; it may use ", list));
  }
  // The control lcore takes the first processor that is not a worker's.
  uint16_t control = machine.cores.front();
  for (const uint16_t core : machine.cores) {
    if (std::ranges::find(workers.lcores, core) == workers.lcores.end()) {
      control = core;
      break;
    }
  }
  plan->control_core = workers.control_lcore.value_or(control);
  plan->worker_cores = workers.lcores;
  if (workers.lcores.empty()) {
    // The control lcore's processor comes last, and then they are shared.
    std::vector<uint16_t> order;
    for (const uint16_t core : machine.cores) {
      if (core != plan->control_core) order.push_back(core);
    }
    order.push_back(plan->control_core);
    for (uint16_t i = 0; i < workers.count; ++i) {
      plan->worker_cores.push_back(order[i % order.size()]);
    }
  }
  std::vector<uint16_t> used = plan->worker_cores;
  used.push_back(plan->control_core);
  std::ranges::sort(used);
  plan->cores_shared = std::ranges::adjacent_find(used) != used.end();
  if (plan->cores_shared) {
    plan->warnings.push_back(absl::StrCat(
        workers.size(), " worker(s) and the control lcore share ",
        machine.cores.size(),
        " processor(s); workers that wait for packets give way"));
  }
  return absl::OkStatus();
}

// ---- Memory ----------------------------------------------------------------

uint64_t PoolBytes(const Config& config, uint32_t mbufs) {
  // An mbuf with its private area and head room, and mempool's own header.
  const uint64_t each = sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM +
                        config.memory.mbuf_data + 2 * RTE_CACHE_LINE_SIZE;
  return mbufs * each;
}

absl::Status PickMemory(const Config& config, const MachineFacts& machine,
                        EalPlan* plan) {
  plan->mbufs = PoolSize(config);
  // Beside the pool: rings of the drivers, mempool caches, EAL's own tables.
  // Of virtual machines the library keeps what their rings are.
  const uint64_t rings = uint64_t{config.devices()} * (4u << 20) +
                         uint64_t{config.vhosts()} * (1u << 20);
  plan->memory_bytes =
      PoolBytes(config, plan->mbufs) * 5 / 4 + rings + (64u << 20);
  if (!config.routers.empty()) {
    plan->memory_bytes += PoolBytes(config, kRouterMbufs) * 5 / 4;
  }
  const bool enough = machine.free_hugepage_bytes >= plan->memory_bytes;
  const std::string shortage = absl::StrCat(
      machine.free_hugepage_bytes >> 20, " MiB of hugepages are free and ",
      plan->memory_bytes >> 20,
      " MiB are needed; reserve them with `sysctl -w vm.nr_hugepages=",
      (plan->memory_bytes + (2u << 20) - 1) >> 21,
      "` (pages of 2 MiB) or lower [memory] mbufs");
  switch (config.eal.hugepages) {
    case Hugepages::kYes:
      if (!enough) {
        return absl::FailedPreconditionError(absl::StrCat(
            config.file, ": [eal] hugepages = \"yes\": ", shortage));
      }
      plan->hugepages = true;
      break;
    case Hugepages::kAuto:
      plan->hugepages = enough;
      if (!enough) {
        plan->warnings.push_back(absl::StrCat(
            "running without hugepages, slower than with them: ", shortage));
      }
      break;
    case Hugepages::kNo:
      plan->hugepages = false;
      break;
  }
  return absl::OkStatus();
}

}  // namespace

MachineFacts MachineFacts::FromSystem() {
  MachineFacts facts;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (uint16_t core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) facts.cores.push_back(core);
    }
  }
  std::error_code error;
  for (const auto& size : std::filesystem::directory_iterator(
           "/sys/kernel/mm/hugepages", error)) {
    uint64_t kilobytes = 0;
    if (std::sscanf(size.path().filename().c_str(), "hugepages-%lukB",
                    &kilobytes) != 1) {
      continue;
    }
    uint64_t pages = 0;
    std::ifstream(size.path() / "free_hugepages") >> pages;
    facts.free_hugepage_bytes += pages * kilobytes * 1024;
  }
  return facts;
}

uint32_t PoolSize(const Config& config) {
  if (config.memory.mbufs > 0) return config.memory.mbufs;
  const uint32_t workers = config.workers.size();
  uint64_t rings = 0;
  for (const PortConfig& port : config.ports) {
    if (!port.has_ethdev()) continue;
    const uint32_t queues = port.queues > 0 ? port.queues : workers;
    rings += uint64_t{queues} * (port.rx_descriptors + port.tx_descriptors);
  }
  // Bursts in work and caches, packets between workers.
  uint64_t held = uint64_t{workers + 1} * (64 + 2 * config.memory.mbuf_cache);
  if (workers > 1) {
    held += uint64_t{workers} * (workers - 1) * config.memory.handoff_ring;
  }
  const uint64_t wanted = 2 * rings + held;
  // A mempool is smallest for its size at a power of two less one.
  uint64_t size = 8192;
  while (size - 1 < wanted) size *= 2;
  return static_cast<uint32_t>(std::min<uint64_t>(size - 1, 16u << 20));
}

absl::StatusOr<EalPlan> PlanEal(const Config& config,
                                const MachineFacts& machine) {
  EalPlan plan;
  if (absl::Status status = PickCores(config, machine, &plan); !status.ok()) {
    return status;
  }
  if (absl::Status status = PickMemory(config, machine, &plan); !status.ok()) {
    return status;
  }
  std::vector<std::string>& args = plan.args;
  args = {"sluiced", "--file-prefix",
          config.eal.file_prefix.empty()
              ? absl::StrCat("sluice-", getpid())
              : config.eal.file_prefix};
  const bool pin = config.workers.pin;
  std::string lcores = absl::StrCat(
      "0@", CoreSet(machine, pin, plan.control_core));
  for (size_t i = 0; i < plan.worker_cores.size(); ++i) {
    absl::StrAppend(&lcores, ",", i + 1, "@",
                    CoreSet(machine, pin, plan.worker_cores[i]));
  }
  args.insert(args.end(), {"--lcores", lcores, "--main-lcore", "0"});
  if (plan.hugepages) {
    // No file of ours stays in hugetlbfs, whatever ends the process.
    args.push_back("--in-memory");
  } else {
    // DPDK refuses --in-memory with --no-huge; there are no files then but
    // those of the shared configuration.
    args.insert(args.end(), {"--no-huge", "--no-shconf", "-m",
                             absl::StrCat(plan.memory_bytes >> 20)});
  }
  if (config.uses_pci()) {
    for (const PortConfig& port : config.ports) {
      if (port.is_pci()) args.insert(args.end(), {"-a", port.device});
    }
  } else if (std::ranges::find(config.eal.args, "--no-pci") ==
             config.eal.args.end()) {
    args.push_back("--no-pci");
  }
  if (!config.eal.telemetry) args.push_back("--no-telemetry");
  args.insert(args.end(), config.eal.args.begin(), config.eal.args.end());
  return plan;
}

namespace {

// EAL makes a folder for each prefix and leaves it behind. One that is named
// after this process is nobody else's.
std::string OwnRuntimeFolder(const EalPlan& plan) {
  const char* const folder = rte_eal_get_runtime_dir();
  const std::string own = absl::StrCat("sluice-", getpid());
  return folder != nullptr &&
                 std::ranges::find(plan.args, own) != plan.args.end() &&
                 std::filesystem::path(folder).filename() == own
             ? folder
             : "";
}

// With the folder above it, if that is empty then.
void RemoveRuntimeFolder(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  ::rmdir(std::filesystem::path(folder).parent_path().c_str());
}

}  // namespace

absl::StatusOr<Eal> Eal::Start(const EalPlan& plan) {
  CaptureLog();
  // EAL keeps and reorders the pointers: they live as long as the process.
  auto* storage = new std::vector<std::string>(plan.args);
  auto* argv = new std::vector<char*>();
  for (std::string& arg : *storage) argv->push_back(arg.data());
  argv->push_back(nullptr);
  std::string last_line;
  last_error_line = &last_line;
  const int result =
      rte_eal_init(static_cast<int>(storage->size()), argv->data());
  last_error_line = nullptr;
  if (result < 0) {
    std::string command;
    for (const std::string& arg : plan.args) {
      absl::StrAppend(&command, command.empty() ? "" : " ", arg);
    }
    RemoveRuntimeFolder(OwnRuntimeFolder(plan));
    return absl::FailedPreconditionError(absl::StrCat(
        "DPDK does not start: ", rte_strerror(rte_errno),
        last_line.empty() ? "" : "; its last words: ", last_line,
        "; its arguments: ", command));
  }
  return Eal(OwnRuntimeFolder(plan));
}

Eal::~Eal() {
  if (!running_) return;
  rte_eal_cleanup();
  RemoveRuntimeFolder(folder_);
}

}  // namespace sluice
