// The operator's tool for sluiced, with pfctl's command line.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/text.h"
#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/client.h"
#include "dataplane/sluicectl/complete.h"
#include "dataplane/sluicectl/nic.h"
#include "dataplane/sluicectl/tool.h"
#include "dataplane/sluicectl/transfer.h"

namespace {

// Where the daemon is asked.
std::string SocketOr(const std::string& socket) {
  if (!socket.empty()) return socket;
  const char* variable = std::getenv("SLUICE_SOCKET");
  return variable != nullptr && *variable != '\0' ? variable
                                                  : sluice::kDefaultSocket;
}

// Last, where it is seen.
void Complain(const absl::Status& status) {
  std::cerr << "sluicectl: " << sluice::Printable(sluice::Text(status)) << '\n';
}

int RunTransfer(std::span<const std::string> words) {
  const absl::StatusOr<sluice::TransferArguments> arguments =
      sluice::ParseTransferArguments(words);
  if (!arguments.ok()) {
    std::cerr << sluice::TransferUsageFor(words);
    Complain(arguments.status());
    return 1;
  }
  if (arguments->help) {
    std::cout << sluice::TransferUsage();
    return 0;
  }
  sluice::SocketCaller caller(SocketOr(arguments->socket));
  return sluice::TransferTool(*arguments, &caller, STDIN_FILENO,
                              STDOUT_FILENO, std::cout, std::cerr)
      .Run();
}

int RunNic(std::span<const std::string> words) {
  const absl::StatusOr<sluice::NicArguments> arguments =
      sluice::ParseNicArguments(words);
  if (!arguments.ok()) {
    std::cerr << sluice::NicUsage();
    Complain(arguments.status());
    return 1;
  }
  if (arguments->help) {
    std::cout << sluice::NicUsage();
    return 0;
  }
  const sluice::HostFiles host;
  const auto write = [&host](std::string_view path, std::string_view text) {
    return host.Write(path, text);
  };
  return sluice::NicTool(host, write, std::cout, std::cerr).Run(*arguments);
}

// For the shells' completion. Nobody wants to wait there, nor to read errors.
int RunComplete(std::span<const std::string> words) {
  constexpr unsigned kPatience = 2;  // seconds; then the signal ends it
  ::alarm(kPatience);
  std::string socket;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "-p" || words[i] == "--socket") socket = words[i + 1];
  }
  sluice::SocketCaller caller(SocketOr(socket));
  for (const std::string& word : sluice::Complete(words, &caller)) {
    std::cout << sluice::PrintableName(word) << '\n';
  }
  return 0;
}

int RunHelp(std::span<const std::string> words) {
  if (!words.empty() && words.front() == "nic") {
    std::cout << sluice::NicUsage();
    return 0;
  }
  if (sluice::IsTransferCommand(words)) {
    std::cout << sluice::TransferUsageFor(words);
    return 0;
  }
  const absl::StatusOr<std::string> help = sluice::HelpFor(words);
  if (!help.ok()) {
    Complain(help.status());
    return 1;
  }
  std::cout << *help;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "nic") {
    return RunNic(std::span(words).subspan(1));
  }
  if (!words.empty() && words.front() == "complete") {
    return RunComplete(std::span(words).subspan(1));
  }
  if (!words.empty() && words.front() == "help") {
    return RunHelp(std::span(words).subspan(1));
  }
  if (sluice::IsTransferCommand(words)) return RunTransfer(words);
  absl::StatusOr<sluice::Arguments> arguments = sluice::ParseArguments(words);
  if (!arguments.ok()) {
    std::cerr << (words.empty()
                      ? std::string(sluice::Usage())
                      : sluice::UsageFor(words, sluice::Text(arguments.status())));
    if (!words.empty()) Complain(arguments.status());
    return 1;
  }
  if (arguments->help) {
    std::cout << sluice::Usage() << sluice::Help();
    return 0;
  }
  if (arguments->version) {
    std::cout << "sluicectl " << SLUICE_VERSION << '\n';
    return 0;
  }
  std::ios::sync_with_stdio(false);
  sluice::SocketCaller caller(SocketOr(arguments->socket));
  sluice::Tool tool(*arguments, &caller, std::cin, std::cout, std::cerr);
  return tool.Run();
}
