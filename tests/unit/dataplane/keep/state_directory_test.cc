// The manifest of a state directory: what was written, and what nobody wrote.
#include "dataplane/keep/state_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "restore/snapshot_digest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

std::vector<ManifestEntry> TwoFilters() {
  ManifestEntry plain;
  plain.spec.name = "main";
  plain.id = {1, 2, 3};
  ManifestEntry full;
  full.id.fill(0xfe);
  full.spec.name = "vm-1:web.x_y";
  full.spec.ports = {"tap1", "tap2"};
  full.spec.expect_restore = true;
  full.spec.source = "/var/lib/\"a\"\\b\n";
  full.spec.fail_policy = FailPolicy::kOpen;
  full.spec.bypass_hold = false;
  full.spec.emergency =
      LoadRequest{.name = "emergency.conf",
                  .text = "block\n# \xc3\xa9 \\ \"\n",
                  .files = {{.name = "a", .text = "192.0.2.1\n"},
                            {.name = "b", .text = "2001:db8::1\n"}},
                  .macros = {{"m", "v"}},
                  .dialect = Dialect::kFreeBsd};
  return {plain, full};
}

// The line with the digest that it should have.
std::string Sealed(const std::string& line) {
  const std::string text = line + "\n";
  const SnapshotDigest digest = DigestOf(
      {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return text +
         absl::BytesToHexString(absl::string_view(
             reinterpret_cast<const char*>(digest.data()), digest.size())) +
         "\n";
}

TEST(ManifestTest, ComesBackAsItWas) {
  const auto read = ParseManifest(FormatManifest(TwoFilters()));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(2));
  const ManifestEntry& plain = (*read)[0];
  EXPECT_EQ(plain.spec.name, "main");
  EXPECT_EQ(plain.id, TwoFilters()[0].id);
  EXPECT_THAT(plain.spec.ports, IsEmpty());
  EXPECT_FALSE(plain.spec.expect_restore);
  EXPECT_TRUE(plain.spec.bypass_hold);
  EXPECT_EQ(plain.spec.fail_policy, FailPolicy::kClosed);
  EXPECT_FALSE(plain.spec.emergency.has_value());
  const ManifestEntry& full = (*read)[1];
  const FilterSpec wanted = TwoFilters()[1].spec;
  EXPECT_EQ(full.spec.name, wanted.name);
  EXPECT_EQ(full.id, TwoFilters()[1].id);
  EXPECT_THAT(full.spec.ports, ElementsAre("tap1", "tap2"));
  EXPECT_TRUE(full.spec.expect_restore);
  EXPECT_EQ(full.spec.source, wanted.source);
  EXPECT_FALSE(full.spec.bypass_hold);
  EXPECT_EQ(full.spec.fail_policy, FailPolicy::kOpen);
  ASSERT_TRUE(full.spec.emergency.has_value());
  EXPECT_EQ(full.spec.emergency->name, "emergency.conf");
  EXPECT_EQ(full.spec.emergency->text, wanted.emergency->text);
  ASSERT_THAT(full.spec.emergency->files, SizeIs(2));
  EXPECT_EQ(full.spec.emergency->files[1].name, "b");
  EXPECT_EQ(full.spec.emergency->files[1].text, "2001:db8::1\n");
  EXPECT_THAT(full.spec.emergency->macros, ElementsAre(Pair("m", "v")));
  EXPECT_EQ(full.spec.emergency->dialect, Dialect::kFreeBsd);
  EXPECT_EQ(FormatManifest(*read), FormatManifest(TwoFilters()));
  const auto none = ParseManifest(FormatManifest({}));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(*none, IsEmpty());
}

// Told to fail closed, it may be told to fail open again.
TEST(ManifestTest, TheEmergencyRulesetOfOneThatFailsClosedComesBack) {
  std::vector<ManifestEntry> filters = TwoFilters();
  filters[1].spec.fail_policy = FailPolicy::kClosed;
  const auto read = ParseManifest(FormatManifest(filters));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(2));
  const FilterSpec& closed = (*read)[1].spec;
  EXPECT_EQ(closed.fail_policy, FailPolicy::kClosed);
  ASSERT_TRUE(closed.emergency.has_value());
  EXPECT_EQ(closed.emergency->text, filters[1].spec.emergency->text);
  EXPECT_EQ(FormatManifest(*read), FormatManifest(filters));
}

