// The metrics over HTTP, as clients of all kinds see them; what they are asked
// from is the real operations over fake filters.
#include "dataplane/exporter/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/control/methods/operations.h"
#include "dataplane/exporter/listen.h"
#include "dataplane/metrics/collect.h"
#include "nlohmann/json.hpp"
#include "tests/support/fake_filter_directory.h"
#include "tests/support/fake_transfer.h"
#include "tests/unit/dataplane/exporter/http_client.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// ---- The server ------------------------------------------------------------

class MetricsServerTest : public testing::Test {
 protected:
  void Start(MetricsServerLimits limits = {}) {
    path_ = "/tmp/sluice_metrics_" + std::to_string(::getpid());
    auto listener = ListenForMetrics({.listen = path_});
    ASSERT_TRUE(listener.ok()) << listener.status();
    auto server = MetricsServer::Start(*std::move(listener), limits,
                                       [this] { return Text(); });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  ~MetricsServerTest() override {
    server_.reset();
    ::unlink(path_.c_str());
  }
  absl::StatusOr<std::string> Text() {
    ++asked_;
    if (fails_) return absl::UnavailableError("a worker hangs");
    return std::string(size_, 'm') + "\n";
  }
  std::string Get(const std::string& request) {
    const UniqueFd ours = ConnectTo(path_);
    Write(ours.get(), request);
    return ReadAll(ours.get());
  }

  std::string path_;
  std::atomic<int> asked_ = 0;
  std::atomic<bool> fails_ = false;
  size_t size_ = 10;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AnswersWhatItKnowsAndRefusesTheRest) {
  Start();
  const std::string end = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  const std::string metrics = Get("GET /metrics" + end);
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics, HasSubstr("version=0.0.4"));
  EXPECT_THAT(metrics, HasSubstr("\r\n\r\nmmmmmmmmmm\n"));
  const std::string head = Get("HEAD /metrics" + end);
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(head, Not(HasSubstr("mmm")));
  EXPECT_THAT(Get("GET /metrics?a=b" + end), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("GET /etc/passwd" + end), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("POST /metrics" + end), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Get("PUT /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: "
                  "4\r\nConnection: close\r\n\r\nbody"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Get("GET / HTTP/1.0\r\n\r\n"), HasSubstr("see /metrics"));
  EXPECT_THAT(Get("nonsense\r\n\r\n"), Not(HasSubstr("200")));
}

TEST_F(MetricsServerTest, ScrapesShareATextForAMoment) {
  Start();
  const std::string get = "GET /metrics HTTP/1.0\r\n\r\n";
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Get(get), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_LE(asked_, 2);
  std::this_thread::sleep_for(milliseconds(1100));
  fails_ = true;
  const std::string failed = Get(get);
  EXPECT_THAT(failed, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(failed, HasSubstr("a worker hangs"));
  fails_ = false;
  EXPECT_THAT(Get(get), StartsWith("HTTP/1.1 200 "));
}

TEST_F(MetricsServerTest, LargeRequestsAndAnswersAreRefused) {
  Start({.request = 4096, .text = 8});
  EXPECT_THAT(Get("GET /metrics HTTP/1.0\r\n\r\n"),
              StartsWith("HTTP/1.1 503 "));
  const std::string large = Get("GET /metrics HTTP/1.1\r\nHost: a\r\nX: " +
                                std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_THAT(large, Not(HasSubstr("HTTP/1.1 200")));
}

// Who reads nothing, or says nothing, is closed, and keeps nobody waiting.
TEST_F(MetricsServerTest, DeadClientsAreClosedAndDoNotDelayOthers) {
  size_ = 4 << 20;
  Start({.clients = 3, .timeout = std::chrono::seconds(1)});
  const UniqueFd silent = ConnectTo(path_);
  const UniqueFd deaf = ConnectTo(path_);
  Write(deaf.get(), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto began = std::chrono::steady_clock::now();
  EXPECT_GT(Get("GET /metrics HTTP/1.0\r\n\r\n").size(), size_);
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(900));
  // The third place is taken, and a fourth client is not let in.
  const UniqueFd third = ConnectTo(path_);
  const UniqueFd fourth = ConnectTo(path_);
  EXPECT_EQ(ReadAll(fourth.get(), milliseconds(700)), "");
  // Both are closed by the server in the end.
  EXPECT_EQ(ReadAll(silent.get()), "");
  std::this_thread::sleep_for(milliseconds(2500));
  EXPECT_LT(ReadAll(deaf.get()).size(), size_);
  EXPECT_GT(Get("GET /metrics HTTP/1.0\r\n\r\n").size(), size_);
}

// ---- The exporter ----------------------------------------------------------

class ExporterTest : public testing::Test {
 protected:
  ExporterTest() {
    operations_.SetTransfer(&transfer_);
    char folder[] = "/tmp/sluice_exporter_XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~ExporterTest() override {
    stop_ = true;
    if (lcore_.joinable()) lcore_.join();
    exporter_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Start(const MetricsConfig& config, const WebConfig& web = {}) {
    auto exporter =
        Exporter::Start(config, web, /*telemetry=*/false, &operations_);
    ASSERT_TRUE(exporter.ok()) << exporter.status();
    exporter_ = *std::move(exporter);
  }
  // What stands for the control lcore.
  void RunLcore() {
    lcore_ = std::thread([this] {
      while (!stop_) {
        pollfd events[] = {
            {.fd = exporter_->event_fd(), .events = POLLIN, .revents = 0},
            {.fd = builder_.event_fd(), .events = POLLIN, .revents = 0}};
        ::poll(events, 2, 10);
        exporter_->Serve();
        builder_.Finish();
      }
    });
  }
  std::string Scrape(const std::string& path) {
    const UniqueFd socket = ConnectTo(path);
    Write(socket.get(), "GET /metrics HTTP/1.0\r\n\r\n");
    return ReadAll(socket.get());
  }
  std::string Path() const { return folder_ + "/metrics.sock"; }

  std::string folder_;
  FakeFilterControl filter_;
  FakeFilterDirectory directory_{&filter_};
  FakeTransfer transfer_;
  Builder builder_;
  Operations operations_{&directory_, &builder_};
  std::atomic<bool> stop_ = false;
  std::thread lcore_;
  std::unique_ptr<Exporter> exporter_;
};

TEST_F(ExporterTest, ServesAllSeriesAtAUnixSocketWithItsMode) {
  Start({.listen = Path(), .mode = 0640});
  RunLcore();
  struct stat status;
  ASSERT_EQ(::stat(Path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  const std::string text = Scrape(Path());
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 "));
  for (const char* sample :
       {"sluice_filter_states{filter=\"main\"}", "sluice_build_info{",
        "sluice_control_orders_total{method=\"control.version\",outcome=\"done\"}",
        "sluice_metrics_left_out{of=\"labels\"} 0"}) {
    EXPECT_THAT(text, HasSubstr(sample));
  }
  // A second one does not take the socket away from the first.
  auto second = Exporter::Start({.listen = Path()}, {}, false, &operations_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  stop_ = true;
  lcore_.join();
  exporter_.reset();
  EXPECT_FALSE(std::filesystem::exists(Path()));
}

// As a client who may only read: each question is answered by a method.
TEST_F(ExporterTest, AnswersAllThatThePageAsks) {
  const std::string path = folder_ + "/web.sock";
  Start({.listen = Path()}, {.listen = path, .mode = 0660});
  RunLcore();
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  const auto get = [&path](const std::string& what) {
    const UniqueFd socket = ConnectTo(path);
    Write(socket.get(), "GET " + what +
                            " HTTP/1.1\r\nHost: localhost:8469\r\n"
                            "Connection: close\r\n\r\n");
    return ReadAll(socket.get());
  };
  EXPECT_THAT(get("/"), HasSubstr("<title>sluice</title>"));
  for (const char* name :
       {"commits", "filters", "info", "limits", "ports", "restores", "rules",
        "segments", "states", "tables", "version", "process"}) {
    const std::string answer = get("/api/" + std::string(name));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 ")) << name;
    EXPECT_THAT(answer, HasSubstr("\r\n\r\n{\"taken_ms\":")) << name;
    EXPECT_THAT(answer, HasSubstr(",\"answer\":{")) << name;
  }
  // What the method does not take is the client's mistake.
  EXPECT_THAT(get("/api/states?sort=colour"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(get("/api/info?filter=nobody"), StartsWith("HTTP/1.1 404 "));
  // The metrics are at their own socket and there alone.
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Scrape(Path()), StartsWith("HTTP/1.1 200 "));
  stop_ = true;
  lcore_.join();
  exporter_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ExporterTest, AWebPageThatCannotListenTakesTheMetricsWithIt) {
  const std::string path = folder_ + "/web.sock";
  std::ofstream(path) << "a file";
  auto refused = Exporter::Start({.listen = Path()}, {.listen = path}, false,
                                 &operations_);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("[web] listen: " + path + " is there and is no socket"));
  EXPECT_FALSE(std::filesystem::exists(Path()));
}

TEST_F(ExporterTest, WhatCannotListenSaysSo) {
  std::ofstream(Path()) << "a file";
  auto refused = Exporter::Start({.listen = Path()}, {}, false, &operations_);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("is no socket"));
  EXPECT_TRUE(std::filesystem::exists(Path()));
  MetricsConfig config = {.listen = folder_ + "/b.sock"};
  config.group = "no-such-group-here";
  refused = Exporter::Start(config, {}, false, &operations_);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("[metrics] group"));
  config = {.listen = "192.0.2.1:9469",
            .address = *ParseAddress("192.0.2.1"),
            .port = 9469};
  refused = Exporter::Start(config, {}, false, &operations_);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("cannot bind 192.0.2.1:9469"));
}

// Who stops waits for nobody: neither for a scrape that nobody answers.
TEST_F(ExporterTest, EndsAtOnceUnderAScrape) {
  Start({.listen = Path()});  // and no lcore
  std::string text;
  std::thread scrape([&] { text = Scrape(Path()); });
  std::this_thread::sleep_for(milliseconds(300));
  const auto began = std::chrono::steady_clock::now();
  exporter_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(2000));
  scrape.join();
  EXPECT_THAT(text, Not(HasSubstr("200 OK")));
}

// ---- What may be many ------------------------------------------------------

class FixedCaller final : public Caller {
 public:
  std::unique_ptr<nlohmann::json> Call(const std::string& method,
                                       nlohmann::json,
                                       CallError* error) override {
    using nlohmann::json;
    if (method == "filter.list") {
      return std::make_unique<json>(
          json{{"filters", {{{"name", "main"}}, {{"name", "gone"}},
                            {{"name", "third"}}}}});
    }
    if (method == "info.show" && ++infos == 2) {
      error->code = -32006;
      return nullptr;
    }
    if (method == "labels.show") {
      json labels = json::array();
      for (const char* label : {"a", "b", "a", "c"}) {
        labels.push_back({{"label", label},
                          {"evaluations", 1},
                          {"in", {{"packets", 2}, {"bytes", 20}}},
                          {"out", {{"packets", 3}, {"bytes", 30}}}});
      }
      return std::make_unique<json>(json{{"labels", std::move(labels)}});
    }
    if (method == "tables.list") {
      return std::make_unique<json>(json{
          {"tables", {{{"name", "t"}, {"addresses", 5}},
                      {{"name", "u"}, {"anchor", "x"}, {"match", 7}}}}});
    }
    return std::make_unique<json>(json::object());
  }
  int infos = 0;
};

TEST(CollectMetricsTest, BoundsAndSumsWhatThereIsManyOf) {
  FixedCaller caller;
  const auto answers =
      CollectMetrics({.filters = 2, .labels = 2, .tables = 1}, &caller);
  ASSERT_TRUE(answers.ok()) << answers.status();
  ASSERT_EQ((*answers)["filters"].size(), 1u) << "one has gone meanwhile";
  const nlohmann::json& labels = (*answers)["filters"][0]["labels"];
  ASSERT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels[0]["label"], "a");
  EXPECT_EQ(labels[0]["evaluations"], 2);
  EXPECT_EQ(labels[0]["packets"], 10);
  EXPECT_EQ(labels[0]["bytes"], 100);
  EXPECT_EQ((*answers)["left_out"],
            (nlohmann::json{{"filters", 1}, {"labels", 1}, {"tables", 1}}));
}

}  // namespace
}  // namespace sluice
