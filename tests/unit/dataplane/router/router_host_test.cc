// The kernel's side of routers with a real kernel: in a network namespace of
// this test's own, which needs root.
#include "dataplane/router/router_host.h"

#include <fcntl.h>
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/forward/router_exchange.h"
#include "pftable/engine/reclaimer.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

constexpr MacAddress kMac = {0x02, 0, 0, 0, 0, 0x11};
constexpr uint16_t kPort = 7;

// A thread in a namespace of its own, which does what it is told.
class Elsewhere {
 public:
  Elsewhere() : thread_([this] { Run(); }) {
    Do([this] {
      possible_ = unshare(CLONE_NEWNET) == 0;
      path_ = absl::StrCat("/proc/", getpid(), "/task/", gettid(), "/ns/net");
    });
  }
  ~Elsewhere() {
    Do(nullptr);
    thread_.join();
  }
  void Do(std::function<void()> what) {
    std::unique_lock lock(mutex_);
    const bool ends = what == nullptr;
    what_ = std::move(what);
    waiting_ = true;
    wake_.notify_all();
    if (!ends) wake_.wait(lock, [this] { return !waiting_; });
  }
  bool possible() const { return possible_; }
  const std::string& path() const { return path_; }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return waiting_; });
      if (what_ == nullptr) return;
      what_();
      waiting_ = false;
      wake_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::function<void()> what_;
  bool waiting_ = false;
  bool possible_ = false;
  std::string path_;
  std::thread thread_;
};

std::vector<uint8_t> Frame(uint16_t type, size_t length, uint8_t fill) {
  std::vector<uint8_t> frame(length, fill);
  std::fill_n(frame.begin(), 6, 0xff);
  std::copy(kMac.begin(), kMac.end(), frame.begin() + 6);
  frame[12] = static_cast<uint8_t>(type >> 8);
  frame[13] = static_cast<uint8_t>(type);
  return frame;
}

class RouterHostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!there_.possible() || access("/dev/net/tun", W_OK) != 0) {
      GTEST_SKIP() << "there can be no interfaces of the kernel's: that takes "
                      "root (CAP_SYS_ADMIN) and a /dev/net/tun that may be "
                      "opened";
    }
    // Nothing that the kernel says by itself.
    Shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    const auto tables =
        host_.AddRouter({.name = "edge", .netns = there_.path()});
    ASSERT_TRUE(tables.ok()) << tables.status();
    tables_ = *tables;
  }
  void Shell(const std::string& command) {
    int result = -1;
    there_.Do([&] { result = std::system(command.c_str()); });
    ASSERT_EQ(result, 0) << command;
  }
  Tap::Options TapOptions(const std::string& name) const {
    return {.name = name, .netns = there_.path(), .mac = kMac, .mtu = 1400};
  }
  void AddPort() {
    auto tap = Tap::Make(TapOptions("lan"));
    ASSERT_TRUE(tap.ok()) << tap.status();
    ASSERT_TRUE(host_.AddPort("edge", kPort, "lan", *std::move(tap)).ok());
    // A packet socket sees what the interface gives to the kernel, and sends
    // by it.
    there_.Do([this] {
      socket_.Reset(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK,
                             htons(ETH_P_ALL)));
      sockaddr_ll address = {};
      address.sll_family = AF_PACKET;
      address.sll_protocol = htons(ETH_P_ALL);
      address.sll_ifindex = static_cast<int>(if_nametoindex("lan"));
      EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                     sizeof address),
                0);
    });
  }
  void GiveToHost(const std::vector<uint8_t>& frame, uint32_t segment = 0) {
    rte_mbuf* mbuf = pool_.Make(frame, segment);
    mbuf->port = kPort;
    ASSERT_EQ(exchange_.ToHost(1, {&mbuf, 1}), 1u);
  }
  std::vector<uint8_t> Seen() {
    std::vector<uint8_t> frame(20000);
    const ssize_t count = recv(socket_.get(), frame.data(), frame.size(), 0);
    frame.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return frame;
  }
  RouterPortStatus Port() {
    const auto status = host_.Status("edge");
    EXPECT_TRUE(status.ok());
    return status->ports.empty() ? RouterPortStatus() : status->ports[0];
  }

  Elsewhere there_;
  MbufPool pool_;
  RouterExchange exchange_{2, 64};
  ImmediateReclaimer reclaimer_;
  uint32_t stalled_ = 0;
  RouterHost host_{{.exchange = &exchange_,
                    .pool = pool_.get(),
                    .reclaimer = &reclaimer_,
                    .stalled = [this] { return stalled_; },
                    .rates = {2, 2, 50}}};
  std::shared_ptr<RoutingTables> tables_;
  UniqueFd socket_;
};

