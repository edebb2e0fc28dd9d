// Random frames on a segment of a simulation, against a map of addresses: which
// ports a frame leaves by, and which it does not.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/replay/simulation.h"
#include "packet/frame_tags.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint32_t kAge = 5000;
constexpr int kSteps = 4000;

// What a switch is to do, one frame after the other.
class Model {
 public:
  struct Options {
    uint16_t ports = 0;
    uint32_t per_port = 0;
    bool flood_unknown = true, flood_multicast = true, flood_broadcast = true;
  };
  explicit Model(const Options& options) : options_(options) {}

  void Fix(LinkAddress mac, uint16_t port) {
    hosts_[mac] = {.port = port, .fixed = true};
  }
  // The ports that a frame leaves by.
  std::set<uint16_t> Cross(uint16_t from, LinkAddress source, LinkAddress to,
                           uint64_t now, const std::vector<bool>& up) {
    for (auto host = hosts_.begin(); host != hosts_.end();) {
      const bool old =
          !host->second.fixed && now - host->second.heard >= kAge;
      host = old ? hosts_.erase(host) : std::next(host);
    }
    if (source.IsGroup() || source.value == 0) return {};
    const auto known = hosts_.find(source);
    if (known != hosts_.end() && known->second.fixed &&
        known->second.port != from) {
      return {};
    }
    if (known == hosts_.end() || known->second.port != from) {
      if (HasRoom(from)) hosts_[source] = {.port = from, .heard = now};
    } else if (now - known->second.heard >= 1000) {
      known->second.heard = now;
    }
    const auto found = hosts_.find(to);
    if (to.IsReserved()) return {};
    if (!to.IsGroup() && to.value != 0 && found != hosts_.end()) {
      const uint16_t port = found->second.port;
      if (port == from || !up[port]) return {};
      return {port};
    }
    const bool floods = to.IsBroadcast() ? options_.flood_broadcast
                        : to.IsGroup()   ? options_.flood_multicast
                                         : options_.flood_unknown;
    std::set<uint16_t> all;
    for (uint16_t port = 0; floods && port < options_.ports; ++port) {
      if (port != from && up[port]) all.insert(port);
    }
    return all;
  }

 private:
  struct Host {
    uint16_t port = 0;
    bool fixed = false;
    uint64_t heard = 0;
  };
  bool HasRoom(uint16_t port) const {
    if (options_.per_port == 0) return true;
    uint32_t count = 0;
    for (const auto& [mac, host] : hosts_) {
      count += !host.fixed && host.port == port ? 1 : 0;
    }
    return count < options_.per_port;
  }

  const Options options_;
  std::map<LinkAddress, Host> hosts_;
};

LinkAddress RandomMac(std::mt19937_64& random) {
  switch (random() % 24) {
    case 0:
      return {.value = LinkAddress::kMask};
    case 1:
      return *ParseLinkAddress("01:00:5e:00:00:fb");
    case 2:
      return *ParseLinkAddress("01:80:c2:00:00:0e");
    case 3:
      return {};
    default:
      return {.value = 0x020000005300 | (random() % 12) << 40};
  }
}

