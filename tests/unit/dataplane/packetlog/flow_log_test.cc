// Records of states on their way to the session log and to collectors. The
// decoders here follow RFC 7011 and the form of NetFlow 5, and know nothing of
// the encoders.
#include "dataplane/packetlog/flow_log.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/packetlog/flow_messages.h"
#include "dataplane/packetlog/session_file.h"
#include "dataplane/packetlog/session_text.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kWall = 1'700'000'000'123'456;

Address A(const char* text) { return *ParseAddress(text); }

FlowRecord Sample(const char* source, const char* destination) {
  FlowRecord record;
  record.id = 0x1234500;
  record.packets = {3, 2};
  record.bytes = {300, uint64_t{5} << 32};
  record.address = {A(source), A(destination)};
  record.port = {1025, 53};
  record.created = 1000;
  record.last_seen = 4000;
  record.now = 9000;
  record.vlan = VlanId::Of(42);
  record.interface = 7;
  record.proto = protocol::kUdp;
  record.end = FlowEnd::kTimeout;
  record.exported = true;
  return record;
}

FlowRecord Translated(FlowRecord record, const char* source,
                      const char* destination) {
  record.translated = {A(source), A(destination)};
  record.translated_port = {50000, 5353};
  return record;
}

uint64_t Number(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

// ---- IPFIX -----------------------------------------------------------------

// A flow as element -> value in hexadecimal for addresses, decimal for others.
using Decoded = std::map<uint16_t, std::string>;

class Collector {
 public:
  void Take(std::string_view message) {
    ASSERT_GE(message.size(), 16u);
    EXPECT_EQ(Number(message.substr(0, 2)), 10u);
    ASSERT_EQ(Number(message.substr(2, 2)), message.size());
    times.push_back(Number(message.substr(4, 4)));
    sequences.push_back(static_cast<uint32_t>(Number(message.substr(8, 4))));
    domains.push_back(static_cast<uint32_t>(Number(message.substr(12, 4))));
    sizes.push_back(message.size());
    std::string_view rest = message.substr(16);
    while (!rest.empty()) {
      ASSERT_GE(rest.size(), 4u);
      const uint64_t id = Number(rest.substr(0, 2));
      const uint64_t length = Number(rest.substr(2, 2));
      ASSERT_GE(length, 4u);
      ASSERT_LE(length, rest.size());
      const std::string_view set = rest.substr(4, length - 4);
      rest.remove_prefix(length);
      if (id == 2) {
        ++template_sets;
        TakeTemplates(set);
      } else {
        ASSERT_GE(id, 256u);
        TakeData(static_cast<uint16_t>(id), set);
      }
    }
  }

  std::vector<Decoded> flows;
  std::vector<uint64_t> times;
  std::vector<uint32_t> sequences, domains;
  std::vector<size_t> sizes;
  int template_sets = 0;

 private:
  void TakeTemplates(std::string_view set) {
    while (set.size() >= 4) {
      auto& fields = templates_[static_cast<uint16_t>(Number(set.substr(0, 2)))];
      fields.clear();
      uint64_t count = Number(set.substr(2, 2));
      set.remove_prefix(4);
      for (; count > 0; --count) {
        ASSERT_GE(set.size(), 4u);
        fields.push_back({static_cast<uint16_t>(Number(set.substr(0, 2))),
                          static_cast<uint16_t>(Number(set.substr(2, 2)))});
        set.remove_prefix(4);
      }
    }
  }
  void TakeData(uint16_t id, std::string_view set) {
    const auto& fields = templates_.at(id);
    size_t bytes = 0;
    for (const auto& [element, length] : fields) bytes += length;
    ASSERT_GT(bytes, 0u);
    for (; set.size() >= bytes; set.remove_prefix(bytes)) {
      Decoded& flow = flows.emplace_back();
      size_t at = 0;
      for (const auto& [element, length] : fields) {
        const std::string_view value = set.substr(at, length);
        at += length;
        char text[64] = {};
        const bool address = element == 8 || element == 12 || element == 27 ||
                             element == 28 || element == 225 ||
                             element == 226 || element == 281 || element == 282;
        if (address) {
          inet_ntop(length == 4 ? AF_INET : AF_INET6, value.data(), text,
                    sizeof text);
          flow[element] = text;
        } else {
          flow[element] = std::to_string(Number(value));
        }
      }
    }
    EXPECT_LT(set.size(), 4u);  // padding at most
  }

  std::map<uint16_t, std::vector<std::pair<uint16_t, uint16_t>>> templates_;
};

class IpfixTest : public ::testing::Test {
 protected:
  IpfixTest()
      : messages_(77, [this](std::string_view message, uint32_t flows) {
          collector_.Take(message);
          told_ += flows;
        }) {}

  void Send(const FlowRecord& record) {
    messages_.Add(record, time_);
    messages_.Flush(time_);
  }

  Collector collector_;
  uint32_t told_ = 0;
  FlowTime time_ = {.now = 10'000, .wall = kWall};
  IpfixMessages messages_;
};

TEST_F(IpfixTest, BothWaysOfAStateOfEitherFamily) {
  for (const auto& [source, destination, from, to] :
       {std::tuple("10.0.0.2", "10.0.0.1", 8, 12),
        std::tuple("2001:db8::2", "2001:db8::1", 27, 28)}) {
    collector_.flows.clear();
    Send(Sample(source, destination));
    ASSERT_THAT(collector_.flows, SizeIs(2));
    const uint64_t wall = kWall / 1000;
    Decoded expected = {
        {from, source},         {to, destination},
        {7, "1025"},            {11, "53"},
        {4, "17"},              {5, "0"},
        {136, "1"},             {61, "0"},
        {58, "42"},             {10, "7"},
        {14, "0"},              {2, "3"},
        {1, "300"},             {152, std::to_string(wall - 9000)},
        {153, std::to_string(wall - 6000)}, {148, std::to_string(0x1234500)}};
    EXPECT_EQ(collector_.flows[0], expected);
    expected[static_cast<uint16_t>(from)] = destination;
    expected[static_cast<uint16_t>(to)] = source;
    expected[7] = "53";
    expected[11] = "1025";
    expected[61] = "1";
    expected[10] = "0";
    expected[14] = "7";
    expected[2] = "2";
    expected[1] = std::to_string(uint64_t{5} << 32);
    EXPECT_EQ(collector_.flows[1], expected);
  }
  EXPECT_EQ(collector_.times[0], kWall / 1'000'000);
  EXPECT_THAT(collector_.domains, ElementsAre(77, 77));
  // Flows that were sent before.
  EXPECT_THAT(collector_.sequences, ElementsAre(0, 2));
  EXPECT_EQ(told_, 4u);
}

TEST_F(IpfixTest, NothingCameBack) {
  FlowRecord record = Sample("10.0.0.2", "10.0.0.1");
  record.packets[1] = record.bytes[1] = 0;
  record.direction = Direction::kOut;
  Send(record);
  ASSERT_THAT(collector_.flows, SizeIs(1));
  EXPECT_EQ(collector_.flows[0][61], "1");
  EXPECT_EQ(collector_.flows[0][14], "7");
}

TEST_F(IpfixTest, TranslationsWithinAFamilyAndAcross) {
  Send(Translated(Sample("10.0.0.2", "10.0.0.1"), "192.0.2.1", "10.0.0.9"));
  ASSERT_THAT(collector_.flows, SizeIs(2));
  Decoded& there = collector_.flows[0];
  EXPECT_EQ(there[8], "10.0.0.2");
  EXPECT_EQ(there[225], "192.0.2.1");
  EXPECT_EQ(there[226], "10.0.0.9");
  EXPECT_EQ(there[227], "50000");
  EXPECT_EQ(there[228], "5353");
  // Answers come from the other side of the translation.
  Decoded& back = collector_.flows[1];
  EXPECT_EQ(back[8], "10.0.0.9");
  EXPECT_EQ(back[7], "5353");
  EXPECT_EQ(back[12], "192.0.2.1");
  EXPECT_EQ(back[225], "10.0.0.1");
  EXPECT_EQ(back[226], "10.0.0.2");
  EXPECT_EQ(back[228], "1025");

  FlowRecord six = Sample("2001:db8::2", "2001:db8::1");
  Send(Translated(six, "2001:db9::7", "2001:db8::1"));
  EXPECT_EQ(collector_.flows[2][281], "2001:db9::7");

  FlowRecord across = Sample("2001:db8::2", "64:ff9b::a00:1");
  across.proto = protocol::kIcmp6;
  Send(Translated(across, "192.0.2.1", "10.0.0.1"));
  ASSERT_THAT(collector_.flows, SizeIs(6));
  EXPECT_EQ(collector_.flows[4][27], "2001:db8::2");
  EXPECT_EQ(collector_.flows[4][225], "192.0.2.1");
  EXPECT_EQ(collector_.flows[4][4], "58");
  EXPECT_EQ(collector_.flows[5][8], "10.0.0.1");
  EXPECT_EQ(collector_.flows[5][281], "64:ff9b::a00:1");
  EXPECT_EQ(collector_.flows[5][4], "1");
}

TEST_F(IpfixTest, TemplatesAgain) {
  Send(Sample("10.0.0.2", "10.0.0.1"));
  EXPECT_EQ(collector_.template_sets, 1);
  time_.wall += IpfixMessages::kTemplateInterval - 1;
  Send(Sample("10.0.0.2", "10.0.0.1"));
  EXPECT_EQ(collector_.template_sets, 1);
  time_.wall += 1;
  Send(Sample("10.0.0.2", "10.0.0.1"));
  EXPECT_EQ(collector_.template_sets, 2);
  messages_.Flush(time_);
  EXPECT_THAT(collector_.sizes, SizeIs(3));
}

TEST_F(IpfixTest, DatagramsFitIntoFrames) {
  for (int i = 0; i < 200; ++i) {
    messages_.Add(Sample(i % 3 == 0 ? "10.0.0.2" : "2001:db8::2",
                         i % 3 == 0 ? "10.0.0.1" : "2001:db8::1"),
                  time_);
  }
  messages_.Flush(time_);
  EXPECT_THAT(collector_.flows, SizeIs(400));
  EXPECT_EQ(told_, 400u);
  for (const size_t size : collector_.sizes) EXPECT_LE(size, kFlowDatagram);
  // None is half empty but for the last one.
  for (size_t i = 0; i + 1 < collector_.sizes.size(); ++i) {
    EXPECT_GT(collector_.sizes[i], kFlowDatagram - 150);
  }
}

TEST_F(IpfixTest, ReasonsOfRfc5102) {
  const std::map<FlowEnd, const char*> kReasons = {
      {FlowEnd::kTimeout, "1"},  {FlowEnd::kFinished, "3"},
      {FlowEnd::kReset, "3"},    {FlowEnd::kReplaced, "4"},
      {FlowEnd::kLimit, "4"},    {FlowEnd::kRemoved, "4"}};
  for (const auto& [end, reason] : kReasons) {
    FlowRecord record = Sample("10.0.0.2", "10.0.0.1");
    record.end = end;
    Send(record);
    EXPECT_EQ(collector_.flows.back()[136], reason);
  }
}

// ---- NetFlow 5 -------------------------------------------------------------

TEST(NetflowTest, FortyDaysAreNotMinusNine) {
  std::vector<std::string> sent;
  NetflowMessages messages(9, 500, [&](std::string_view message, uint32_t) {
    sent.emplace_back(message);
  });
  // Ticks of 32 bits begin anew after 49 days.
  uint32_t up = 0;
  for (const uint32_t days : {40u, 20u}) {
    up += days * 86'400'000;
    FlowTime time = {.now = 500 + up, .wall = kWall};
    FlowRecord record = Sample("10.0.0.2", "10.0.0.1");
    record.created = time.now - 3000;
    record.last_seen = time.now - 1000;
    messages.Add(record, time);
    messages.Flush(time);
    const std::string_view m = sent.back();
    EXPECT_EQ(Number(m.substr(4, 4)), up);
    EXPECT_EQ(Number(m.substr(24 + 24, 4)), up - 3000);
    EXPECT_EQ(Number(m.substr(24 + 28, 4)), up - 1000);
  }
}

TEST(NetflowTest, FlowsOfIpv4) {
  std::vector<std::string> sent;
  NetflowMessages messages(9, 500, [&](std::string_view message, uint32_t) {
    sent.emplace_back(message);
  });
  const FlowTime time = {.now = 10'000, .wall = kWall};
  messages.Add(Sample("10.0.0.2", "10.0.0.1"), time);
  messages.Add(Sample("2001:db8::2", "2001:db8::1"), time);
  FlowRecord old = Translated(Sample("10.0.0.3", "10.0.0.1"), "192.0.2.1",
                              "10.0.0.9");
  old.created = 400;  // before the exporter
  messages.Add(old, time);
  messages.Flush(time);
  EXPECT_EQ(messages.unfit(), 2u);
  ASSERT_THAT(sent, SizeIs(1));
  const std::string_view m = sent[0];
  ASSERT_EQ(m.size(), 24u + 4 * 48);
  EXPECT_EQ(Number(m.substr(0, 2)), 5u);
  EXPECT_EQ(Number(m.substr(2, 2)), 4u);
  EXPECT_EQ(Number(m.substr(4, 4)), 9500u);
  EXPECT_EQ(Number(m.substr(8, 4)), kWall / 1'000'000);
  EXPECT_EQ(Number(m.substr(12, 4)), 123'456'000u);
  EXPECT_EQ(Number(m.substr(16, 4)), 0u);
  EXPECT_EQ(Number(m.substr(21, 1)), 9u);
  const std::string_view first = m.substr(24, 48);
  EXPECT_EQ(Number(first.substr(0, 4)), 0x0a000002u);
  EXPECT_EQ(Number(first.substr(4, 4)), 0x0a000001u);
  EXPECT_EQ(Number(first.substr(12, 2)), 7u);
  EXPECT_EQ(Number(first.substr(14, 2)), 0u);
  EXPECT_EQ(Number(first.substr(16, 4)), 3u);
  EXPECT_EQ(Number(first.substr(20, 4)), 300u);
  EXPECT_EQ(Number(first.substr(24, 4)), 500u);
  EXPECT_EQ(Number(first.substr(28, 4)), 3500u);
  EXPECT_EQ(Number(first.substr(32, 2)), 1025u);
  EXPECT_EQ(Number(first.substr(34, 2)), 53u);
  EXPECT_EQ(Number(first.substr(38, 1)), 17u);
  const std::string_view back = m.substr(72, 48);
  EXPECT_EQ(Number(back.substr(0, 4)), 0x0a000001u);
  EXPECT_EQ(Number(back.substr(14, 2)), 7u);
  EXPECT_EQ(Number(back.substr(20, 4)), UINT32_MAX);  // more than it has room for
  const std::string_view third = m.substr(120, 48);
  EXPECT_EQ(Number(third.substr(0, 4)), 0x0a000003u);
  EXPECT_EQ(Number(third.substr(24, 4)), 0u);
  const std::string_view answer = m.substr(168, 48);
  EXPECT_EQ(Number(answer.substr(0, 4)), 0x0a000009u);

  for (int i = 0; i < 20; ++i) {
    messages.Add(Sample("10.0.0.2", "10.0.0.1"), time);
  }
  messages.Flush(time);
  ASSERT_THAT(sent, SizeIs(3));
  EXPECT_EQ(Number(std::string_view(sent[1]).substr(2, 2)), 30u);
  EXPECT_EQ(Number(std::string_view(sent[1]).substr(16, 4)), 4u);
  EXPECT_EQ(Number(std::string_view(sent[2]).substr(2, 2)), 10u);
  EXPECT_EQ(Number(std::string_view(sent[2]).substr(16, 4)), 34u);
}

// ---- Lines -----------------------------------------------------------------

TEST(SessionTextTest, Json) {
  FlowRecord record = Translated(Sample("10.0.0.2", "10.0.0.1"), "192.0.2.1",
                                 "10.0.0.1");
  record.parent = 0xab00;
  std::string line;
  AppendSession(record,
                {.filter = "vm\"1", .interface = "outside",
                 .anchor = "a/b", .rule = 3, .time = kWall},
                SessionForm::kJson, &line);
  EXPECT_EQ(
      line,
      "{\"time\":\"2023-11-14T22:13:20.123Z\",\"event\":\"end\","
      "\"cause\":\"timeout\",\"id\":\"0000000001234500\","
      "\"parent\":\"000000000000ab00\",\"filter\":\"vm\\\"1\","
      "\"interface\":\"outside\",\"direction\":\"in\",\"vlan\":\"42\","
      "\"protocol\":17,\"source\":\"10.0.0.2\",\"source_port\":1025,"
      "\"destination\":\"10.0.0.1\",\"destination_port\":53,"
      "\"translated_source\":\"192.0.2.1\",\"translated_source_port\":50000,"
      "\"translated_destination\":\"10.0.0.1\","
      "\"translated_destination_port\":5353,\"rule\":3,\"anchor\":\"a/b\","
      "\"packets\":[3,2],\"bytes\":[300,21474836480],\"duration_ms\":8000,"
      "\"idle_ms\":5000}\n");
  record = Sample("2001:db8::2", "2001:db8::1");
  record.end = FlowEnd::kNone;
  record.vlan = {};
  line.clear();
  AppendSession(record,
                {.filter = {}, .interface = "outside", .anchor = {},
                 .time = kWall},
                SessionForm::kJson, &line);
  EXPECT_EQ(
      line,
      "{\"time\":\"2023-11-14T22:13:20.123Z\",\"event\":\"start\","
      "\"id\":\"0000000001234500\",\"interface\":\"outside\","
      "\"direction\":\"in\",\"protocol\":17,\"source\":\"2001:db8::2\","
      "\"source_port\":1025,\"destination\":\"2001:db8::1\","
      "\"destination_port\":53}\n");
}

// A packet of a round may be later than the sweep that ends its state.
TEST(SessionTextTest, NothingIsIdleForLessThanNoTime) {
  FlowRecord record = Sample("10.0.0.2", "10.0.0.1");
  record.created = record.last_seen = record.now + 3;
  std::string line;
  AppendSession(record, {.filter = {}, .interface = "outside", .anchor = {}},
                SessionForm::kJson, &line);
  EXPECT_THAT(line, ::testing::HasSubstr("\"duration_ms\":0,\"idle_ms\":0}"));
}

TEST(FlowTimeTest, OfOldStatesAndOfThoseAhead) {
  constexpr Tick kThirtyDays = 30u * 24 * 3600 * 1000;
  const FlowTime time = {.now = 10'000, .wall = kWall};
  EXPECT_EQ(time.WallOf(10'000 - kThirtyDays), kWall / 1000 - kThirtyDays);
  EXPECT_EQ(time.WallOf(9'999), kWall / 1000 - 1);
  EXPECT_EQ(time.WallOf(10'001), kWall / 1000);
}

TEST(SessionTextTest, Text) {
  std::string line;
  AppendSession(Sample("2001:db8::2", "2001:db8::1"),
                {.filter = "main", .interface = "outside", .anchor = "a",
                 .rule = 3, .time = kWall},
                SessionForm::kText, &line);
  EXPECT_EQ(line,
            "2023-11-14T22:13:20.123Z end timeout udp 2001:db8::2[1025] > "
            "2001:db8::1[53] vlan 42 packets 3/2 bytes 300/21474836480 filter "
            "main in on outside rule 3 of a id 0000000001234500\n");
}

// ---- The whole -------------------------------------------------------------

class FlowLogTest : public ::testing::Test {
 protected:
  FlowLogTest() {
    char folder[] = "/tmp/sluice-flows-XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~FlowLogTest() override { std::filesystem::remove_all(folder_); }

  static void Resolve(const FlowRecord&, SessionContext* context) {
    context->interface = "outside";
  }
  static void Put(FlowRing* ring, const FlowRecord& record) {
    if (FlowRecord* const out = ring->Begin()) {
      *out = record;
      ring->Commit();
    }
  }
  std::vector<std::string> Lines(const std::string& name) const {
    std::ifstream file(folder_ / name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  std::filesystem::path folder_;
};

TEST_F(FlowLogTest, LinesOfAllWorkersAndAfterARotation) {
  auto log = *FlowLog::Open({.sessions = folder_ / "s", .form = SessionForm::kText},
                            2, 0, Resolve);
  EXPECT_TRUE(log->wants_all());
  Put(log->ring(0), Sample("10.0.0.2", "10.0.0.1"));
  Put(log->ring(1), Sample("10.0.0.3", "10.0.0.1"));
  log->Drain(10'000, kWall);
  while (log->counts().sessions < 2) std::this_thread::yield();
  std::filesystem::rename(folder_ / "s", folder_ / "s.1");
  log->Reopen();
  Put(log->ring(1), Sample("10.0.0.4", "10.0.0.1"));
  log->Drain(10'000, kWall);
  while (log->counts().sessions < 3) std::this_thread::yield();
  EXPECT_THAT(Lines("s.1"), SizeIs(2));
  EXPECT_THAT(Lines("s"), SizeIs(1));
  EXPECT_THAT(Lines("s")[0], ::testing::HasSubstr("10.0.0.4"));
}

TEST_F(FlowLogTest, WhatIsLostIsCounted) {
  auto log = *FlowLog::Open({.sessions = folder_ / "missing" / "s"}, 1, 0,
                            Resolve);
  const uint32_t room = log->ring(0)->capacity();
  for (uint32_t i = 0; i < room + 5; ++i) {
    Put(log->ring(0), Sample("10.0.0.2", "10.0.0.1"));
  }
  do {
    log->Drain(10'000, kWall);
  } while (log->more());
  while (log->counts().sessions_lost < room) std::this_thread::yield();
  EXPECT_EQ(log->counts().ring_lost, 5u);
  EXPECT_EQ(log->counts().sessions, 0u);
}

TEST_F(FlowLogTest, ATurnEndsInTimeAndTheNextGoesOn) {
  auto log = *FlowLog::Open({.sessions = folder_ / "s", .form = SessionForm::kText},
                            2, 0, Resolve);
  for (int i = 0; i < 100; ++i) {
    Put(log->ring(0), Sample("10.0.0.2", "10.0.0.1"));
    Put(log->ring(1), Sample("10.0.0.3", "10.0.0.1"));
  }
  EXPECT_FALSE(log->more());
  int turns = 0;
  do {
    log->Drain(10'000, kWall, std::chrono::microseconds(0));
    ++turns;
  } while (log->more());
  EXPECT_EQ(turns, 4);  // 64 records each
  while (log->counts().sessions < 200) std::this_thread::yield();
  const std::vector<std::string> lines = Lines("s");
  ASSERT_THAT(lines, SizeIs(200));
  // Each worker's is the first one in its turn.
  EXPECT_NE(lines[0].substr(0, lines[0].find(" >")),
            lines[64].substr(0, lines[64].find(" >")));
  EXPECT_EQ(log->counts().ring_lost, 0u);
  EXPECT_EQ(log->counts().sessions_lost, 0u);
}

// More at a stretch than may wait: what there is room for is written.
TEST_F(FlowLogTest, AFloodIsLoggedInPart) {
  const std::string anchor(4000, 'a');
  auto log = *FlowLog::Open(
      {.sessions = folder_ / "s"}, 1, 0,
      [&](const FlowRecord&, SessionContext* context) {
        context->interface = "outside";
        context->anchor = anchor;
      });
  const uint32_t room = log->ring(0)->capacity();
  ASSERT_GT(size_t{room} * anchor.size(), SessionFile::kMaxWaiting);
  for (uint32_t i = 0; i < room; ++i) {
    Put(log->ring(0), Sample("10.0.0.2", "10.0.0.1"));
  }
  log->Drain(10'000, kWall, std::chrono::minutes(1));
  EXPECT_FALSE(log->more());
  while (log->counts().sessions + log->counts().sessions_lost < room) {
    std::this_thread::yield();
  }
  EXPECT_GT(log->counts().sessions, 0u);
  EXPECT_THAT(Lines("s"), SizeIs(log->counts().sessions));
}

TEST_F(FlowLogTest, WhatIsMoreThanMayWaitIsTakenIfNothingWaits) {
  SessionFile file(folder_ / "s");
  file.Append(std::string(SessionFile::kMaxWaiting, 'x') + "\n", 1);
  while (file.written() + file.lost() < 1) std::this_thread::yield();
  EXPECT_EQ(file.lost(), 0u);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "s"),
            SessionFile::kMaxWaiting + 1);
}

TEST_F(FlowLogTest, ToACollectorOnLoopback) {
  for (const bool six : {false, true}) {
    const int fd = ::socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    sockaddr_storage own{};
    own.ss_family = six ? AF_INET6 : AF_INET;
    if (six) {
      reinterpret_cast<sockaddr_in6*>(&own)->sin6_addr = in6addr_loopback;
    } else {
      reinterpret_cast<sockaddr_in*>(&own)->sin_addr.s_addr =
          htonl(INADDR_LOOPBACK);
    }
    socklen_t length = sizeof own;
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&own), length), 0);
    ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length), 0);
    FlowEndpoint to;
    to.address = A(six ? "::1" : "127.0.0.1");
    to.port = ntohs(reinterpret_cast<sockaddr_in*>(&own)->sin_port);
    auto log = *FlowLog::Open(
        {.collector = to, .source = {.address = to.address}, .domain = 3}, 1, 0,
        Resolve);
    EXPECT_FALSE(log->wants_all());
    Put(log->ring(0), Sample("10.0.0.2", "10.0.0.1"));
    FlowRecord begun = Sample("10.0.0.2", "10.0.0.1");
    begun.end = FlowEnd::kNone;
    Put(log->ring(0), begun);
    FlowRecord other = Sample("10.0.0.2", "10.0.0.1");
    other.exported = false;
    Put(log->ring(0), other);
    log->Drain(10'000, kWall);
    char datagram[2048];
    const ssize_t got = ::recv(fd, datagram, sizeof datagram, MSG_DONTWAIT);
    ASSERT_GT(got, 0);
    Collector collector;
    collector.Take({datagram, static_cast<size_t>(got)});
    EXPECT_THAT(collector.flows, SizeIs(2));
    EXPECT_THAT(collector.domains, ElementsAre(3));
    EXPECT_EQ(log->counts().exported, 2u);
    EXPECT_EQ(log->counts().export_lost, 0u);
    ::close(fd);
  }
}

TEST(FlowEndpointTest, AddressesAndPorts) {
  FlowEndpoint to;
  EXPECT_TRUE(ParseFlowEndpoint("192.0.2.1:4739", true, &to));
  EXPECT_EQ(to, (FlowEndpoint{A("192.0.2.1"), 4739}));
  EXPECT_TRUE(ParseFlowEndpoint("[2001:db8::1]:2055", true, &to));
  EXPECT_EQ(to, (FlowEndpoint{A("2001:db8::1"), 2055}));
  EXPECT_TRUE(ParseFlowEndpoint("2001:db8::1", false, &to));
  EXPECT_EQ(to, (FlowEndpoint{A("2001:db8::1"), 0}));
  for (const char* wrong :
       {"", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
        "2001:db8::1", "[192.0.2.1]:5", "2001:db8::1:5x", "host:5",
        "192.0.2.1:5 "}) {
    EXPECT_FALSE(ParseFlowEndpoint(wrong, true, &to)) << wrong;
  }
}

}  // namespace
}  // namespace sluice