TEST(ManifestTest, PortsComeBackAsTheyWere) {
  const PortSpec full = {.name = "vm1",
                         .device = "net_vhost0,iface=/run/\"a\".sock",
                         .wire = "up",
                         .groups = {"vms", "dmz"},
                         .addresses = {*ParsePrefix("192.0.2.1/24"),
                                       *ParsePrefix("2001:db8::1/64")},
                         .queues = 3,
                         .mtu = 9000,
                         .pass_non_ip = false,
                         .bindings = {"02:00:00:00:00:01 10.0.0.2"},
                         .learn = 2,
                         .disabled = true};
  const PortSpec plain = {.name = "up", .device = "0000:03:00.0"};
  std::vector<PortSpec> ports = {{.name = "old"}};
  const auto read =
      ParseManifest(FormatManifest(TwoFilters(), {full, plain}), &ports);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(2));
  ASSERT_THAT(ports, SizeIs(2));
  EXPECT_EQ(ports[0].name, full.name);
  EXPECT_EQ(ports[0].device, full.device);
  EXPECT_EQ(ports[0].wire, full.wire);
  EXPECT_EQ(ports[0].bindings, full.bindings);
  EXPECT_EQ(ports[0].learn, 2);
  EXPECT_TRUE(ports[1].bindings.empty());
  EXPECT_EQ(ports[0].groups, full.groups);
  EXPECT_EQ(ports[0].addresses, full.addresses);
  EXPECT_EQ(ports[0].queues, 3);
  EXPECT_EQ(ports[0].mtu, 9000);
  EXPECT_FALSE(ports[0].pass_non_ip);
  EXPECT_TRUE(ports[0].disabled);
  EXPECT_EQ(ports[1].device, plain.device);
  EXPECT_TRUE(ports[1].pass_non_ip);
  EXPECT_EQ(FormatManifest(*read, ports),
            FormatManifest(TwoFilters(), {full, plain}));
  // Of older versions: there were none.
  ASSERT_TRUE(ParseManifest(FormatManifest(TwoFilters()), &ports).ok());
  EXPECT_THAT(ports, IsEmpty());
  for (const char* port :
       {"7", "{}", R"({"name":"a"})",
        R"({"addresses":["x"],"device":"d","disabled":false,"groups":[],)"
        R"("mtu":1500,"name":"a","non_ip":true,"queues":0,"wire":""})",
        R"({"addresses":[],"device":"d","disabled":false,"groups":[],)"
        R"("mtu":65536,"name":"a","non_ip":true,"queues":0,"wire":""})"}) {
    EXPECT_EQ(ParseManifest(Sealed(std::string(R"({"filters":[],"format":1,)"
                                               R"("ports":[)") +
                                   port + "]}"))
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument)
        << port;
  }
}

TEST(ManifestTest, KeepsPortsOfRouters) {
  const PortSpec routed = {.name = "lan",
                           .device = "net_null0",
                           .router = "edge",
                           .tap = "lan0"};
  std::vector<PortSpec> ports;
  const std::string text = FormatManifest(TwoFilters(), {routed}, {});
  const auto read = ParseManifest(text, &ports, nullptr);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(ports, SizeIs(1));
  EXPECT_EQ(ports[0].router, "edge");
  EXPECT_EQ(ports[0].tap, "lan0");
  EXPECT_EQ(FormatManifest(*read, ports, {}), text);
}

TEST(ManifestTest, KeepsVlansAndSegments) {
  const PortSpec vlan = {.name = "vm1",
                         .parent = "uplink",
                         .vlan = 5,
                         .inner_vlan = 6,
                         .segment = "lan"};
  const SegmentSpec lan = {
      .name = "lan",
      .ports = {"a", "b"},
      .pass_non_ip = false,
      .flood_unknown = false,
      .flood_multicast = true,
      .flood_broadcast = false,
      .macs = 100,
      .macs_per_port = 3,
      .age = 60,
      .fixed = {{.mac = "00:53:00:00:00:01", .port = "a"}}};
  std::vector<PortSpec> ports;
  std::vector<SegmentSpec> segments;
  const std::string text = FormatManifest(TwoFilters(), {vlan}, {lan});
  const auto read = ParseManifest(text, &ports, &segments);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(ports, SizeIs(1));
  EXPECT_EQ(ports[0].parent, "uplink");
  EXPECT_EQ(ports[0].vlan, 5);
  EXPECT_EQ(ports[0].inner_vlan, 6);
  EXPECT_EQ(ports[0].segment, "lan");
  ASSERT_THAT(segments, SizeIs(1));
  EXPECT_EQ(segments[0].macs_per_port, 3u);
  EXPECT_EQ(segments[0].fixed[0].port, "a");
  EXPECT_FALSE(segments[0].flood_broadcast);
  EXPECT_EQ(FormatManifest(*read, ports, segments), text);
}

