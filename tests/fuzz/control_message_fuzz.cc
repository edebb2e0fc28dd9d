// Any bytes from a client of the control socket: framing, JSON-RPC, and all
// methods over a fake filter.
//
// The first byte chooses how the bytes are cut into reads. Everything runs
// through a socket pair and in this thread but for the builder's.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/config/config.h"
#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/connection.h"
#include "nlohmann/json.hpp"
#include "pftable/policy/name.h"
#include "spdlog/spdlog.h"
#include "tests/support/fake_filter_directory.h"

namespace sluice {
namespace {

constexpr size_t kMaxMessage = 4096;

void Require(bool condition) {
  if (!condition) std::abort();
}

StateListing MakeState() {
  StateListing state;
  state.id = 1;
  state.protocol = 6;
  state.before = {.source = Address::V4(0x0a000002),
                  .destination = Address::V4(0x0a000001),
                  .source_port = 4567,
                  .destination_port = 22};
  state.after = state.before;
  return state;
}

class Fixture {
 public:
  void Run(std::string_view input, bool with_descriptor) {
    FakeFilterControl filter;
    filter.states = {MakeState()};
    FakeFilterDirectory directory(&filter);
    Operations operations(&directory, &builder_);
    UniqueFd descriptor;
    if (with_descriptor) {
      descriptor.Reset(::memfd_create("fuzz", MFD_CLOEXEC));
      const ssize_t n = ::write(descriptor.get(), input.data(), input.size());
      Require(n == static_cast<ssize_t>(input.size()));
    }
    size_t asked = 0;
    size_t answered = 0;
    const auto ask = [&](std::string line, UniqueFd fd) {
      ++asked;
      Message message;
      message.text = std::move(line);
      message.fd = std::move(fd);
      operations.OnMessage(std::move(message),
                           Reply([&](std::optional<std::string> answer) {
                             ++answered;
                             CheckAnswer(answer);
                           }));
    };
    if (with_descriptor) {
      ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ruleset.load\","
          "\"params\":{\"descriptor\":true}}",
          std::move(descriptor));
    } else {
      Frame(input, ask);
    }
    while (answered < asked) {
      pollfd event = {
          .fd = builder_.event_fd(), .events = POLLIN, .revents = 0};
      Require(::poll(&event, 1, 10'000) == 1);
      builder_.Finish();
    }
    Require(!operations.busy());
    CheckDirectory(directory);
  }

 private:
  // Each request is answered by one line of JSON with a result or an error.
  static void CheckAnswer(const std::optional<std::string>& answer) {
    Require(answer.has_value());
    if (answer->empty()) return;  // a notification
    Require(answer->find('\n') == std::string::npos);
    const nlohmann::json json = nlohmann::json::parse(*answer, nullptr, false);
    Require(json.is_object() && json.contains("id"));
    Require(json.contains("result") != json.contains("error"));
    if (json.contains("error")) {
      Require(json["error"]["code"].is_number_integer());
      Require(json["error"]["message"].is_string());
    }
  }

  // What was made is what may be made.
  static void CheckDirectory(const FakeFilterDirectory& directory) {
    for (const auto& [name, made] : directory.made) {
      Require(IsName(name, kMaxFilterName) && name != kMainFilterName);
      Require(!made.spec.ports.empty() &&
              made.spec.ports.size() <= kMaxPortsOfFilter);
      Require((made.spec.fail_policy == FailPolicy::kOpen) ==
              made.spec.emergency.has_value());
      Require(made.spec.source.empty() || made.spec.source[0] == '/');
    }
    for (const auto& [name, port] : directory.ports) {
      Require(IsName(name, kMaxPortName));
      Require(port.filter == kMainFilterName ||
              directory.made.contains(port.filter));
    }
  }

  template <typename Ask>
  void Frame(std::string_view input, const Ask& ask) {
    if (input.empty()) return;
    const size_t piece = static_cast<uint8_t>(input[0]) * 16 + 1;
    input.remove_prefix(1);
    int ends[2];
    Require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                         ends) == 0);
    UniqueFd client(ends[0]);
    Connection connection{UniqueFd(ends[1])};
    // What the framing must find, by the plainest way to say it.
    size_t begin = 0;
    while (!input.empty()) {
      const size_t n = std::min(piece, input.size());
      Require(::write(client.get(), input.data(), n) ==
              static_cast<ssize_t>(n));
      expected_.append(input.substr(0, n));
      input.remove_prefix(n);
      // A full buffer leaves some bytes for the second time.
      for (int round = 0; round < 2; ++round) {
        connection.Read(kMaxMessage);
        if (!TakeLines(connection, begin, ask)) {
          expected_.clear();
          return;
        }
      }
    }
    expected_.clear();
  }

  // False when the message is too long.
  template <typename Ask>
  bool TakeLines(Connection& connection, size_t& begin, const Ask& ask) {
    for (;;) {
      std::string line;
      const Connection::Input got = connection.TakeLine(kMaxMessage, &line);
      if (got == Connection::Input::kTooLong) return false;
      if (got == Connection::Input::kNone) return true;
      Require(line.size() <= kMaxMessage);
      std::string wanted;
      do {
        const size_t newline = expected_.find('\n', begin);
        Require(newline != std::string::npos);
        wanted = expected_.substr(begin, newline - begin);
        if (wanted.ends_with('\r')) wanted.pop_back();
        begin = newline + 1;
      } while (wanted.empty());
      Require(line == wanted);
      ask(std::move(line), UniqueFd());
    }
  }

  Builder builder_;
  std::string expected_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const fixture = [] {
    spdlog::set_level(spdlog::level::off);
    return new sluice::Fixture;
  }();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // One choice more than the pieces: the bytes as what a descriptor holds.
  const bool with_descriptor = size > 0 && data[0] == 0xff;
  fixture->Run(with_descriptor ? input.substr(1) : input, with_descriptor);
  return 0;
}
