// What the daemon tells its service manager, read from the other end.
#include "dataplane/daemon/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// The abstract name or the path is the parameter.
class ServiceManagerTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const std::string number = absl::StrCat(getpid());
    path_ = GetParam() ? absl::StrCat("@sluice-test-", number)
                       : absl::StrCat(::testing::TempDir(), "/notify-",
                                      number);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    if (GetParam()) address.sun_path[0] = '\0';
    socket_.Reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                          path_.size())),
              0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                             "WATCHDOG_PID"}) {
      unsetenv(name);
    }
    if (!GetParam()) unlink(path_.c_str());
  }

  std::vector<std::string> Received() {
    std::vector<std::string> messages;
    char buffer[512];
    ssize_t n;
    while ((n = recv(socket_.get(), buffer, sizeof buffer, 0)) > 0) {
      messages.emplace_back(buffer, static_cast<size_t>(n));
    }
    return messages;
  }

  std::string path_;
  UniqueFd socket_;
};

TEST_P(ServiceManagerTest, TellsItsLife) {
  ServiceManager manager = ServiceManager::FromEnvironment();
  ASSERT_TRUE(manager.connected());
  manager.Ready("running:\n2 ports");
  manager.Reloading();
  manager.Stopping();
  EXPECT_THAT(Received(),
              ElementsAre("READY=1\nSTATUS=running: 2 ports",
                          StartsWith("RELOADING=1\nMONOTONIC_USEC="),
                          "STOPPING=1\nSTATUS=stopping"));
}

TEST_P(ServiceManagerTest, BeatsTwiceInTheTimeThatIsWatched) {
  setenv("WATCHDOG_USEC", "10000000", 1);
  setenv("WATCHDOG_PID", absl::StrCat(getpid()).c_str(), 1);
  ServiceManager manager = ServiceManager::FromEnvironment();
  for (uint64_t now = 1000; now <= 16000; now += 100) manager.Beat(now);
  EXPECT_THAT(Received(),
              ElementsAre("WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1",
                          "WATCHDOG=1"));
}

TEST_P(ServiceManagerTest, AsksForTimeNowAndThenAndAtOnceWhenItStops) {
  ServiceManager manager = ServiceManager::FromEnvironment();
  for (uint64_t now = 1000; now < 5000; now += 10) manager.Extend(now);
  manager.Stopping();
  manager.Extend(4990);
  manager.Extend(5010);
  const std::string more = "EXTEND_TIMEOUT_USEC=180000000";
  EXPECT_THAT(Received(),
              ElementsAre(more, more, "STOPPING=1\nSTATUS=stopping", more));
}

TEST_P(ServiceManagerTest, SomebodyElseIsWatched) {
  setenv("WATCHDOG_USEC", "10000000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  ServiceManager manager = ServiceManager::FromEnvironment();
  manager.Beat(1000);
  EXPECT_THAT(Received(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(PathAndAbstract, ServiceManagerTest,
                         ::testing::Bool());

TEST(ServiceManagerEnvironmentTest, WithoutOrWithWrongSocket) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(ServiceManager::FromEnvironment().connected());
  for (const std::string& wrong :
       {std::string(""), std::string("/"), std::string("relative"),
        std::string("/no/such/socket"), std::string(200, '/')}) {
    setenv("NOTIFY_SOCKET", wrong.c_str(), 1);
    ServiceManager manager = ServiceManager::FromEnvironment();
    EXPECT_FALSE(manager.connected()) << wrong;
    manager.Ready("to nobody");
  }
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace sluice
