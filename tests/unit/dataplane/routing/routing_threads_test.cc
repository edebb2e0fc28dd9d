// Workers that read while the writer changes what they read.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

constexpr int kReaders = 3;
constexpr uint16_t kPorts = 8;

// A grace period ends when each reader has come by since it began.
class Grace {
 public:
  void Retire(std::function<void()> free) {
    Waiting waiting{.free = std::move(free), .rounds = {}};
    for (int i = 0; i < kReaders; ++i) waiting.rounds[i] = rounds_[i].load();
    waiting_.push_back(std::move(waiting));
  }
  void Poll() {
    std::erase_if(waiting_, [&](const Waiting& waiting) {
      for (int i = 0; i < kReaders; ++i) {
        if (rounds_[i].load() <= waiting.rounds[i] + 1) return false;
      }
      waiting.free();
      ++freed_;
      return true;
    });
  }
  void ComeBy(int reader) { ++rounds_[reader]; }
  size_t freed() const { return freed_; }

 private:
  struct Waiting {
    std::function<void()> free;
    std::array<uint64_t, kReaders> rounds;
  };
  std::array<std::atomic<uint64_t>, kReaders> rounds_{};
  std::vector<Waiting> waiting_;
  size_t freed_ = 0;
};

// Every gateway is at a link address that tells its port and itself.
MacAddress MacOf(uint16_t port, uint8_t last) {
  return {2, 0, 0, static_cast<uint8_t>(port), 0, last};
}

TEST(RoutingThreadsTest, ReadersSeeWholeAnswers) {
  Grace grace;
  RoutingTables tables({.retire = [&grace](std::function<void()> free) {
    grace.Retire(std::move(free));
  }});
  // Always there, whatever else comes and goes below it.
  ASSERT_TRUE(tables
                  .SetRoute({.prefix = *ParsePrefix("0.0.0.0/0"),
                             .hops = {{.port = 0}}})
                  .ok());
  ASSERT_TRUE(tables
                  .SetRoute({.prefix = *ParsePrefix("::/0"),
                             .hops = {{.port = 0}}})
                  .ok());
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> looked = 0, known = 0;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      std::mt19937_64 random(reader);
      while (!stop) {
        grace.ComeBy(reader);
        for (int i = 0; i < 32; ++i) {
          const uint64_t some = random();
          Address to = Address::V4(0x0a000000 | (some & 0x0003ffff));
          if ((some >> 40 & 1) != 0) {
            to = *ParseAddress("2001:db8::");
            to.bytes[5] = static_cast<uint8_t>(some);
            to.bytes[15] = static_cast<uint8_t>(some >> 8);
          }
          const RouteAnswer answer =
              tables.Find(to, static_cast<uint32_t>(some >> 32));
          if (answer.type != RouteType::kForward) {
            ADD_FAILURE() << "no route to " << ToString(to);
            stop = true;
            break;
          }
          // Gateways of port n are 192.0.n.x.
          if (answer.neighbor != 0 &&
              answer.next_hop.bytes[2] != answer.port) {
            ADD_FAILURE() << ToString(answer.next_hop) << " by port "
                          << answer.port;
            stop = true;
          }
          MacAddress mac{};
          if (tables.FindNeighbor(answer, &mac) == NeighborState::kKnown) {
            ++known;
            EXPECT_EQ(mac, MacOf(answer.port, answer.next_hop.bytes[3]));
          }
          const uint16_t port = some >> 50 & 7;
          const Address source = tables.SourceAt(port, Family::kIpv4);
          if (source.family != Family::kNone) {
            EXPECT_EQ(source.bytes[3], port);
          }
          tables.LeadsTo(to, port);
          ++looked;
        }
      }
    });
  }
  std::mt19937_64 random(99);
  for (int step = 0; step < 20'000 || looked < 20'000; ++step) {
    if (stop) break;
    grace.Poll();
    const uint64_t some = random();
    Prefix prefix;
    if ((some & 1) != 0) {
      prefix = {Address::V4(0x0a000000 | (some >> 8 & 0x0003ffff)),
                static_cast<uint8_t>(8 + (some >> 40) % 25)};
    } else {
      prefix = {*ParseAddress("2001:db8::"),
                static_cast<uint8_t>(8 + (some >> 40) % 121)};
      prefix.address.bytes[5] = static_cast<uint8_t>(some >> 8);
      prefix.address.bytes[15] = static_cast<uint8_t>(some >> 16);
    }
    prefix = prefix.Masked();
    const auto port = static_cast<uint16_t>((some >> 33) % kPorts);
    const auto last = static_cast<uint8_t>(some >> 36 & 3);
    const auto gateway = [](uint16_t of, uint8_t number) {
      return Address::V4(0xc0000000u | uint32_t{of} << 8 | number);
    };
    switch ((some >> 56) % 8) {
      case 0:
      case 1:
      case 2: {
        Route route{.prefix = prefix,
                    .hops = {{.port = port, .gateway = gateway(port, last)}}};
        for (uint64_t more = some >> 59 & 3; more > 0; --more) {
          const auto other = static_cast<uint16_t>((port + more) % kPorts);
          route.hops.push_back(
              {.port = other, .gateway = gateway(other, last)});
        }
        ASSERT_TRUE(tables.SetRoute(route).ok());
        break;
      }
      case 3:
      case 4:
        tables.RemoveRoute(prefix);
        break;
      case 5:
        ASSERT_TRUE(tables
                        .SetNeighbor(port, gateway(port, last),
                                     NeighborState::kKnown,
                                     MacOf(port, last))
                        .ok());
        break;
      case 6:
        tables.RemoveNeighbor(port, gateway(port, last));
        break;
      case 7:
        if ((some >> 60 & 1) != 0) {
          tables.SetAddresses(
              port, std::vector<Prefix>{{Address::V4(0xc6336400u | port), 24}});
        } else {
          tables.SetAddresses(port, {});
        }
        break;
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(known, 0u);
  EXPECT_GT(grace.freed(), 0u);
}

}  // namespace
}  // namespace sluice
