// sluiced: the daemon's command line.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/base/command_line.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/log.h"
#include "dataplane/base/log_format.h"
#include "dataplane/base/text.h"
#include "dataplane/config/config.h"
#include "dataplane/daemon/daemon.h"
#include "dataplane/daemon/preflight.h"

namespace {

// What `sluiced --help` says of them, too.
constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 3;
constexpr int kExitMachine = 4;

constexpr char kFooter[] = R"(
Signals: SIGTERM and SIGINT stop it cleanly, a second one at once;
SIGHUP loads the ruleset again, SIGUSR1 opens all
files of [log] again.
Exit status: 0 stopped when asked to, or the check found no error;
1 it could not start, failed, or could not keep its state; 2 a wrong command
line; 3 an error in the configuration or the ruleset; 4 what this machine
lacks. With 2, 3 and 4 no port was touched.
)";

bool PrintDiagnostics(const std::vector<sluice::Diagnostic>& diagnostics) {
  bool errors = false;
  for (const sluice::Diagnostic& diagnostic : diagnostics) {
    errors |= diagnostic.severity == sluice::Severity::kError;
    std::fputs(
        sluice::Printable(sluice::FormatDiagnostic(diagnostic)).c_str(), stderr);
  }
  return errors;
}

// What the machine lacks, to standard error. False if it is too much to start.
bool MachineIsReady(const sluice::Config& config) {
  const std::vector<sluice::Finding> findings =
      sluice::Preflight(config, sluice::PreflightInput::FromSystem());
  for (const sluice::Finding& finding : findings) {
    std::fputs(sluice::Printable(sluice::FormatFinding(finding)).c_str(),
               stderr);
  }
  return !sluice::HasErrors(findings);
}

int Check(const sluice::Config& config, bool machine) {
  uint64_t rules = 0;
  if (PrintDiagnostics(sluice::CheckRuleset(config, &rules))) {
    return kExitConfig;
  }
  std::printf("%s: %zu ports, %zu wires, %u worker(s)\n", config.file.c_str(),
              config.ports.size(), config.wires.size(),
              unsigned{config.workers.size()});
  std::printf("%s: %llu rules\n", config.policy.ruleset.c_str(),
              static_cast<unsigned long long>(rules));
  std::fflush(stdout);
  if (machine && !MachineIsReady(config)) {
    std::fputs("sluiced: would not start on this machine\n", stderr);
    return kExitMachine;
  }
  return kExitOk;
}

int Serve(sluice::Config config) {
  if (const absl::Status status = sluice::ReadFaultPoints(); !status.ok()) {
    std::fprintf(stderr, "sluiced: %s\n",
                 std::string(status.message()).c_str());
    return kExitUsage;
  }
  uint64_t rules = 0;
  if (PrintDiagnostics(sluice::CheckRuleset(config, &rules))) {
    std::fputs("sluiced: not started: the ruleset has errors\n", stderr);
    return kExitConfig;
  }
  if (!MachineIsReady(config)) {
    std::fputs("sluiced: not started: no device was touched\n", stderr);
    return kExitMachine;
  }
  if (const absl::Status status = sluice::SetUpLog({.level = config.log.level, .file = config.log.file});
      !status.ok()) {
    std::fprintf(stderr, "sluiced: %s\n",
                 std::string(status.message()).c_str());
    return kExitConfig;
  }
  const sluice::LogFormat format =
      config.log.json ? sluice::LogFormat::kJson : sluice::LogFormat::kText;
  sluice::SetLogFormat(format, config.log.file.empty());
  if (const absl::Status status =
          sluice::OpenAuditLog(config.log.audit, format);
      !status.ok()) {
    std::fprintf(stderr, "sluiced: %s\n",
                 std::string(status.message()).c_str());
    return kExitConfig;
  }
  sluice::Daemon::BlockSignals();
  sluice::Daemon daemon(std::move(config));
  if (const absl::Status status = daemon.Start(); !status.ok()) {
    sluice::LogCritical("not started: {}", std::string(status.message()));
    return kExitFailed;
  }
  if (const absl::Status status = daemon.Run(); !status.ok()) {
    sluice::LogCritical("{}", std::string(status.message()));
    return kExitFailed;
  }
  sluice::LogInfo("stopped");
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  std::string path = "/etc/sluice/sluice.toml";
  std::string state_directory;
  bool check = false;
  bool check_config = false;
  bool version = false;
  const auto into = [](std::string* variable) {
    return [variable](std::string_view value) {
      *variable = std::string(value);
      return absl::OkStatus();
    };
  };
  const auto flag = [](bool* variable) {
    return [variable](std::string_view) {
      *variable = true;
      return absl::OkStatus();
    };
  };
  const sluice::CommandOption options[] = {
      {.name = "version",
       .letter = 'V',
       .help = "print the version",
       .take = flag(&version)},
      {.name = "config",
       .letter = 'c',
       .value = "FILE",
       .help = "the configuration; default: /etc/sluice/sluice.toml",
       .take = into(&path)},
      {.name = "state-dir",
       .value = "DIR",
       .help = "where it keeps filters, policies and states to come back "
               "with; `dir` of [state]",
       .take = into(&state_directory)},
      {.name = "check",
       .help = "check the configuration, its ruleset and this machine, then "
               "end",
       .take = flag(&check)},
      {.name = "check-config",
       .help = "the same, but for the machine: for files of another one",
       .take = flag(&check_config)},
  };
  bool help = false;
  absl::Status read = sluice::ReadCommandLine(argc, argv, options, &help);
  if (help) {
    std::printf("sluiced - a stateful firewall that owns its ports\n"
                "Usage: sluiced [OPTIONS]\n\n%s%s",
                sluice::OptionHelp(options).c_str(), kFooter);
    return kExitOk;
  }
  if (read.ok() && version) {
    std::puts("sluiced " SLUICE_VERSION);
    return kExitOk;
  }
  if (read.ok() && check && check_config) {
    read = absl::InvalidArgumentError("--check excludes --check-config");
  }
  if (!read.ok()) {
    std::fprintf(stderr, "sluiced: %s; see sluiced --help\n",
                 std::string(read.message()).c_str());
    return kExitUsage;
  }
  try {
    sluice::ParsedConfig parsed = sluice::LoadConfig(path);
    PrintDiagnostics(parsed.diagnostics);
    if (!parsed.config) {
      std::fputs("sluiced: the configuration has errors\n", stderr);
      return kExitConfig;
    }
    if (!state_directory.empty()) {
      parsed.config->state.directory =
          std::filesystem::absolute(state_directory).lexically_normal();
    }
    return check || check_config
               ? Check(*parsed.config, /*machine=*/check)
               : Serve(*std::move(parsed.config));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluiced: %s\n", error.what());
    return kExitFailed;
  }
}
