// The mirror of a real kernel's routes, in a network namespace of the test's
// own, which is changed by ip(8).
#include "dataplane/router/route_mirror.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr uint16_t kLan = 5, kWan = 9;

uint64_t Now() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

class RouteMirrorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "there can be no network namespace for its routes: that "
                      "takes root (CAP_SYS_ADMIN)";
    }
    Ip("link set lo up");
    MakeLink("lan");
    MakeLink("wan");
  }
  void TearDown() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
  }

  static void Ip(const std::string& arguments) {
    ASSERT_EQ(std::system(("ip " + arguments).c_str()), 0) << arguments;
  }
  // A cable with both ends here.
  static void MakeLink(const std::string& name) {
    Ip("link add " + name + " type veth peer name " + name + "-end");
    Ip("link set " + name + " up");
    Ip("link set " + name + "-end up");
  }
  // Many of them.
  static void Batch(size_t count,
                    const std::function<std::string(size_t)>& line) {
    const std::string path =
        "/tmp/sluice-batch-" + std::to_string(getpid());
    {
      std::ofstream file(path);
      for (size_t i = 0; i < count; ++i) file << line(i) << "\n";
    }
    Ip("-batch " + path);
    std::filesystem::remove(path);
  }

  void Start(RouteMirror::Options options = {}) {
    options.tables = &tables_;
    options.link_gone = [this](uint16_t port) {
      told_ += std::to_string(port) + " gone; ";
    };
    options.addresses_changed = [this](uint16_t port,
                                       std::span<const Prefix> addresses) {
      addresses_[port].assign(addresses.begin(), addresses.end());
    };
    auto socket = RouteMirror::OpenSocket();
    ASSERT_TRUE(socket.ok()) << socket.status().message();
    socket_ = socket->get();
    mirror_ = std::make_unique<RouteMirror>(*std::move(socket), options);
    mirror_->SetPort(if_nametoindex("lan"), kLan);
    mirror_->SetPort(if_nametoindex("wan"), kWan);
    ASSERT_TRUE(mirror_->Start(Now()).ok());
    Until([this] { return mirror_->synced(); }, 600);
  }
  // Follows the kernel until this holds.
  void Until(const std::function<bool()>& holds, int limit_s = 20) {
    const uint64_t end = Now() + static_cast<uint64_t>(limit_s) * 1000;
    while (true) {
      const bool more = mirror_->Step(Now());
      if (holds()) return;
      ASSERT_LT(Now(), end) << mirror_->statistics().last_error;
      if (more) continue;
      pollfd wait = {.fd = mirror_->descriptor(), .events = POLLIN,
                     .revents = 0};
      poll(&wait, 1, 100);
    }
  }
  void UntilGoes(const std::string& destination, const std::string& where) {
    Until([&] { return Go(destination) == where; });
    ASSERT_EQ(Go(destination), where);
  }
  std::string Go(const std::string& destination, uint32_t hash = 0) {
    const RouteAnswer answer = tables_.Find(*ParseAddress(destination), hash);
    static const char* const kNames[] = {"none",      "local",
                                         "",          "blackhole",
                                         "unreachable", "prohibit"};
    if (answer.type != RouteType::kForward) {
      return kNames[static_cast<int>(answer.type)];
    }
    return (answer.port == kLan ? "lan " : answer.port == kWan ? "wan " : "? ") +
           ToString(answer.next_hop);
  }
  std::vector<NextHop> HopsOf(const char* prefix) {
    const auto route = tables_.RouteOf(*ParsePrefix(prefix));
    return route.has_value() ? route->hops : std::vector<NextHop>();
  }

  // Another host behind lan, which becomes one end of a cable.
  void MakeHost() {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    child_ = fork();
    if (child_ == 0) {
      if (unshare(CLONE_NEWNET) != 0) _exit(1);
      [[maybe_unused]] const ssize_t written = write(ready[1], "x", 1);
      while (true) pause();
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    Ip("link del lan");
    Ip("link add lan type veth peer name there netns " +
       std::to_string(child_));
    Ip("link set lan up");
    There("ip link set lo up");
    There("ip link set there address 02:00:00:00:00:77 up");
    There("ip addr add 192.0.2.2/24 dev there");
    There("ip addr add 2001:db8::2/64 dev there nodad");
    Ip("addr add 192.0.2.1/24 dev lan");
    Ip("addr add 2001:db8::1/64 dev lan nodad");
  }
  void There(const std::string& command) {
    const std::string line =
        "nsenter -t " + std::to_string(child_) + " -n " + command;
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
  }

  RoutingTables tables_{{}};
  std::string told_;
  std::map<uint16_t, std::vector<Prefix>> addresses_;
  std::unique_ptr<RouteMirror> mirror_;
  int socket_ = -1;
  pid_t child_ = 0;
};

