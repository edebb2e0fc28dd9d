// Thousands of VLANs of one device with a filter each, made and removed while
// packets flow; and a restore for each of 300 on one segment.
//
// SLUICE_TEST_PORTS says how many there are in place of the fewer that an
// ordinary run has.
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/transfer/restore_service.h"
#include "dataplane/workers/worker.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;

int PortCount(int usual) {
  const char* const text = std::getenv("SLUICE_TEST_PORTS");
  return text != nullptr ? std::atoi(text) : usual;
}

// KiB of this process.
uint64_t Resident() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    uint64_t kib = 0;
    if (word == "VmRSS:" && status >> kib) return kib;
  }
  return 0;
}

double Seconds(steady_clock::time_point since) {
  return std::chrono::duration<double>(steady_clock::now() - since).count();
}

class ManyPortsTest : public ::testing::Test {
 protected:
  ManyPortsTest() : plane_(Options()) {
    plane_.engine().LaunchByHand();
    plane_.Load("block all\npass all no state\n");
  }
  static TestPlaneOptions Options() {
    TestPlaneOptions options;
    options.may_hold = 6000;
    options.restore_clock = [] { return RestoreTime{1}; };  // none is late
    return options;
  }
  FilterRegistry& registry() { return plane_.engine().filters(); }
  void Turn() {
    plane_.engine().Round();
    plane_.engine().Poll(plane_.engine().Now());
  }
  template <typename Done>
  void TurnUntil(const Done& done) {
    const auto end = steady_clock::now() + std::chrono::minutes(10);
    while (!done()) {
      ASSERT_LT(steady_clock::now(), end) << "it does not come to that";
      Turn();
    }
  }
  // Port i is VLAN pair (1 + i / 1000, 1 + i % 1000).
  static PortSpec SpecOf(int i) {
    return {.name = absl::StrCat("v", i),
            .parent = "in",
            .vlan = static_cast<uint16_t>(1 + i / 1000),
            .inner_vlan = static_cast<uint16_t>(1 + i % 1000)};
  }
  void AddPort(PortSpec spec) {
    auto job = registry().BeginAddPort(std::move(spec));
    job->Build();
    const absl::Status status = job->Publish().status();
    ASSERT_TRUE(status.ok()) << status;
  }
  void AddFilter(FilterSpec spec, const std::string& rules) {
    if (!rules.empty()) {
      spec.ruleset = LoadRequest{};
      spec.ruleset->name = "rules";
      spec.ruleset->text = rules;
    }
    auto job = registry().BeginCreateFilter(std::move(spec));
    job->Build();
    const auto made = job->Publish();
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_FALSE(made->HasErrors());
  }
  void RemovePort(int i) {
    std::optional<absl::Status> removed;
    registry().RemovePort(SpecOf(i).name,
                          [&](absl::Status s) { removed = s; });
    TurnUntil([&] { return removed.has_value(); });
    ASSERT_TRUE(removed->ok()) << *removed;
  }
  void RemoveFilter(const std::string& name) {
    std::optional<absl::Status> removed;
    registry().DestroyFilter(name, [&](absl::Status s) { removed = s; });
    TurnUntil([&] { return removed.has_value(); });
    ASSERT_TRUE(removed->ok()) << *removed;
  }
  static std::string Tagged(int i, const std::string& text) {
    const PortSpec spec = SpecOf(i);
    return absl::StrCat(text, " qinq ", spec.vlan, " vlan ", spec.inner_vlan);
  }
  // A frame in that port's VLAN, to an UDP port.
  void Arrive(int i, int udp_port, const std::string& macs = "") {
    ASSERT_TRUE(plane_.port(0).Arrive(plane_.Make(Tagged(
        i, absl::StrCat("udp 10.0.0.2:1 > 10.0.0.1:", udp_port, " data 9 ",
                        macs)))));
  }

  TestPlane plane_;
};

// Each port's filter lets one UDP port pass, its own.
TEST_F(ManyPortsTest, HaveAFilterEach) {
  const int count = PortCount(400);
  // A wire for each pair of ports, 0 and 1, 2 and 3, ...
  const uint64_t before = Resident();
  auto start = steady_clock::now();
  for (int i = 0; i < count; ++i) {
    PortSpec spec = SpecOf(i);
    if (i % 2 == 1) spec.wire = SpecOf(i - 1).name;
    AddPort(std::move(spec));
    if (i % 16 == 0) Turn();
  }
  const uint64_t with_ports = Resident();
  std::printf("%d ports: %.1f s, %.2f KiB each\n", count, Seconds(start),
              static_cast<double>(with_ports - before) / count);
  start = steady_clock::now();
  for (int i = 0; i < count; ++i) {
    const std::string name = SpecOf(i).name;
    AddFilter({.name = name, .ports = {name}},
              absl::StrCat("block all\npass in on ", name,
                           " proto udp to port ", 10000 + i,
                           " no state\npass out on vlan proto udp no state\n"));
    if (i % 16 == 0) Turn();
  }
  std::printf("%d filters: %.1f s, %.2f KiB each\n", count, Seconds(start),
              static_cast<double>(Resident() - with_ports) / count);
  // As many in between as there are places in the ring.
  start = steady_clock::now();
  uint32_t sent = 0, passed = 0;
  for (int i = 0; i < count; ++i) {
    Arrive(i, 10000 + i);
    Arrive(i, 10000 + (i + 1) % count);
    ++sent;
    if (i % 64 == 63 || i == count - 1) {
      for (int round = 0; round < 8; ++round) Turn();
      while (rte_mbuf* mbuf = plane_.port(0).Leave()) {
        EXPECT_EQ(ReadTags(*mbuf).numbers.outer > 0, true);
        rte_pktmbuf_free(mbuf);
        ++passed;
      }
    }
  }
  EXPECT_EQ(passed, sent);
  EXPECT_EQ(plane_.Drops(DropReason::kMatch), sent);
  EXPECT_EQ(plane_.AllDrops(), sent);
  EXPECT_EQ(plane_.engine().InFlight(), 0u);
  std::printf("%u packets: %.1f s, %.2f KiB a filter in use\n", 2 * sent,
              Seconds(start),
              static_cast<double>(Resident() - with_ports) / count);
  // They go, and come again, while one pair has packets.
  start = steady_clock::now();
  for (int i = 2; i < count; ++i) {
    RemoveFilter(SpecOf(i).name);
    RemovePort(i);
    Arrive(0, 10000);
    Turn();
    EXPECT_EQ(plane_.port(0).Drain(), 1u) << i;
  }
  std::printf("removed: %.1f s, %.2f MiB remain\n", Seconds(start),
              static_cast<double>(Resident() - before) / 1024);
  AddPort(SpecOf(7));
  EXPECT_EQ(registry().Ports("", 10000).size(), 5u);  // in, out, v0, v1, v7
  EXPECT_EQ(plane_.engine().InFlight(), 0u);
}

