// capture by sluicectl: what it asks for, and the file that it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SluicectlCaptureTest : public SluicectlToolTest {
 protected:
  void SetUp() override {
    SluicectlToolTest::SetUp();
    TracedPacket packet;
    packet.time_us = 1'700'000'000'123'456;
    packet.port = "outside";
    packet.packet.kind = Kind::kIp;
    packet.packet.family = Family::kIpv4;
    packet.packet.proto = protocol::kUdp;
    packet.reason = "match";
    packet.judged = Direction::kIn;
    packet.rule = 3;
    packet.anchor = "web";
    packet.frame = TracedFrame{.length = 90, .bytes = std::string("\0\1abc", 5)};
    directory_.traces.slice.packets = {packet};
    directory_.traces.slice.lost = 7;
  }
  const TraceQuery& asked() const { return directory_.traces.last_query; }
};

TEST_F(SluicectlCaptureTest, AsksForWhatIsWanted) {
  EXPECT_EQ(Run({"capture", "outside", "--count", "1"}).status, 0);
  EXPECT_EQ(asked().port, "outside");
  ASSERT_TRUE(asked().frames.has_value());
  EXPECT_TRUE(asked().frames->arriving && asked().frames->leaving);
  EXPECT_EQ(asked().frames->snap_length, 65535u);
  EXPECT_TRUE(asked().frames->program.empty());
  EXPECT_FALSE(asked().passed.has_value());
  EXPECT_EQ(directory_.traces.closed, 1);

  Run({"capture", "--filter", "main", "--out", "--snaplen", "96", "--count",
       "1", "tcp", "port", "80"});
  EXPECT_EQ(asked().port, "");
  EXPECT_EQ(asked().filter, "main");
  EXPECT_TRUE(!asked().frames->arriving && asked().frames->leaving);
  EXPECT_EQ(asked().frames->snap_length, 96u);
  EXPECT_GT(asked().frames->program.size(), 5u);

  // A reason may stand behind --dropped; a port is none.
  Run({"capture", "--dropped", "state-mismatch", "outside", "--count", "1"});
  EXPECT_EQ(asked().reason, "state-mismatch");
  EXPECT_EQ(asked().passed, false);
  EXPECT_TRUE(asked().frames->arriving && !asked().frames->leaving);
  Run({"capture", "--dropped", "outside", "--count", "1"});
  EXPECT_EQ(asked().reason, "");
  EXPECT_EQ(asked().port, "outside");
}

TEST_F(SluicectlCaptureTest, ShowsALineOrJson) {
  const Outcome text = Run({"capture", "outside", "--count", "1"});
  EXPECT_THAT(text.out, HasSubstr(" outside in udp "));
  EXPECT_THAT(text.out,
              HasSubstr(": dropped, match, last judged in, rule web@3\n"));
  EXPECT_THAT(text.err, HasSubstr("7 more came faster"));
  const json told =
      json::parse(Run({"capture", "outside", "--count", "1", "--json"}).out);
  EXPECT_EQ(told["capture"][0]["frame"], "0001616263");
  EXPECT_EQ(told["capture"][0]["way"], "in");
  EXPECT_EQ(told["capture"][0]["frame_length"], 90);
}

TEST_F(SluicectlCaptureTest, WritesAFileWithVerdicts) {
  const std::string path = folder_.File("c.pcapng");
  const Outcome outcome =
      Run({"capture", "outside", "-w", path, "--count", "1"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  // Blocks as the format has them: type, length, ..., length.
  std::vector<uint32_t> types;
  for (size_t at = 0; at + 12 <= bytes.size();) {
    uint32_t type, length, again;
    std::memcpy(&type, bytes.data() + at, 4);
    std::memcpy(&length, bytes.data() + at + 4, 4);
    ASSERT_LE(at + length, bytes.size());
    ASSERT_EQ(length % 4, 0u);
    std::memcpy(&again, bytes.data() + at + length - 4, 4);
    EXPECT_EQ(again, length);
    types.push_back(type);
    at += length;
  }
  EXPECT_EQ(types, (std::vector<uint32_t>{0x0a0d0d0a, 1, 6, 5}));
  EXPECT_THAT(bytes, HasSubstr("outside"));
  EXPECT_THAT(bytes, HasSubstr("dropped, match, last judged in, rule web@3"));
  EXPECT_THAT(bytes, HasSubstr(std::string("\0\1abc\0\0\0", 8)));
}

TEST_F(SluicectlCaptureTest, SaysWhatIsWrong) {
  EXPECT_EQ(Run({"capture", "outside", "no such word"}).status, 1);
  EXPECT_EQ(Run({"capture", "outside", "-w", "/nowhere/c", "--count", "1"})
                .status,
            1);
  EXPECT_EQ(directory_.traces.open, 0u) << "it is closed again";
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"capture"},
        {"capture", "a", "--in", "--dropped"},
        {"capture", "a", "--json", "-w", "f"},
        {"capture", "a", "--snaplen", "0"},
        {"capture", "a", "--snaplen", "65536"},
        {"capture", "a", "--in=b"},
        {"top", "--interval", "0"},
        {"top", "--limit", "many"}}) {
    EXPECT_FALSE(ParseArguments(words).ok()) << words.back();
  }
}

}  // namespace
}  // namespace sluice