TEST_F(RouteMirrorTest, LinksAndAddresses) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("addr add 2001:db8::1/64 dev lan nodad");
  Start();
  EXPECT_EQ(Go("192.0.2.1"), "local");
  EXPECT_EQ(Go("192.0.2.255"), "local");
  EXPECT_EQ(Go("127.0.0.1"), "local");
  EXPECT_EQ(Go("192.0.2.7"), "lan 192.0.2.7");
  EXPECT_EQ(Go("2001:db8::1"), "local");
  EXPECT_EQ(Go("2001:db8::7"), "lan 2001:db8::7");
  EXPECT_EQ(Go("198.51.100.1"), "none");
  EXPECT_EQ(tables_.SourceAt(kLan, Family::kIpv4), *ParseAddress("192.0.2.1"));
  EXPECT_EQ(tables_.SourceAt(kLan, Family::kIpv6),
            *ParseAddress("2001:db8::1"));

  Ip("addr add 198.51.100.1/24 dev wan");
  UntilGoes("198.51.100.7", "wan 198.51.100.7");
  EXPECT_EQ(addresses_[kWan].front(), *ParsePrefix("198.51.100.1/24"));
  Ip("addr del 198.51.100.1/24 dev wan");
  UntilGoes("198.51.100.7", "none");
  UntilGoes("198.51.100.1", "none");

  // With the link its routes go, of which the kernel says nothing.
  Ip("route add 10.0.0.0/8 via 192.0.2.9");
  UntilGoes("10.1.1.1", "lan 192.0.2.9");
  Ip("link set lan down");
  UntilGoes("192.0.2.7", "none");
  UntilGoes("10.1.1.1", "none");
  Ip("link set lan up");
  UntilGoes("192.0.2.7", "lan 192.0.2.7");
  // The kernel has forgotten that one.
  UntilGoes("10.1.1.1", "none");
  Until([&] { return mirror_->statistics().dumps >= 2; });

  Ip("link del lan");
  Until([&] { return told_.find("5 gone; ") != std::string::npos; });
  UntilGoes("192.0.2.7", "none");
  UntilGoes("192.0.2.1", "none");
  EXPECT_TRUE(tables_.AddressesOf(kLan).empty());
  EXPECT_EQ(mirror_->statistics().malformed, 0u);
}

TEST_F(RouteMirrorTest, KindsOfRoutes) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("addr add 2001:db8::1/64 dev lan nodad");
  Ip("addr add 198.51.100.1/24 dev wan");
  Ip("route add blackhole 10.1.0.0/16");
  Ip("route add prohibit 10.2.0.0/16");
  Start();
  Ip("route add unreachable 10.3.0.0/16");
  Ip("route add 10.4.0.0/16 via inet6 fe80::9 dev lan");
  Ip("route add 10.5.0.0/16 nexthop via 192.0.2.9 weight 3 "
     "nexthop via 198.51.100.9 weight 1");
  Ip("-6 route add blackhole 2001:db8:1::/48");
  Ip("route add table 77 10.6.0.0/16 via 192.0.2.9");
  Ip("route add throw 10.7.0.0/16");
  Ip("route add 10.8.0.0/16 via 192.0.2.9 tos 0x10");
  Ip("route add 10.9.0.0/16 via 192.0.2.9");
  UntilGoes("10.9.1.1", "lan 192.0.2.9");
  EXPECT_EQ(Go("10.1.1.1"), "blackhole");
  EXPECT_EQ(Go("10.2.1.1"), "prohibit");
  EXPECT_EQ(Go("10.3.1.1"), "unreachable");
  EXPECT_EQ(Go("10.4.1.1"), "lan fe80::9");
  EXPECT_EQ(HopsOf("10.5.0.0/16"),
            (std::vector<NextHop>{
                {.port = kLan, .gateway = *ParseAddress("192.0.2.9"),
                 .weight = 3},
                {.port = kWan, .gateway = *ParseAddress("198.51.100.9")}}));
  EXPECT_EQ(Go("2001:db8:1::1"), "blackhole");
  EXPECT_EQ(Go("10.6.1.1"), "none");
  EXPECT_EQ(Go("10.7.1.1"), "unreachable");
  EXPECT_EQ(Go("10.8.1.1"), "none");
  // Of two ways one is down.
  Ip("link set wan down");
  Until([&] { return HopsOf("10.5.0.0/16").size() == 1; });
  EXPECT_EQ(Go("10.5.1.1"), "lan 192.0.2.9");
  Ip("route del 10.1.0.0/16");
  UntilGoes("10.1.1.1", "none");
}