// All on one segment, each with a restore under way, while frames to all and to
// single ones come.
TEST_F(ManyPortsTest, HaveARestoreEach) {
  const int count = std::min(PortCount(60), 300);
  ASSERT_TRUE(registry().AddSegment({.name = "lan"}).ok());
  const auto macs = [](int from, int to) {
    const auto mac = [](int host) {
      char text[18];
      std::snprintf(text, sizeof text, "00:53:00:00:%02x:%02x", host / 256,
                    host % 256);
      return std::string(text);
    };
    return absl::StrCat("ethsrc ", mac(from + 1), " ethdst ",
                        to < 0 ? "ff:ff:ff:ff:ff:ff" : mac(to + 1));
  };
  std::vector<uint8_t> snapshot;
  {
    UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
    std::optional<bool> exported;
    plane_.engine().restores().Export(
        "main", UniqueFd(::dup(file.get())), {},
        [&](absl::StatusOr<ExportReport> r) { exported = r.ok(); });
    TurnUntil([&] { return exported.has_value(); });
    ASSERT_TRUE(*exported);
    snapshot.resize(static_cast<size_t>(::lseek(file.get(), 0, SEEK_END)));
    ASSERT_EQ(::pread(file.get(), snapshot.data(), snapshot.size(), 0),
              static_cast<ssize_t>(snapshot.size()));
  }
  for (int i = 0; i < count; ++i) {
    PortSpec spec = SpecOf(i);
    spec.segment = "lan";
    AddPort(std::move(spec));
    Arrive(i, 53, macs(i, -1));
    Turn();
    plane_.port(0).Drain();
  }
  ASSERT_EQ(registry().Segments("", 10).at(0).known,
            static_cast<uint64_t>(count));
  for (int i = 1; i < count; ++i) {
    auto file = std::make_shared<UniqueFd>(::memfd_create("test", MFD_CLOEXEC));
    ASSERT_EQ(::write(file->get(), snapshot.data(), snapshot.size()),
              static_cast<ssize_t>(snapshot.size()));
    ::lseek(file->get(), 0, SEEK_SET);
    const std::string name = SpecOf(i).name;
    AddFilter({.name = name,
               .ports = {name},
               .expect_restore = true,
               .snapshot = std::move(file),
               .snapshot_name = "test",
               .from_filter = "main"},
              "");
    // To all who have none yet and to those whose restore waits, and to this
    // one.
    if (i % 16 == 0) Arrive(0, 53, macs(0, -1));
    Arrive(0, 53, macs(0, i));
    Turn();
    plane_.port(0).Drain();
  }
  const auto restored = [&] {
    plane_.port(0).Drain();
    for (const FilterListing& filter : registry().Filters("", 1000)) {
      if (filter.name == "main") continue;
      if (filter.status.state != RestoreState::kRestored ||
          filter.hold.waiting != 0) {
        return false;
      }
    }
    return true;
  };
  TurnUntil(restored);
  // Nobody waits any more, and frames go where they did.
  for (int round = 0; round < 4; ++round) Turn();
  plane_.port(0).Drain();
  Arrive(0, 53, macs(0, -1));
  Turn();
  EXPECT_EQ(plane_.port(0).Drain(), static_cast<uint32_t>(count - 1));
  uint64_t held = 0, replayed = 0, late = 0, refused = 0;
  for (const FilterListing& filter : registry().Filters("", 1000)) {
    held += filter.hold.held;
    replayed += filter.hold.replayed;
    late += filter.hold.dropped;
    refused += filter.hold.refused;
  }
  std::printf("%d restores, %lu packets held\n", count - 1,
              static_cast<unsigned long>(held));
  // On a slow machine some wait longer than packets may.
  EXPECT_EQ(held, replayed + late);
  EXPECT_GT(replayed, 0u);
  EXPECT_GE(held, static_cast<uint64_t>(count - 1) / 2);
  EXPECT_EQ(plane_.Drops(DropReason::kHeld), late + refused);
  // The first one of all was alone on the segment.
  EXPECT_EQ(plane_.Drops(DropReason::kSegmentLocal), 1u);
  EXPECT_EQ(plane_.AllDrops(), late + refused + 1);
  EXPECT_EQ(plane_.engine().InFlight(), 0u);
  EXPECT_EQ(plane_.pool().InUse(), 0u);
}

}  // namespace
}  // namespace sluice