void RunOne(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto ports = static_cast<uint16_t>(2 + random() % 6);
  const bool vlans = random() % 2 == 0;
  Model::Options options = {.ports = ports,
                            .per_port = random() % 3 == 0 ? 3u : 0u,
                            .flood_unknown = random() % 4 != 0,
                            .flood_multicast = random() % 4 != 0,
                            .flood_broadcast = random() % 4 != 0};
  Model model(options);
  MbufPool pool(1023);
  SimulationOptions simulated{.pool = pool.get(), .seed = seed};
  SimulatedSegment segment{.flood_unknown = options.flood_unknown,
                           .flood_multicast = options.flood_multicast,
                           .flood_broadcast = options.flood_broadcast,
                           .macs = {.capacity = 1024,
                                    .age = kAge,
                                    .per_port = options.per_port,
                                    .seed = seed}};
  for (uint16_t port = 0; port < ports; ++port) {
    simulated.ports.push_back({.name = "p" + std::to_string(port)});
    segment.ports.push_back(port);
    if (!vlans) continue;
    simulated.ports.back().parent = ports;
    simulated.ports.back().tags = {
        .outer = static_cast<uint16_t>(100 + port),
        .inner = static_cast<uint16_t>(port % 2 == 0 ? 0 : 7)};
  }
  if (vlans) simulated.ports.push_back({.name = "uplink"});
  if (random() % 2 == 0) {
    const LinkAddress fixed = {.value = 0x020000005300};
    segment.fixed.emplace_back(fixed, uint16_t{1});
    model.Fix(fixed, 1);
  }
  simulated.segments.push_back(segment);
  auto simulation = Simulation::Build(simulated);
  ASSERT_TRUE(simulation.ok());
  Simulation& s = **simulation;
  std::vector<bool> up(ports, true);
  uint64_t now = 0;
  const std::vector<uint8_t> plain =
      FrameFromText("udp 10.0.0.2:1 > 10.0.0.1:2 data 20");

  for (int step = 0; step < kSteps; ++step) {
    if (random() % 10 == 0) {
      const uint64_t milliseconds = 250 * (random() % 12);
      s.Advance(milliseconds);
      now += milliseconds;
    }
    if (random() % 50 == 0) {
      const size_t port = random() % ports;
      up[port] = !up[port];
      s.SetLink(static_cast<uint16_t>(port), up[port]);
    }
    // Those of a burst are learnt in order.
    PacketBurst burst;
    const auto from = static_cast<uint16_t>(random() % ports);
    std::map<uint16_t, std::vector<std::vector<uint8_t>>> expected;
    const size_t count = 1 + random() % 8;
    for (size_t i = 0; i < count; ++i) {
      const LinkAddress to = RandomMac(random);
      const LinkAddress source = RandomMac(random);
      std::vector<uint8_t> frame = plain;
      for (size_t byte = 0; byte < 6; ++byte) {
        frame[byte] = static_cast<uint8_t>(to.value >> 8 * byte);
        frame[6 + byte] = static_cast<uint8_t>(source.value >> 8 * byte);
      }
      frame.back() = static_cast<uint8_t>(i);
      frame[40] = frame[41] = 0;  // no checksum
      rte_mbuf* const mbuf = pool.Make(frame);
      if (vlans) {
        ASSERT_TRUE(PushTags(*mbuf, simulated.ports[from].tags));
      }
      burst.mbufs[burst.count++] = mbuf;
      for (const uint16_t port : model.Cross(from, source, to, now, up)) {
        expected[port].push_back(frame);
      }
    }
    std::map<uint16_t, std::vector<std::vector<uint8_t>>> left;
    s.Deliver(vlans ? ports : from, burst, [&](uint16_t port, rte_mbuf* mbuf) {
      if (vlans) {
        EXPECT_EQ(ReadTags(*mbuf).numbers, simulated.ports[port].tags);
        EXPECT_TRUE(PopTags(*mbuf, simulated.ports[port].tags.count()));
      }
      left[port].push_back(BytesOf(mbuf));
      rte_pktmbuf_free(mbuf);
    });
    // Frames that go different ways may overtake each other.
    for (auto* frames : {&left, &expected}) {
      for (auto& [port, some] : *frames) std::sort(some.begin(), some.end());
    }
    ASSERT_EQ(left, expected) << "seed " << seed << ", step " << step;
    ASSERT_EQ(pool.InUse(), 0u);
  }
}

TEST(SegmentProperty, LeavesByThePortsThatAMapSays) {
  for (uint64_t seed = 1; seed <= 40 && !::testing::Test::HasFailure();
       ++seed) {
    RunOne(seed);
  }
}

}  // namespace
}  // namespace sluice
