#include "dataplane/replay/capture.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/unit/dataplane/replay/capture_bytes.h"

namespace sluice {
namespace {

struct Seen {
  uint64_t nanoseconds;
  std::string frame;
  friend bool operator==(const Seen&, const Seen&) = default;
};

class CaptureTest : public testing::Test {
 protected:
  CaptureTest() {
    char name[] = "/tmp/sluice-capture-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~CaptureTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return folder_ + "/" + name;
  }
  std::string Write(const std::string& name, const std::string& bytes) {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // All packets of a file up to its end or its error.
  static absl::Status ReadAll(const std::string& path,
                              std::vector<Seen>* seen) {
    auto reader = CaptureReader::Open(path);
    if (!reader.ok()) return reader.status();
    for (;;) {
      CapturedPacket packet;
      absl::StatusOr<bool> more = (*reader)->Next(packet);
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
      seen->push_back({packet.nanoseconds,
                       {packet.frame.begin(), packet.frame.end()}});
    }
  }
  std::vector<Seen> MustRead(const std::string& path) {
    std::vector<Seen> seen;
    const absl::Status status = ReadAll(path, &seen);
    EXPECT_TRUE(status.ok()) << status;
    return seen;
  }
  std::string ErrorOf(const std::string& path) {
    std::vector<Seen> seen;
    return std::string(ReadAll(path, &seen).message());
  }

  std::string folder_;
};

const std::string kFrame(60, 'x');

TEST_F(CaptureTest, BothByteOrdersAndResolutionsOfPcap) {
  for (bool big : {false, true}) {
    for (bool nano : {false, true}) {
      PcapBytes pcap{.big_endian = big, .nanoseconds = nano};
      const std::string path =
          Write("a.pcap", pcap.Header() + pcap.Packet(7, 5, kFrame) +
                              pcap.Packet(1700000000, 999999,
                                          "shortframe1234"));
      const uint64_t unit = nano ? 1 : 1000;
      EXPECT_EQ(MustRead(path),
                (std::vector<Seen>{
                    {7'000'000'000 + 5 * unit, kFrame},
                    {1'700'000'000'000'000'000 + 999999 * unit,
                     "shortframe1234"}}));
    }
  }
}

TEST_F(CaptureTest, PcapngWithItsResolutions) {
  for (int resolution : {-1, 6, 9}) {
    PcapngBytes ng{.resolution = resolution};
    const std::string path =
        Write("a.pcapng", ng.Header() + ng.Packet(5'000'000'123, kFrame));
    const uint64_t expected =
        resolution == 9 ? 5'000'000'123 : 5'000'000'123'000;
    EXPECT_EQ(MustRead(path), (std::vector<Seen>{{expected, kFrame}}));
  }
}

TEST_F(CaptureTest, AnEmptyCaptureIsNoError) {
  EXPECT_TRUE(MustRead(Write("a.pcap", PcapBytes().Header())).empty());
}

TEST_F(CaptureTest, EveryTruncationIsFound) {
  PcapBytes pcap;
  const std::string one = pcap.Packet(1, 2, kFrame);
  const std::string whole = pcap.Header() + one + one + one;
  for (size_t length = 0; length <= whole.size(); ++length) {
    std::vector<Seen> seen;
    const absl::Status status =
        ReadAll(Write("t.pcap", whole.substr(0, length)), &seen);
    const size_t header = pcap.Header().size();
    if (length < header) {
      EXPECT_FALSE(status.ok()) << length;
      EXPECT_EQ(seen.size(), 0u);
      continue;
    }
    EXPECT_EQ(seen.size(), (length - header) / one.size()) << length;
    EXPECT_EQ(status.ok(), (length - header) % one.size() == 0) << length;
    if (!status.ok()) {
      EXPECT_NE(status.message().find("t.pcap: packet " +
                                      std::to_string(seen.size() + 1) + ": "),
                std::string::npos)
          << status;
    }
  }
}

TEST_F(CaptureTest, EveryTruncationOfPcapngIsFound) {
  PcapngBytes ng;
  const std::string one = ng.Packet(7, kFrame);
  const std::string whole = ng.Header() + one + one;
  for (size_t length = 0; length <= whole.size(); ++length) {
    std::vector<Seen> seen;
    const absl::Status status =
        ReadAll(Write("t.pcapng", whole.substr(0, length)), &seen);
    const size_t header = ng.Header().size();
    const bool at_boundary =
        length >= header && (length - header) % one.size() == 0;
    EXPECT_EQ(status.ok(), at_boundary) << length;
  }
}

TEST_F(CaptureTest, DamagedBytesNeverDoMoreThanFail) {
  PcapBytes pcap;
  PcapngBytes ng;
  std::string files[] = {pcap.Header(), ng.Header()};
  for (int i = 0; i < 5; ++i) {
    files[0] += pcap.Packet(i, i, kFrame);
    files[1] += ng.Packet(static_cast<uint64_t>(i), kFrame);
  }
  std::minstd_rand random(1);
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = files[round % 2];
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    std::vector<Seen> seen;
    if (!ReadAll(Write("d", bytes), &seen).ok()) ++refused;
    EXPECT_LE(seen.size(), bytes.size() / 16);
    for (const Seen& packet : seen) {
      EXPECT_LE(packet.frame.size(), bytes.size() + 262144);
    }
  }
  EXPECT_GT(refused, 50);
}

TEST_F(CaptureTest, WhatIsNoCaptureIsRefused) {
  EXPECT_EQ(ErrorOf(Path("none")),
            Path("none") + ": No such file or directory");
  EXPECT_EQ(ErrorOf(Write("text", std::string(100, 'a'))),
            Path("text") + ": unknown file format");
  EXPECT_NE(ErrorOf(folder_), "");
}

TEST_F(CaptureTest, PacketsThatWereCutAreMarkedAndStrictlyRefused) {
  PcapBytes pcap;
  PcapngBytes ng;
  const std::string files[] = {
      Write("cut.pcap", pcap.Header() + pcap.Packet(1, 1, kFrame) +
                            pcap.Packet(1, 1, kFrame, 1514) +
                            pcap.Packet(1, 1, kFrame)),
      Write("cut.pcapng", ng.Header() + ng.Packet(1, kFrame) +
                              ng.Packet(1, kFrame, 0, 1514) +
                              ng.Packet(1, kFrame))};
  for (const std::string& path : files) {
    auto reader = CaptureReader::Open(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    for (const bool cut : {false, true, false}) {
      CapturedPacket packet;
      const absl::StatusOr<bool> more = (*reader)->Next(packet);
      ASSERT_TRUE(more.ok() && *more) << more.status();
      EXPECT_EQ(packet.cut, cut) << path << (*reader)->count();
    }
    auto strict = CaptureReader::Open(path, {.strict = true});
    ASSERT_TRUE(strict.ok()) << strict.status();
    CapturedPacket packet;
    ASSERT_TRUE((*strict)->Next(packet).ok());
    EXPECT_EQ((*strict)->Next(packet).status().message(),
              path + ": packet 2: only 60 of 1514 bytes were captured; "
                     "capture whole packets (tcpdump -s 0)");
  }
}

// Seconds are unsigned: 2038 is no end, 2106 is.
TEST_F(CaptureTest, TimestampsOfThisCentury) {
  for (const uint32_t seconds : {0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu}) {
    for (const bool big : {false, true}) {
      PcapBytes pcap{.big_endian = big};
      PcapngBytes ng{.big_endian = big};
      const uint64_t expected = uint64_t{seconds} * 1'000'000'000 + 999'000;
      const std::vector<Seen> packets = {{expected, kFrame}};
      EXPECT_EQ(MustRead(Write("a.pcap",
                               pcap.Header() + pcap.Packet(seconds, 999,
                                                           kFrame))),
                packets);
      EXPECT_EQ(MustRead(Write("a.pcapng",
                               ng.Header() + ng.Packet(expected, kFrame))),
                packets);
    }
    auto writer = CaptureWriter::Create(Path("out.pcap"));
    ASSERT_TRUE(writer.ok());
    const std::vector<Seen> late = {
        {uint64_t{seconds} * 1'000'000'000 + 7, kFrame}};
    (*writer)->Write(late[0].nanoseconds,
                     {reinterpret_cast<const uint8_t*>(kFrame.data()), 60});
    ASSERT_TRUE((*writer)->Finish().ok());
    ASSERT_TRUE((*writer)->Publish().ok());
    EXPECT_EQ(MustRead(Path("out.pcap")), late);
  }
  // Of pcapng later ones are read, but pcap cannot say them.
  PcapngBytes ng;
  const uint64_t later = 4'294'967'296'000'000'000;
  EXPECT_EQ(MustRead(Write("l", ng.Header() + ng.Packet(later, kFrame))),
            (std::vector<Seen>{{later, kFrame}}));
  auto writer = CaptureWriter::Create(Path("late.pcap"));
  ASSERT_TRUE(writer.ok());
  (*writer)->Write(later, {});
  EXPECT_NE((*writer)->Finish().message().find("2106"), std::string::npos);
  EXPECT_NE(ErrorOf(Write("l", ng.Header() + ng.Packet(~uint64_t{0}, kFrame)))
                .find("packet 1: the timestamp is before 1970 or after"),
            std::string::npos);
}

TEST_F(CaptureTest, InterfacesOfOnePcapngMayDiffer) {
  const std::string v4 = "\x45" + std::string(30, '4');
  const std::string header("\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", 14);
  for (const bool big : {false, true}) {
    const PcapngBytes ng{.big_endian = big};
    const PcapngBytes micro{.resolution = 6, .big_endian = big};
    // Seconds to add, as some capturing programs write them.
    std::string offset;
    AppendNumber(offset, 14, 2, big);
    AppendNumber(offset, 8, 2, big);
    AppendNumber(offset, 100, 8, big);
    const std::string path = Write(
        "mixed.pcapng",
        ng.Section() + ng.Interface(1, 262144) + micro.Interface(101, 96) +
            ng.Packet(1000, kFrame) + micro.Packet(2, v4, 1) +
            // One that no packet is of may have any link type; others may be
            // described late.
            ng.Interface(127, 0) + ng.Interface(1, 0, offset) +
            ng.Packet(3, kFrame, 3) + ng.Block(0x80000bad, "anything") +
            // A new section has interfaces of its own.
            ng.Section() + ng.Interface(101, 0) + ng.Packet(4, v4));
    EXPECT_EQ(MustRead(path),
              (std::vector<Seen>{{1000, kFrame},
                                 {2000, header + v4},
                                 {100'000'000'003, kFrame},
                                 {4, header + v4}}));
  }
  const PcapngBytes ng;
  const std::string path =
      Write("wifi.pcapng", ng.Section() + ng.Interface(1, 0) +
                               ng.Interface(127, 0) + ng.Packet(1, kFrame) +
                               ng.Packet(1, kFrame, 1));
  EXPECT_EQ(ErrorOf(path).substr(0, path.size() + 48),
            path + ": packet 2: link type IEEE802_11_RADIO (127) is ");
  EXPECT_NE(ErrorOf(Write("w", ng.Header() + ng.Packet(1, kFrame, 1)))
                .find("packet 1: interface 1 is not described"),
            std::string::npos);
}

TEST_F(CaptureTest, OldAndSimplePacketBlocks) {
  const PcapngBytes ng;
  std::string old, simple;
  AppendNumber(old, 0, 2, false);
  AppendNumber(old, 7, 2, false);  // drops
  AppendNumber(old, 0, 4, false);
  AppendNumber(old, 5, 4, false);
  AppendNumber(old, kFrame.size(), 4, false);
  AppendNumber(old, kFrame.size(), 4, false);
  AppendNumber(simple, kFrame.size() + 1, 4, false);
  const std::string path =
      Write("o", ng.Section() + ng.Interface(1, 60) +
                     ng.Block(2, old + kFrame) + ng.Block(3, simple + kFrame));
  // The simple one has no time but that of the one before.
  EXPECT_EQ(MustRead(path), (std::vector<Seen>{{5, kFrame}, {5, kFrame}}));
}

TEST_F(CaptureTest, AnUnknownLinkTypeIsRefusedByName) {
  PcapBytes pcap{.link_type = 127};
  const std::string path =
      Write("wifi.pcap", pcap.Header() + pcap.Packet(1, 1, kFrame));
  EXPECT_EQ(ErrorOf(path).substr(0, path.size() + 38),
            path + ": link type IEEE802_11_RADIO (127) is ");
}

TEST_F(CaptureTest, OtherLinkTypesBecomeEthernet) {
  const std::string v4 = "\x45" + std::string(30, '4');
  const std::string v6 = "\x60" + std::string(50, '6');
  const std::string header("\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
  const std::string from_sender("\x02\0\0\0\0\x02" "SENDER", 12);
  const std::string as_v4 = header + std::string("\x08\0", 2) + v4;
  const std::string as_v6 = header + "\x86\xdd" + v6;
  const struct {
    uint32_t link_type;
    std::string packet;
    std::string expected;
  } kCases[] = {
      {101, v4, as_v4},
      {101, v6, as_v6},
      {228, v4, as_v4},
      {229, v6, as_v6},
      {0, std::string("\x02\0\0\0", 4) + v4, as_v4},
      {0, std::string("\x1e\0\0\0", 4) + v6, as_v6},
      {108, std::string("\0\0\0\x18", 4) + v6, as_v6},
      {113, std::string("\0\0\0\x01\0\x06" "SENDER\0\0\x08\0", 16) + v4,
       from_sender + std::string("\x08\0", 2) + v4},
      {113, std::string("\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x86\xdd", 16) + v6,
       as_v6},
      {276, std::string("\x86\xdd\0\0\0\0\0\x01\0\x01\x04\x06" "SENDER\0\0",
                        20) + v6,
       from_sender + "\x86\xdd" + v6},
      // Too short for its own header: too short as a frame, too.
      {113, std::string(15, '\0'), std::string(13, '\0')},
      {276, std::string(19, '\0'), std::string(13, '\0')},
      {0, std::string(3, '\0'), std::string(3, '\0')},
      {101, "", header + std::string("\x08\0", 2)},
  };
  for (const auto& [link_type, packet, expected] : kCases) {
    PcapBytes pcap{.link_type = link_type};
    const std::vector<Seen> seen =
        MustRead(Write("l.pcap", pcap.Header() + pcap.Packet(1, 1, packet)));
    ASSERT_EQ(seen.size(), 1u) << link_type;
    EXPECT_EQ(seen[0].frame, expected) << link_type;
  }
}

TEST_F(CaptureTest, WhatIsWrittenIsReadBack) {
  const std::string path = Path("out.pcap");
  const std::vector<Seen> packets = {{1'700'000'000'123'456'789, kFrame},
                                     {0, std::string(9000, 'j')}};
  {
    auto writer = CaptureWriter::Create(path);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const Seen& p : packets) {
      (*writer)->Write(p.nanoseconds,
                       {reinterpret_cast<const uint8_t*>(p.frame.data()),
                        p.frame.size()});
    }
    ASSERT_TRUE((*writer)->Finish().ok());
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE((*writer)->Publish().ok());
  }
  EXPECT_EQ(MustRead(path), packets);
  // The magic number says nanoseconds.
  EXPECT_EQ(Read(path).substr(0, 4), "\x4d\x3c\xb2\xa1");
}

TEST_F(CaptureTest, AWriterThatGoesAwayLeavesNothing) {
  const std::string path = Write("out.pcap", "precious");
  { ASSERT_TRUE(CaptureWriter::Create(path).ok()); }
  EXPECT_EQ(Read(path), "precious");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}),
            1);
}

TEST_F(CaptureTest, AFullDiskIsAnError) {
  auto writer = CaptureWriter::Create("/dev/full");
  ASSERT_TRUE(writer.ok()) << writer.status();
  (*writer)->Write(1, {});
  EXPECT_EQ((*writer)->Finish().message(),
            "/dev/full: cannot write: No space left on device");
  EXPECT_EQ(WriteWholeFile("/dev/full", "text").message(),
            "/dev/full: cannot write: No space left on device");
}

TEST_F(CaptureTest, PlacesThatCannotBeWritten) {
  EXPECT_EQ(CaptureWriter::Create(folder_).status().message(),
            folder_ + ": cannot write: Is a directory");
  EXPECT_EQ(CaptureWriter::Create(Path("no/x")).status().message(),
            Path("no/x") + ": cannot write: No such file or directory");
}

TEST_F(CaptureTest, WholeFilesReplaceTheOldOnes) {
  const std::string path = Write("report", "old");
  ASSERT_TRUE(WriteWholeFile(path, "new\n").ok());
  EXPECT_EQ(Read(path), "new\n");
}

}  // namespace
}  // namespace sluice
