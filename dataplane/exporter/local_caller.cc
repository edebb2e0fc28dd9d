#include "dataplane/exporter/local_caller.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <optional>
#include <utility>

#include "dataplane/control/socket/json_rpc.h"
#include "nlohmann/json.hpp"

namespace sluice {

using nlohmann::json;

// Shared by who waits and by the answer that may never come, or come late.
struct LocalCaller::Waiting {
  explicit Waiting(std::string asked) : line(std::move(asked)) {}

  void End(std::optional<std::string> with) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (ended) return;
      ended = true;
      answer = std::move(with);
    }
    changed.notify_all();
  }

  std::string line;
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  std::optional<std::string> answer;
};

LocalCaller::LocalCaller(MessageHandler* handler)
    : handler_(*handler), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

LocalCaller::~LocalCaller() { Stop(); }

std::unique_ptr<json> LocalCaller::Call(const std::string& method, json params,
                                        CallError* error) {
  auto waiting = std::make_shared<Waiting>(Dump({{"jsonrpc", "2.0"},
                                                 {"id", 1},
                                                 {"method", method},
                                                 {"params", std::move(params)}}));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) {
      error->message = "the daemon is stopping";
      return nullptr;
    }
    asked_.push_back(waiting);
  }
  const uint64_t one = 1;
  // It cannot be full, and nobody could be told if it failed.
  [[maybe_unused]] const ssize_t written =
      ::write(event_.get(), &one, sizeof one);
  std::optional<std::string> answer;
  {
    std::unique_lock<std::mutex> lock(waiting->mutex);
    waiting->changed.wait_for(lock, kPatience,
                              [&waiting] { return waiting->ended; });
    // What comes later goes nowhere.
    waiting->ended = true;
    answer = std::move(waiting->answer);
  }
  if (!answer) {
    error->message = method + ": no answer within 5 seconds";
    return nullptr;
  }
  json parsed = json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_object() && parsed.contains("result")) {
    return std::make_unique<json>(std::move(parsed["result"]));
  }
  error->message = method + ": refused";
  if (parsed.is_object() && parsed.contains("error")) {
    const json& refused = parsed["error"];
    error->code = refused.value("code", 0);
    error->message = refused.value("message", error->message);
  }
  return nullptr;
}

void LocalCaller::Serve() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t read =
      ::read(event_.get(), &count, sizeof count);
  std::deque<std::shared_ptr<Waiting>> now;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    now.swap(asked_);
    std::erase_if(served_, [](const std::weak_ptr<Waiting>& served) {
      return served.expired();
    });
    for (const auto& waiting : now) served_.push_back(waiting);
  }
  for (const std::shared_ptr<Waiting>& waiting : now) {
    handler_.OnMessage(
        {.text = std::move(waiting->line),
         .fd = {},
         .peer = {.pid = ::getpid(),
                  .uid = ::geteuid(),
                  .gid = ::getegid(),
                  .role = Role::kRead}},
        Reply([waiting](std::optional<std::string> answer) {
          waiting->End(std::move(answer));
        }));
  }
}

void LocalCaller::Stop() {
  std::deque<std::shared_ptr<Waiting>> left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    left.swap(asked_);
    for (const std::weak_ptr<Waiting>& served : served_) {
      if (auto waiting = served.lock()) left.push_back(std::move(waiting));
    }
    served_.clear();
  }
  for (const std::shared_ptr<Waiting>& waiting : left) {
    waiting->End(std::nullopt);
  }
}

}  // namespace sluice