TEST(ManifestTest, CutAnywhereItIsDamaged) {
  const std::string text = FormatManifest(TwoFilters());
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(ParseManifest(text.substr(0, size)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
  EXPECT_FALSE(ParseManifest(text + "\n").ok());
  EXPECT_FALSE(ParseManifest(text + text).ok());
}

TEST(ManifestTest, WithAnyBitFlippedItIsDamaged) {
  const std::string text = FormatManifest(TwoFilters());
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(ParseManifest(flipped).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bit;
  }
}

// Whoever can write there can make the digest right, too.
TEST(ManifestTest, WhatIsNoManifestIsRefusedInSpiteOfItsDigest) {
  const auto with = [](const std::string& changed, const std::string& to) {
    std::string line =
        R"({"filters":[{"bypass_hold":true,"emergency":{"dialect":1,)"
        R"("files":[{"name":"f","text":""}],"macros":[["a","b"]],)"
        R"("name":"e","text":"block"},"expect_restore":false,)"
        R"("id":"000102030405060708090a0b0c0d0e0f","name":"vm",)"
        R"("ports":["p"],"source":""}],"format":1})";
    const size_t at = line.find(changed);
    EXPECT_NE(at, std::string::npos) << changed;
    return line.replace(at, changed.size(), to);
  };
  const auto good = ParseManifest(Sealed(with("\"vm\"", "\"vm\"")));
  ASSERT_TRUE(good.ok()) << good.status();
  ASSERT_THAT(*good, SizeIs(1));
  const std::string deep(100'000, '[');
  for (const std::string& line : {
           std::string(), std::string("null"), std::string("7"),
           std::string("{}"), std::string("[]"), std::string("{"), deep,
           deep + std::string(deep.size(), ']'),
           with("\"format\":1", "\"format\":\"1\""),
           with("\"format\":1", "\"format\":-1"),
           with("\"format\":1", "\"format\":1e300"),
           with(",\"format\":1", ""), with("\"filters\"", "\"filter\""),
           with("\"name\":\"vm\"", "\"name\":7"),
           with("\"vm\"", "\"\""), with("\"vm\"", "\"../vm\""),
           with("\"vm\"", "\"/etc/passwd\""), with("\"vm\"", "\"a b\""),
           with("\"vm\"", "\"" + std::string(32, 'x') + "\""),
           with("\"vm\"", "\"vm\\u0000\""), with("\"vm\"", "\"\xff\""),
           with("000102", "0001"), with("0c0d0e0f", "0c0d0e0f00"),
           with("0a0b", "0A0B"), with("0a0b", "0x0b"),
           with("[\"p\"]", "\"p\""), with("[\"p\"]", "[1]"),
           with("true", "1"), with("false", "null"),
           with("\"dialect\":1", "\"dialect\":2"),
           with("\"dialect\":1", "\"dialect\":-1"),
           with("\"dialect\":1", "\"dialect\":4294967296"),
           with("\"dialect\":1", "\"dialect\":0.5"),
           with("[[\"a\",\"b\"]]", "[[\"a\"]]"),
           with("[[\"a\",\"b\"]]", "[7]"),
           with("{\"name\":\"f\",\"text\":\"\"}", "{\"name\":\"f\"}"),
           with(",\"source\":\"\"", "")}) {
    const auto read = ParseManifest(Sealed(line));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument)
        << line.substr(0, 300) << ": " << read.status();
  }
  EXPECT_EQ(ParseManifest(Sealed(with("\"format\":1", "\"format\":2")))
                .status().code(),
            absl::StatusCode::kUnimplemented);
}

class StateDirectoryTest : public ::testing::Test {
 protected:
  StateDirectoryTest() {
    std::string name =
        (std::filesystem::temp_directory_path() / "state.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    auto opened = StateDirectory::Open(path_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    directory_ = *std::move(opened);
  }
  ~StateDirectoryTest() override { std::filesystem::remove_all(path_); }

  void Damage(const std::string& name) {
    std::fstream file(path_ + "/" + name,
                      std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file.seekp(5)) << name;
    file.put('#');
  }
  absl::StatusOr<std::vector<ManifestEntry>> Read() {
    complaints_.clear();
    return directory_->ReadManifest(
        [this](const std::string& text) { complaints_.push_back(text); });
  }

  std::string path_;
  std::unique_ptr<StateDirectory> directory_;
  std::vector<std::string> complaints_;
};

TEST_F(StateDirectoryTest, TheOlderManifestStandsInForADamagedOne) {
  auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsEmpty());
  std::vector<ManifestEntry> entries = TwoFilters();
  ASSERT_TRUE(directory_->WriteManifest({entries[0]}).ok());
  ASSERT_TRUE(directory_->WriteManifest(entries).ok());
  read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(2));
  EXPECT_THAT(complaints_, IsEmpty());
  Damage("manifest");
  read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(1));
  EXPECT_THAT(complaints_, ElementsAre(HasSubstr("/manifest: it is damaged")));
  Damage("manifest.old");
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(complaints_, SizeIs(2));
  // Damaged ones are not forgotten: an empty list would let go what they had.
  std::filesystem::remove(path_ + "/manifest");
  EXPECT_FALSE(Read().ok());
}

TEST_F(StateDirectoryTest, OneDaemonAtATime) {
  EXPECT_EQ(StateDirectory::Open(path_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  directory_.reset();
  EXPECT_TRUE(StateDirectory::Open(path_).ok());
}

}  // namespace
}  // namespace sluice