TEST_F(RouteMirrorTest, TheLowestMetricWins) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("addr add 198.51.100.1/24 dev wan");
  Start();
  Ip("route add 10.0.0.0/8 via 198.51.100.9 metric 20");
  UntilGoes("10.1.1.1", "wan 198.51.100.9");
  Ip("route add 10.0.0.0/8 via 192.0.2.9 metric 10");
  UntilGoes("10.1.1.1", "lan 192.0.2.9");
  Ip("route add 10.0.0.0/8 via 192.0.2.8 metric 30");
  Ip("route change 10.0.0.0/8 via 192.0.2.7 metric 10");
  UntilGoes("10.1.1.1", "lan 192.0.2.7");
  // Another one of the same metric stands behind it, or before.
  Ip("route append 10.0.0.0/8 via 192.0.2.6 metric 10");
  Ip("route prepend 10.0.0.0/8 via 192.0.2.5 metric 10");
  UntilGoes("10.1.1.1", "lan 192.0.2.5");
  Ip("route del 10.0.0.0/8 via 192.0.2.5");
  UntilGoes("10.1.1.1", "lan 192.0.2.7");
  Ip("route del 10.0.0.0/8 via 192.0.2.7");
  UntilGoes("10.1.1.1", "lan 192.0.2.6");
  // A link that is down gives way to the next one.
  Ip("route del 10.0.0.0/8 via 192.0.2.8");
  Ip("link set lan down");
  UntilGoes("10.1.1.1", "wan 198.51.100.9");
  Ip("route del 10.0.0.0/8 metric 20");
  UntilGoes("10.1.1.1", "none");
}

TEST_F(RouteMirrorTest, HopsOfIpv6ComeAndGoOneByOne) {
  Ip("addr add 2001:db8:a::1/64 dev lan nodad");
  Ip("addr add 2001:db8:b::1/64 dev wan nodad");
  Start();
  Ip("-6 route add 2001:db8:1::/48 via 2001:db8:a::9");
  UntilGoes("2001:db8:1::1", "lan 2001:db8:a::9");
  Ip("-6 route append 2001:db8:1::/48 via 2001:db8:b::9");
  Until([&] { return HopsOf("2001:db8:1::/48").size() == 2; });
  Ip("-6 route append 2001:db8:1::/48 via 2001:db8:b::8");
  Until([&] { return HopsOf("2001:db8:1::/48").size() == 3; });
  Ip("-6 route del 2001:db8:1::/48 via 2001:db8:b::9");
  Until([&] { return HopsOf("2001:db8:1::/48").size() == 2; });
  Ip("-6 route replace 2001:db8:1::/48 via 2001:db8:b::7");
  Until([&] { return HopsOf("2001:db8:1::/48").size() == 1; });
  UntilGoes("2001:db8:1::1", "wan 2001:db8:b::7");
  Ip("-6 route del 2001:db8:1::/48");
  UntilGoes("2001:db8:1::1", "none");
  Ip("-6 route add 2001:db8:2::/48 nexthop via 2001:db8:a::9 weight 2 "
     "nexthop via 2001:db8:b::9");
  Until([&] { return HopsOf("2001:db8:2::/48").size() == 2; });
  EXPECT_EQ(HopsOf("2001:db8:2::/48")[0].weight, 2);
  Ip("-6 route del 2001:db8:2::/48");
  UntilGoes("2001:db8:2::1", "none");
}

