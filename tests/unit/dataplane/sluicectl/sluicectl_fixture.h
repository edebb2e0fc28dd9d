// sluicectl's commands against the real server and methods, over a real
// socket; only the filters are fakes.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_FIXTURE_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/server.h"
#include "dataplane/sluicectl/tool.h"
#include "tests/support/fake_filter_directory.h"
#include "tests/unit/dataplane/control/control_test_client.h"

namespace sluice {

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

class SluicectlToolTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = ControlServer::Start(
        {.path = folder_.File("control.sock"), .group = ""}, {}, &operations_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ASSERT_TRUE(
        server_->Watch(builder_.event_fd(), [this] { builder_.Finish(); })
            .ok());
  }

  // The tool runs in this thread, what stands for the control lcore in
  // another one, and only then: between runs the test owns the filter.
  Outcome Run(std::vector<std::string> words, const std::string& input = "") {
    std::atomic<bool> stop = false;
    std::thread lcore([&] {
      while (!stop) server_->Poll(std::chrono::milliseconds(1));
    });
    absl::StatusOr<Arguments> arguments = ParseArguments(words);
    EXPECT_TRUE(arguments.ok()) << arguments.status();
    Outcome outcome;
    if (arguments.ok()) {
      std::istringstream in(input);
      std::ostringstream out, err;
      SocketCaller caller(folder_.File("control.sock"));
      outcome.status = Tool(*arguments, &caller, in, out, err).Run();
      outcome.out = out.str();
      outcome.err = err.str();
    }
    stop = true;
    lcore.join();
    return outcome;
  }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_.File(name);
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  void Make(const std::string& name, const std::string& port) {
    ASSERT_EQ(Run({"filter", "create", name, "--ports", port}).status, 0);
  }
  // "vm-0" and so on, more than a page of a listing holds.
  void MakeFilters(int count) {
    for (int i = 0; i < count; ++i) {
      auto job = directory_.BeginCreateFilter(
          {.name = "vm-" + std::to_string(i),
           .ports = {"p" + std::to_string(i)},
           .ruleset = {},
           .source = "",
           .emergency = {}});
      job->Build();
      ASSERT_TRUE(job->Publish().ok());
    }
  }

  TestFolder folder_;
  FakeFilterControl filter_;
  FakeFilterDirectory directory_{&filter_};
  Builder builder_;
  Operations operations_{&directory_, &builder_};
  std::unique_ptr<ControlServer> server_;
};

inline void ExpectIs(const Outcome& outcome, int status, const std::string& out,
                     const std::string& err) {
  EXPECT_EQ(outcome.status, status);
  EXPECT_EQ(outcome.out, out);
  EXPECT_EQ(outcome.err, err);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_SLUICECTL_SLUICECTL_FIXTURE_H_
