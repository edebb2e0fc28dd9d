// Any bytes from a client of the web page: the HTTP server must answer or close,
// ask the daemon for nothing that changes it, and answer nothing to who has
// named another host or has not asked by GET or HEAD.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/exporter/listen.h"
#include "dataplane/exporter/web_server.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/http_fuzz.h"

namespace {

constexpr char kSecret[] = "sluice_fuzz_answer";

// The methods that may be asked, and their parameters.
constexpr std::array<std::string_view, 12> kMethods = {
    "commits.show",   "filter.list",  "info.show",   "limits.show",
    "port.list",      "process.show", "restore.status", "rules.show",
    "segment.list",   "states.show",  "tables.list", "control.version"};

class CheckingCaller final : public sluice::Caller {
 public:
  std::unique_ptr<nlohmann::json> Call(const std::string& method,
                                       nlohmann::json params,
                                       sluice::CallError* error) override {
    bool known = false;
    for (const std::string_view one : kMethods) known = known || method == one;
    if (!known || !params.is_object() || params.size() > 10) std::abort();
    for (const auto& [name, value] : params.items()) {
      if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (text.size() > 1024 || text.find('\0') != std::string::npos) {
          std::abort();
        }
      } else if (!value.is_boolean() &&
                 (!value.is_number_unsigned() ||
                  value.get<uint64_t>() > 65535)) {
        std::abort();
      }
    }
    if (method == "states.show" &&
        (!params.contains("sort") || params["limit"] > 200)) {
      std::abort();
    }
    if (params.value("filter", std::string()) == "no") {
      error->code = -32006;
      error->message = "there is none";
      return nullptr;
    }
    return std::make_unique<nlohmann::json>(
        nlohmann::json{{"secret", kSecret}});
  }
};

const std::string& Path() {
  static const std::string path =
      "/tmp/sluice_web_fuzz_" + std::to_string(::getpid());
  return path;
}

void StartServer() {
  static const bool started = [] {
    auto listener = sluice::ListenForWeb({.listen = Path()});
    if (!listener.ok()) std::abort();
    static CheckingCaller caller;
    auto made = sluice::WebServer::Start(
        *std::move(listener),
        {.http = {.clients = 8,
                  .timeout = std::chrono::seconds(5),
                  .request = 4096},
         .api = {.rate = 1e9, .burst = 1e9},
         .hosts = {"fw"}},
        &caller);
    if (!made.ok()) std::abort();
    static_cast<void>(made->release());
    std::atexit([] { ::unlink(Path().c_str()); });
    return true;
  }();
  static_cast<void>(started);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  StartServer();
  const std::string_view asked(reinterpret_cast<const char*>(data), size);
  // The function that decides alone, too.
  static_cast<void>(sluice::IsOwnHost(asked, {"fw"}));
  const sluice::HttpExchange done = sluice::AskOverSocket(Path(), asked);
  // The library takes the method as far as its first zero.
  const auto has = [&asked](std::string_view text) {
    return asked.find(text) != std::string_view::npos;
  };
  if (done.sent && done.answer.find(kSecret) != std::string::npos &&
      (!has("GET") || !has("/api/"))) {
    std::abort();
  }
  return 0;
}