TEST_F(RouterHostTest, AnInterfaceHasThePortsAddressAndMtu) {
  AddPort();
  Shell("ip -br link show lan | grep -q 02:00:00:00:00:11.*,UP");
  Shell("ip link show lan | grep -q 'mtu 1400 '");
  EXPECT_TRUE(Port().present);
  EXPECT_EQ(Port().tap, "lan");
  host_.SetCarrier(kPort, false);
  Shell("ip link show lan | grep -q NO-CARRIER");
  EXPECT_FALSE(Port().carrier);
  host_.SetCarrier(kPort, true);
  Shell("ip link show lan | grep -q LOWER_UP");
  // Whoever has time for it closes it.
  std::unique_ptr<Tap> tap = host_.RemovePort(kPort);
  ASSERT_NE(tap, nullptr);
  EXPECT_EQ(host_.RemovePort(kPort), nullptr);
  EXPECT_TRUE(host_.Status("edge")->ports.empty());
  Shell("ip link show lan >/dev/null");
  tap.reset();
  Shell("! ip link show lan 2>/dev/null");
}

TEST_F(RouterHostTest, ANameThatIsTakenAndANamespaceThatIsNot) {
  AddPort();
  const auto again = Tap::Make(TapOptions("lan"));
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(again.status().message().find("there is an interface lan already"),
            absl::string_view::npos);
  // One that somebody has made to last is not taken over either.
  Shell("ip tuntap add other mode tap");
  EXPECT_EQ(Tap::Make(TapOptions("other")).status().code(),
            absl::StatusCode::kAlreadyExists);
  Tap::Options nowhere = TapOptions("x");
  nowhere.netns = "no-such-namespace";
  EXPECT_EQ(Tap::Make(nowhere).status().code(), absl::StatusCode::kNotFound);
  nowhere.netns = "/dev/null";
  EXPECT_EQ(Tap::Make(nowhere).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RouterHostTest, FramesGoToTheKernelAsTheyCame) {
  AddPort();
  const std::vector<uint8_t> whole = Frame(0x0806, 60, 1);
  const std::vector<uint8_t> parts = Frame(0x0800, 1400, 2);
  const std::vector<uint8_t> many = Frame(0x0800, 1414, 3);
  GiveToHost(whole);
  GiveToHost(parts, 500);
  GiveToHost(many, 20);  // more parts than are written at once
  host_.Turn(0);
  EXPECT_EQ(Seen(), whole);
  EXPECT_EQ(Seen(), parts);
  EXPECT_EQ(Seen(), many);
  EXPECT_EQ(Port().counts.to_host, 3u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

TEST_F(RouterHostTest, KindsAreLimitedForThemselves) {
  AddPort();
  for (int i = 0; i < 6; ++i) GiveToHost(Frame(0x0806, 60, 1));
  GiveToHost(Frame(0x0800, 60, 2));
  host_.Turn(0);
  RouterPortCounts counts = Port().counts;
  EXPECT_EQ(counts.to_host, 3u);
  EXPECT_EQ(counts.limited, (std::array<uint64_t, kHostKinds>{4, 0, 0}));
  // The interface is down: the kernel does not take it.
  Shell("ip link set lan down");
  GiveToHost(Frame(0x0800, 60, 2));
  host_.Turn(0);
  counts = Port().counts;
  EXPECT_EQ(counts.refused, 1u);
  EXPECT_TRUE(Port().present);
  EXPECT_EQ(pool_.InUse(), 0u);
}

TEST_F(RouterHostTest, WhatTheKernelSendsGoesToOneWorkerThatRuns) {
  AddPort();
  std::vector<std::vector<uint8_t>> sent;
  for (uint8_t i = 0; i < 5; ++i) {
    sent.push_back(Frame(0x0800, 100 + i, i));
    ASSERT_EQ(send(socket_.get(), sent.back().data(), sent.back().size(), 0),
              static_cast<ssize_t>(sent.back().size()));
  }
  host_.Turn(100);  // learns of the descriptor
  host_.Turn(100);
  std::array<rte_mbuf*, 16> got;
  EXPECT_EQ(exchange_.FromHost(0, got), 0u);
  ASSERT_EQ(exchange_.FromHost(1, got), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(got[i]->port, kPort);
    EXPECT_EQ(BytesOf(got[i]), sent[i]);
    rte_pktmbuf_free(got[i]);
  }
  stalled_ = 0b10;
  send(socket_.get(), sent[0].data(), sent[0].size(), 0);
  host_.Turn(100);
  ASSERT_EQ(exchange_.FromHost(0, got), 1u);
  rte_pktmbuf_free(got[0]);
  EXPECT_EQ(Port().counts.from_host, 6u);
  // A ring that is full costs frames, which are counted.
  for (int i = 0; i < 100; ++i) {
    send(socket_.get(), sent[0].data(), sent[0].size(), 0);
    host_.Turn(0);
  }
  EXPECT_EQ(Port().counts.from_host + Port().counts.lost, 106u);
  EXPECT_GT(Port().counts.lost, 0u);
}

TEST_F(RouterHostTest, AnInterfaceThatIsTakenAwayComesAgain) {
  AddPort();
  host_.Turn(0);
  Shell("ip link delete lan");
  host_.Turn(100);
  EXPECT_FALSE(Port().present);
  EXPECT_EQ(Port().counts.taken, 1u);
  GiveToHost(Frame(0x0800, 60, 2));
  host_.Turn(0);
  EXPECT_EQ(Port().counts.refused, 1u);
  // Somebody else has the name meanwhile.
  Shell("ip tuntap add lan mode tap");
  usleep(1'100'000);
  host_.Turn(0);
  EXPECT_FALSE(Port().present);
  Shell("ip link delete lan");
  usleep(1'100'000);
  host_.Turn(0);
  EXPECT_TRUE(Port().present);
  Shell("ip -br link show lan | grep -q 02:00:00:00:00:11.*,UP");
}

TEST_F(RouterHostTest, FollowsTheKernel) {
  AddPort();
  Shell("ip address add 192.0.2.1/24 dev lan");
  Shell("ip route add 10.0.0.0/8 via 192.0.2.9");
  Shell("ip route add blackhole 10.1.0.0/16");
  Shell("ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:99 dev lan nud "
        "permanent");
  const Prefix net = *ParsePrefix("10.0.0.0/8");
  const auto until = [this](const std::function<bool()>& done) {
    for (int i = 0; i < 500 && !done(); ++i) host_.Turn(10);
    EXPECT_TRUE(done());
  };
  MacAddress mac;
  until([&] {
    return tables_->FindNeighbor(kPort, *ParseAddress("192.0.2.9"), &mac) ==
               NeighborState::kKnown &&
           tables_->RouteOf(net).has_value();
  });
  EXPECT_EQ(mac, (MacAddress{0x02, 0, 0, 0, 0, 0x99}));
  EXPECT_EQ(tables_->Find(*ParseAddress("10.2.0.1"), 0).port, kPort);
  EXPECT_EQ(tables_->Find(*ParseAddress("10.1.0.1"), 0).type,
            RouteType::kBlackhole);
  const auto behind = host_.Routes("edge", net, 1);
  ASSERT_TRUE(behind.ok());
  ASSERT_EQ(behind->size(), 1u);
  EXPECT_EQ(behind->front().prefix, *ParsePrefix("10.1.0.0/16"));
  EXPECT_GE(host_.Routes("edge", std::nullopt, 100)->size(), 3u);
  EXPECT_EQ(host_.Neighbors("edge", 0, 10)->size(), 1u);
  auto changed = host_.TakeAddresses();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[kPort], std::vector<Prefix>{*ParsePrefix("192.0.2.1/24")});
  EXPECT_TRUE(host_.TakeAddresses().empty());
  // A worker's question becomes the kernel's.
  ASSERT_TRUE(exchange_.Ask(0, {.port = kPort,
                                .address = *ParseAddress("192.0.2.77")}));
  until([&] {
    return tables_->FindNeighbor(kPort, *ParseAddress("192.0.2.77"), &mac) ==
           NeighborState::kPending;
  });
  EXPECT_EQ(host_.Status("edge")->questions, 1u);
  // The port's are gone with its interface, the others stay.
  Shell("ip link delete lan");
  until([&] {
    return !Port().present && !tables_->RouteOf(net).has_value() &&
           tables_->neighbor_count() == 0;
  });
  EXPECT_EQ(tables_->Find(*ParseAddress("10.1.0.1"), 0).type,
            RouteType::kBlackhole);
  changed = host_.TakeAddresses();
  EXPECT_TRUE(changed.at(kPort).empty());
}

TEST_F(RouterHostTest, TheThreadStopsWithFramesInTheRings) {
  AddPort();
  host_.Start();
  for (int i = 0; i < 20; ++i) GiveToHost(Frame(0x0800, 60, 2));
  EXPECT_TRUE(host_.Status("edge").ok());
  EXPECT_FALSE(host_.Status("none").ok());
  EXPECT_EQ(host_.Names(), std::vector<std::string>{"edge"});
  host_.Stop();
  host_.Stop();
  // None of them has vanished.
  const RouterPortCounts counts = Port().counts;
  EXPECT_EQ(counts.to_host + counts.refused + counts.limited[0] +
                counts.limited[1] + counts.limited[2],
            20u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

TEST_F(RouterHostTest, FramesOfAPortThatHasLeftAreCounted) {
  AddPort();
  GiveToHost(Frame(0x0800, 60, 2));
  host_.RemovePort(kPort);
  host_.Turn(0);
  EXPECT_EQ(host_.strays(), 1u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

}  // namespace
}  // namespace sluice
