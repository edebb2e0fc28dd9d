// Requests straight to the operations of the control socket, over fakes.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_OPERATIONS_FIXTURE_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_OPERATIONS_FIXTURE_H_

#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/methods/operations.h"
#include "nlohmann/json.hpp"
#include "tests/support/fake_filter_directory.h"

namespace sluice {

inline constexpr int kNotFound = -32006;  // of JSON-RPC

// Opened by the test; Build() waits for it.
class BuildGate {
 public:
  void Open() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class ControlOperationsTest : public testing::Test {
 protected:
  using json = nlohmann::json;

  // A line's answers in order of arrival; nothing for a skipped one.
  void Send(const std::string& line, UniqueFd fd = {}) {
    operations_.OnMessage(
        {.text = line, .fd = std::move(fd), .peer = {.pid = 7, .uid = 8, .gid = 8, .role = role_}},
        Reply([this](std::optional<std::string> answer) {
          ASSERT_TRUE(answer.has_value()) << "a reply was dropped";
          answers_.push_back(*answer);
        }));
  }

  void Request(const std::string& method, json params, json id = 1) {
    Send(json{{"jsonrpc", "2.0"},
              {"id", id},
              {"method", method},
              {"params", std::move(params)}}
             .dump());
  }

  // Lets the builder finish until there are `count` answers.
  void Await(size_t count) {
    while (answers_.size() < count) {
      pollfd event = {
          .fd = builder_->event_fd(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&event, 1, 20'000), 1) << "the builder does nothing";
      builder_->Finish();
    }
  }

  json Ask(const std::string& method, json params = json::object()) {
    const size_t before = answers_.size();
    Request(method, std::move(params));
    Await(before + 1);
    return answers_.empty() ? json() : json::parse(answers_.back());
  }
  json Result(const std::string& method, json params = json::object()) {
    return Ask(method, std::move(params)).value("result", json("no result"));
  }
  int Code(const std::string& method, json params = json::object()) {
    const json answer = Ask(method, std::move(params));
    return answer.contains("error") ? answer["error"]["code"].get<int>() : 0;
  }

  Role role_ = Role::kAdmin;  // of who asks
  FakeFilterControl filter_;
  FakeFilterDirectory directory_{&filter_};
  std::unique_ptr<Builder> builder_ = std::make_unique<Builder>();
  Operations operations_{&directory_, builder_.get()};
  std::vector<std::string> answers_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_OPERATIONS_FIXTURE_H_