TEST_F(RouteMirrorTest, NextHopObjects) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("addr add 198.51.100.1/24 dev wan");
  Ip("nexthop add id 1 via 192.0.2.9 dev lan");
  Ip("nexthop add id 2 via 198.51.100.9 dev wan");
  Ip("nexthop add id 3 group 1,3/2,1");
  Ip("route add 10.1.0.0/16 nhid 1");
  Ip("route add 10.3.0.0/16 nhid 3");
  Start();
  EXPECT_EQ(Go("10.1.1.1"), "lan 192.0.2.9");
  ASSERT_EQ(HopsOf("10.3.0.0/16").size(), 2u);
  EXPECT_EQ(HopsOf("10.3.0.0/16")[0].weight, 3);
  // What an object is changes without its routes.
  Ip("nexthop replace id 1 via 192.0.2.8 dev lan");
  UntilGoes("10.1.1.1", "lan 192.0.2.8");
  Ip("nexthop replace id 3 group 2");
  UntilGoes("10.3.1.1", "wan 198.51.100.9");
  Ip("nexthop add id 4 blackhole");
  Ip("route add 10.4.0.0/16 nhid 4");
  UntilGoes("10.4.1.1", "blackhole");
  // With an object its routes go.
  Ip("nexthop del id 1");
  UntilGoes("10.1.1.1", "none");
  Ip("route del 10.3.0.0/16");
  UntilGoes("10.3.1.1", "none");
}

// The kernel takes routes out with their next hop object, and objects with a
// carrier, and tells of neither.
TEST_F(RouteMirrorTest, RoutesOfAnObjectDoNotComeBackWithIt) {
  MakeHost();
  Start();
  for (const bool by_carrier : {false, true}) {
    SCOPED_TRACE(by_carrier);
    Ip("nexthop add id 1 via 192.0.2.9 dev lan");
    Ip("route add 10.1.0.0/16 nhid 1");
    UntilGoes("10.1.1.1", "lan 192.0.2.9");
    if (by_carrier) {
      There("ip link set there down");
      UntilGoes("10.1.1.1", "none");
      There("ip link set there up");
    } else {
      Ip("nexthop del id 1");
      UntilGoes("10.1.1.1", "none");
    }
    UntilGoes("192.0.2.7", "lan 192.0.2.7");
    // The kernel does not have it any more, and in the end neither does the
    // mirror.
    Ip("nexthop add id 1 via 192.0.2.9 dev lan");
    Ip("route add 10.2.0.0/16 nhid 1");
    UntilGoes("10.2.1.1", "lan 192.0.2.9");
    UntilGoes("10.1.1.1", "none");
    EXPECT_FALSE(tables_.RouteOf(*ParsePrefix("10.1.0.0/16")).has_value());
    Ip("nexthop del id 1");
    UntilGoes("10.2.1.1", "none");
    // Whatever was remembered would be there by now.
    const uint64_t dumps = mirror_->statistics().dumps;
    Until([&] { return mirror_->statistics().dumps > dumps; });
    EXPECT_EQ(Go("10.1.1.1"), "none");
  }
}

TEST_F(RouteMirrorTest, WhatIsNoPortIsNotFollowed) {
  Ip("addr add 198.51.100.1/24 dev wan");
  Ip("route add default via 198.51.100.9");
  MakeLink("other");
  Ip("addr add 203.0.113.1/24 dev other");
  Ip("route add 10.0.0.0/8 via 203.0.113.9 metric 7");
  Start();
  // Not by the default route.
  EXPECT_EQ(Go("10.1.1.1"), "unreachable");
  EXPECT_EQ(Go("203.0.113.7"), "unreachable");
  EXPECT_EQ(Go("203.0.113.1"), "local");
  EXPECT_EQ(Go("9.9.9.9"), "wan 198.51.100.9");
  const std::vector<Prefix> list = mirror_->Skipped({}, 100);
  ASSERT_GE(list.size(), 2u);
  EXPECT_EQ(list[0], *ParsePrefix("10.0.0.0/8"));
  EXPECT_EQ(list[1], *ParsePrefix("203.0.113.0/24"));
  EXPECT_EQ(mirror_->statistics().routes_skipped, list.size());
  // It becomes one, and is none again.
  mirror_->SetPort(if_nametoindex("other"), kLan);
  UntilGoes("10.1.1.1", "lan 203.0.113.9");
  EXPECT_EQ(addresses_[kLan].front(), *ParsePrefix("203.0.113.1/24"));
  mirror_->RemovePort(kLan);
  UntilGoes("10.1.1.1", "unreachable");
  EXPECT_TRUE(tables_.AddressesOf(kLan).empty());
  Ip("route del 10.0.0.0/8");
  UntilGoes("10.1.1.1", "wan 198.51.100.9");
}

