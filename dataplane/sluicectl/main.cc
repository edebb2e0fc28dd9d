// The operator's tool for sluiced, with pfctl's command line.
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/client.h"
#include "dataplane/sluicectl/nic.h"
#include "dataplane/sluicectl/tool.h"

namespace {

int RunNic(std::span<const std::string> words) {
  const absl::StatusOr<sluice::NicArguments> arguments =
      sluice::ParseNicArguments(words);
  if (!arguments.ok()) {
    std::cerr << "sluicectl: " << arguments.status().message() << '\n'
              << sluice::NicUsage();
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

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "nic") {
    return RunNic(std::span(words).subspan(1));
  }
  absl::StatusOr<sluice::Arguments> arguments = sluice::ParseArguments(words);
  if (!arguments.ok()) {
    if (!words.empty()) {
      std::cerr << "sluicectl: " << arguments.status().message() << '\n';
    }
    std::cerr << sluice::Usage();
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
  std::string socket = arguments->socket;
  if (socket.empty()) {
    const char* variable = std::getenv("SLUICE_SOCKET");
    socket = variable != nullptr && *variable != '\0' ? variable
                                                      : sluice::kDefaultSocket;
  }
  std::ios::sync_with_stdio(false);
  sluice::SocketCaller caller(socket);
  sluice::Tool tool(*arguments, &caller, std::cin, std::cout, std::cerr);
  return tool.Run();
}
