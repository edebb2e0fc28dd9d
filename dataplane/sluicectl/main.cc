// The operator's tool for sluiced, with pfctl's command line.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/client.h"
#include "dataplane/sluicectl/tool.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  absl::StatusOr<sluice::Arguments> arguments = sluice::ParseArguments(words);
  if (!arguments.ok()) {
    if (!words.empty()) {
      std::cerr << "sluicectl: " << arguments.status().message() << '\n';
    }
    std::cerr << sluice::Usage();
    return 1;
  }
  if (arguments->help) {
    std::cout << sluice::Usage();
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