TEST_F(RouteMirrorTest, NeighborsAsTheKernelKnowsThem) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev lan nud permanent");
  Start();
  MacAddress mac{};
  const Address seven = *ParseAddress("192.0.2.7");
  const Address six = *ParseAddress("fe80::7");
  EXPECT_EQ(tables_.FindNeighbor(kLan, seven, &mac), NeighborState::kKnown);
  EXPECT_EQ(mac, (MacAddress{2, 0, 0, 0, 0, 7}));
  Ip("neigh add fe80::7 lladdr 02:00:00:00:00:08 dev lan nud reachable");
  Until([&] {
    return tables_.FindNeighbor(kLan, six, &mac) == NeighborState::kKnown;
  });
  Ip("neigh change 192.0.2.7 lladdr 02:00:00:00:00:09 dev lan nud permanent");
  Until([&] {
    tables_.FindNeighbor(kLan, seven, &mac);
    return mac[5] == 9;
  });
  Ip("neigh del 192.0.2.7 dev lan");
  Until([&] {
    return tables_.FindNeighbor(kLan, seven, &mac) != NeighborState::kKnown;
  });
}

TEST_F(RouteMirrorTest, AsksTheKernelForNeighbors) {
  MakeHost();
  // Soon old, and soon asked for when it is; not so soon that the kernel itself
  // still takes it for used (half of the time until then may be all).
  for (const std::string family : {"ipv4", "ipv6"}) {
    const std::string folder = "/proc/sys/net/" + family + "/neigh/lan/";
    std::ofstream(folder + "base_reachable_time_ms") << 3000;
    std::ofstream(folder + "delay_first_probe_time") << 1;
    std::ofstream(folder + "retrans_time_ms") << 200;
  }
  Start();
  // The carrier of a new link may come late.
  UntilGoes("192.0.2.2", "lan 192.0.2.2");
  const Address four = *ParseAddress("192.0.2.2");
  const Address six = *ParseAddress("2001:db8::2");
  const Address nobody = *ParseAddress("192.0.2.99");
  MacAddress mac{};
  EXPECT_FALSE(mirror_->Ask({.port = 77, .address = four}, Now()));
  EXPECT_FALSE(mirror_->Ask(
      {.port = kLan, .address = *ParseAddress("224.0.0.1")}, Now()));
  for (const Address& address : {four, six, nobody}) {
    ASSERT_TRUE(mirror_->Ask({.port = kLan, .address = address}, Now()));
    EXPECT_EQ(tables_.FindNeighbor(kLan, address, &mac),
              NeighborState::kPending);
    ASSERT_TRUE(mirror_->Ask({.port = kLan, .address = address}, Now()));
  }
  for (const Address& address : {four, six}) {
    SCOPED_TRACE(ToString(address));
    // As workers do, again if there was no answer.
    Until([&] {
      if (tables_.FindNeighbor(kLan, address, &mac) == NeighborState::kKnown) {
        return true;
      }
      mirror_->Ask({.port = kLan, .address = address}, Now());
      return false;
    });
    EXPECT_EQ(mac, (MacAddress{2, 0, 0, 0, 0, 0x77}));
  }
  {
    SCOPED_TRACE("nobody");
    Until([&] {
      return tables_.FindNeighbor(kLan, nobody, &mac) ==
             NeighborState::kFailed;
    });
  }
  EXPECT_GE(mirror_->statistics().questions, 3u);

  // Nobody sends anything, and what workers use is confirmed all the same: the
  // host gets another link address, without saying so. It does not answer at
  // the old one any more, and is asked for again as workers do it.
  There("ip link set there address 02:00:00:00:00:78");
  Until([&] {
    if (tables_.FindNeighbor(kLan, four, &mac) != NeighborState::kKnown) {
      mirror_->Ask({.port = kLan, .address = four}, Now());
    }
    return mac[5] == 0x78;
  });
  EXPECT_GE(mirror_->statistics().refreshed, 1u);
}

// A receive buffer that is too small for what happens while nobody looks.
TEST_F(RouteMirrorTest, GapsAreMended) {
  Ip("addr add 192.0.2.1/24 dev lan");
  Start();
  const int small = 4096;
  ASSERT_EQ(setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small),
            0);
  constexpr size_t kRoutes = 3000;
  const auto line = [](const char* verb, size_t i) {
    return std::string("route ") + verb + " 10." + std::to_string(i / 250) +
           "." + std::to_string(i % 250) + ".0/24 via 192.0.2.9";
  };
  Batch(kRoutes, [&](size_t i) { return line("add", i); });
  mirror_->Step(Now());
  EXPECT_GE(mirror_->statistics().gaps, 1u);
  EXPECT_FALSE(mirror_->synced());
  Until([&] { return mirror_->synced(); });
  for (size_t i = 0; i < kRoutes; ++i) {
    const std::string to = "10." + std::to_string(i / 250) + "." +
                           std::to_string(i % 250) + ".1";
    ASSERT_EQ(Go(to), "lan 192.0.2.9") << to;
  }
  const uint64_t gaps = mirror_->statistics().gaps;
  Batch(kRoutes, [&](size_t i) { return line("del", i); });
  Until([&] {
    return mirror_->statistics().gaps > gaps && mirror_->synced();
  });
  for (size_t i = 0; i < kRoutes; ++i) {
    const std::string to = "10." + std::to_string(i / 250) + "." +
                           std::to_string(i % 250) + ".1";
    ASSERT_EQ(Go(to), "none") << to;
  }
}

// A full table: loaded from the kernel, and flapped. 20 000 routes, or a
// million where there is time (SLUICE_LONG).
TEST_F(RouteMirrorTest, LoadsAFullTable) {
  const bool full = std::getenv("SLUICE_LONG") != nullptr;
  const size_t routes = full ? 1'000'000 : 20'000;
  Ip("addr add 192.0.2.1/24 dev lan");
  Ip("addr add 198.51.100.1/24 dev wan");
  const auto prefix = [](size_t i) {
    return std::to_string(1 + i / 65536) + "." +
           std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + ".";
  };
  const auto line = [&](const char* verb, size_t i, const char* gateway) {
    return std::string("route ") + verb + " " + prefix(i) + "0/24 via " +
           gateway;
  };
  Batch(routes, [&](size_t i) { return line("add", i, "192.0.2.9"); });
  const uint64_t began = Now();
  Start();
  const uint64_t loaded = Now();
  ASSERT_TRUE(mirror_->synced());
  EXPECT_GE(mirror_->statistics().routes, routes);
  for (size_t i = 0; i < routes; i += 97) {
    ASSERT_EQ(Go(prefix(i) + "5"), "lan 192.0.2.9") << i;
  }
  // Each goes, and comes back by another way.
  Batch(routes, [&](size_t i) {
    return line("change", i, i % 2 == 0 ? "198.51.100.9" : "192.0.2.8");
  });
  const uint64_t flap = Now();
  Until([&] { return Go(prefix(routes - 1) + "5") == "lan 192.0.2.8"; }, 600);
  Until([&] { return mirror_->synced(); }, 600);
  const uint64_t flapped = Now();
  for (size_t i = 0; i < routes; i += 97) {
    ASSERT_EQ(Go(prefix(i) + "5"),
              i % 2 == 0 ? "wan 198.51.100.9" : "lan 192.0.2.8")
        << i;
  }
  const size_t bytes = tables_.memory() + mirror_->memory();
  // A link goes with half of them.
  Ip("link set wan down");
  const uint64_t down = Now();
  Until([&] { return tables_.route_count() < routes / 2 + 100; }, 600);
  const uint64_t gone = Now();
  std::printf("%zu routes: loaded in %zu ms, changed in %zu ms, half of them "
              "gone with a link in %zu ms; %zu MiB (tables %zu)\n",
              routes, static_cast<size_t>(loaded - began),
              static_cast<size_t>(flapped - flap),
              static_cast<size_t>(gone - down), bytes >> 20,
              tables_.memory() >> 20);
  RecordProperty("gaps", static_cast<int>(mirror_->statistics().gaps));
}

}  // namespace
}  // namespace sluice
