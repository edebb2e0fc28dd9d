// A translated control connection over a line that loses, repeats and cuts:
// whatever happens to its segments, both hosts agree on what was said.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/ftp.h"
#include "conntrack/state_import.h"
#include "conntrack/translation_directory.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class FtpStream : public testing::TestWithParam<Family> {
 protected:
  FtpStream() : directory_(HashSecret::FromSeed(9)), shard_(GetParam()) {
    EXPECT_TRUE(directory_.Build(64).ok());
    shard_.table->SetTranslations(&directory_);
  }

  bool v4() const { return GetParam() == Family::kIpv4; }
  std::string Port(int port, bool outer) const {
    if (!v4()) {
      return absl::StrCat("EPRT |2|", outer ? "2001:db9::1:77" : "2001:db8::2",
                          "|", port, "|");
    }
    return absl::StrCat("PORT ", outer ? "192,0,2,7" : "10,0,0,2", ",",
                        port / 256, ",", port % 256);
  }

  // A packet as it goes on; nothing: it was dropped.
  struct Passed {
    bool passed = false;
    uint32_t sequence = 0;
    uint32_t acknowledgment = 0;
    std::string payload;
  };
  Passed Send(const std::string& text, std::string_view payload,
              Direction direction) {
    std::string hex;
    for (const char c : payload) {
      absl::StrAppend(&hex, absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
    }
    const std::vector<uint8_t> frame = FrameFromText(InFamily(
        GetParam(), text + (hex.empty() ? "" : " data 0x" + hex)));
    PlainMbuf mbuf(frame, {}, 200);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const JudgePoint where{.direction = direction};
    const StateIndex state = shard_.table->Find(info, *mbuf, where);
    EXPECT_NE(state, kNoState) << text;
    if (state == kNoState) return {};
    const StepResult step =
        shard_.table->Step(state, info, *mbuf, direction, shard_.now);
    EXPECT_EQ(step.verdict, StepVerdict::kPass) << text;
    if (step.verdict != StepVerdict::kPass) return {};
    if (RunFtpHelper(*shard_.table, state, &info, *mbuf.get(), where,
                     shard_.now,
                     *shard_.expectations) == HelperVerdict::kDrop) {
      return {};
    }
    shard_.table->Shift(state, *mbuf.get(), &info, direction, step.shift);
    PacketInfo seen;
    ParsePacket(*mbuf, {}, &seen);
    EXPECT_EQ(seen.kind, Kind::kIp);
    const std::vector<uint8_t> bytes = mbuf.bytes();
    return {.passed = true,
            .sequence = seen.sequence,
            .acknowledgment = seen.acknowledgment,
            .payload = std::string(bytes.begin() + seen.payload_offset(),
                                   bytes.end())};
  }

  std::string From() const {
    return "tcp $C:1025 > $S:21";
  }
  std::string Back() const {
    return v4() ? "tcp $S:21 > 192.0.2.7:6000"
                : "tcp $S:21 > [2001:db9::1:77]:6000";
  }
  void Open(uint32_t client, uint32_t server) {
    TestPacket syn(GetParam(), absl::StrCat(From(), " S seq ", client - 1));
    PacketInfo beyond = syn.info;
    beyond.source =
        ParsePrefix(v4() ? "192.0.2.7" : "2001:db9::1:77")->address.bytes;
    beyond.source_port = Be16(6000);
    const JudgePoint out{.direction = Direction::kOut};
    const InsertResult made = shard_.table->Insert(
        syn.info, *syn.mbuf, out, {}, shard_.now, nullptr, &beyond);
    ASSERT_NE(made.state, kNoState);
    shard_.Help(made.state, syn, out);
    Send(absl::StrCat(Back(), " SA seq ", server - 1, " ack ", client), "",
         Direction::kIn);
    Send(absl::StrCat(From(), " A seq ", client, " ack ", server), "",
         Direction::kOut);
  }

  StateIndex Only() {
    StateIndex only = kNoState;
    uint32_t cursor = 0;
    shard_.table->entries().Visit(&cursor, ~uint32_t{0},
                                  [&](StateIndex state) { only = state; });
    return only;
  }
  void Close() {
    shard_.table->Remove(Only());
    EXPECT_EQ(directory_.size(), 0u);
  }
  void Import(StateRecord record, StateImport* import) {
    record.id = (StateIntake(shard_.table.get()).last_id() + 1) << 8;
    import->Add({.record = record});
    ASSERT_EQ(StateIntake(shard_.table.get()).Reserve(import, 10),
              ReserveResult::kReady);
    ASSERT_TRUE(StateIntake(shard_.table.get()).Commit(import, shard_.now, 10));
  }

  TranslationDirectory directory_;
  Shard shard_;
};
INSTANTIATE_TEST_SUITE_P(Families, FtpStream,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(FtpStream, BothHostsAgreeOnWhatWasSaid) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](size_t n) {
      return static_cast<uint32_t>(random() % n);
    };
    // Sequence numbers wrap around on the way.
    const uint32_t first = 0xffffff80 + below(100);
    const uint32_t server = 5000;
    Open(first, server);
    std::vector<std::string> said, told;
    std::string stream;
    for (int i = 0; i < 12; ++i) {
      const bool named = below(2) == 0;
      const int port = 2000 + static_cast<int>(below(3000));
      said.push_back(named ? Port(port, false) : absl::StrCat("LIST ", i));
      told.push_back(named ? Port(port, true) : said.back());
      stream += said.back() + "\r\n";
    }
    std::map<uint32_t, char> heard;  // by place in the server's numbers
    uint32_t heard_to = 0;           // all before it
    uint32_t acknowledged = 0;       // places of the client's
    size_t line_end = 0;
    for (int tries = 0; acknowledged < stream.size(); ++tries) {
      ASSERT_LT(tries, 5000);
      // A host sends a command when the one before it was heard.
      if (acknowledged >= line_end) {
        line_end = stream.find("\r\n", acknowledged) + 2;
        if (below(4) == 0 && line_end < stream.size()) {
          line_end = stream.find("\r\n", line_end) + 2;
        }
      }
      // From where the other host is, or from somewhere behind, as far as it
      // likes.
      uint32_t begin = acknowledged;
      if (below(5) == 0) begin += below(line_end - acknowledged);
      if (below(5) == 0 && begin > 5) begin -= below(6);
      uint32_t end = static_cast<uint32_t>(line_end);
      if (below(3) == 0) end = begin + 1 + below(end - begin);
      const Passed there =
          Send(absl::StrCat(From(), " PA seq ", first + begin, " ack ", server),
               std::string_view(stream).substr(begin, end - begin),
               Direction::kOut);
      if (!there.passed || below(4) == 0) continue;
      for (size_t i = 0; i < there.payload.size(); ++i) {
        const uint32_t at =
            there.sequence + static_cast<uint32_t>(i) - first;
        const auto [place, added] = heard.emplace(at, there.payload[i]);
        ASSERT_EQ(place->second, there.payload[i]) << "at " << at;
      }
      while (heard.count(heard_to) != 0) ++heard_to;
      const Passed back =
          Send(absl::StrCat(Back(), " A seq ", server, " ack ",
                            first + heard_to),
               "", Direction::kIn);
      if (!back.passed || below(4) == 0) continue;
      const uint32_t now = back.acknowledgment - first;
      ASSERT_LE(now, line_end);
      acknowledged = std::max(acknowledged, now);
    }
    // Line by line: as it was said, or with the names that were meant.
    std::string all;
    for (uint32_t i = 0; i < heard_to; ++i) all += heard[i];
    size_t at = 0;
    uint32_t replaced = 0;
    for (size_t i = 0; i < said.size(); ++i) {
      const size_t end = all.find("\r\n", at);
      ASSERT_NE(end, std::string::npos);
      const std::string line = all.substr(at, end - at);
      ASSERT_TRUE(line == said[i] || line == told[i]) << line;
      replaced += line != said[i];
      at = end + 2;
    }
    ASSERT_EQ(at, all.size());
    EXPECT_GT(replaced, 0u);
    uint32_t cursor = 0;
    std::vector<StateIndex> gone;
    shard_.table->entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex state) {
      gone.push_back(state);
    });
    for (const StateIndex state : gone) shard_.table->Remove(state);
    EXPECT_EQ(directory_.size(), 0u);
    EXPECT_EQ(shard_.expectations->size(), 0u);
  }
}

// However much is said after a text that was replaced, what comes behind it
// stays moved.
TEST_P(FtpStream, ATextCountsForAsLongAsTheConnectionLasts) {
  const uint32_t first = 1000, server = 5000;
  Open(first, server);
  const std::string line = Port(2048, false) + "\r\n";
  const auto grown = static_cast<uint32_t>(Port(2048, true).size() + 2 -
                                           line.size());
  ASSERT_TRUE(Send(absl::StrCat(From(), " PA seq ", first, " ack ", server),
                   line, Direction::kOut).passed);
  FtpSession* const session = shard_.table->ftp_session(Only());
  ASSERT_NE(session, nullptr);
  const FtpEdits& edits = session->edits[0];
  ASSERT_EQ(edits.total(), grown);
  uint32_t at = first + static_cast<uint32_t>(line.size());
  for (int i = 0; i < 40; ++i, at += 1u << 28) {
    SCOPED_TRACE(i);
    session->readers[0].Begin(at);
    TestPacket word(GetParam(),
                    absl::StrCat(From(), " PA seq ", at, " ack ", server,
                                 " data 0x4e4f4f500d0a"));
    ASSERT_EQ(shard_.Help(Only(), word, {.direction = Direction::kOut}),
              HelperVerdict::kPass);
    EXPECT_EQ(edits.total(), grown);
    for (const uint32_t near : {at, at + 6, at - (1u << 20)}) {
      if (i == 0 && near - first > 1u << 30) continue;
      EXPECT_EQ(edits.Forward(near), grown);
      EXPECT_EQ(edits.Backward(near + grown), near);
    }
  }
  Close();
}

// What an exporter that is ahead says of its numbers counts the texts that were
// replaced here as well.
TEST_P(FtpStream, TextsAreCountedOnceWhenStatesAreMerged) {
  Open(1000, 5000);
  const std::string line = Port(2048, false) + "\r\n";
  ASSERT_TRUE(Send(absl::StrCat(From(), " PA seq 1000 ack 5000"), line,
                   Direction::kOut).passed);
  StateRecord ahead = shard_.Record(Only());
  ASSERT_NE(ahead.offset[0], 0u);
  ahead.window[0].low += 100;
  ahead.window[0].high += 100;
  ahead.offset[1] = 77;
  StateImport import;
  Import(ahead, &import);
  EXPECT_EQ(import.advanced, 1u);
  EXPECT_EQ(shard_.Record(Only()).offset, ahead.offset);
  // One that knows less of this peer says nothing of it.
  StateRecord behind = shard_.Record(Only());
  behind.window[0].low -= 50;
  behind.window[1].low += 100;
  behind.offset[0] = 1;
  StateImport second;
  Import(behind, &second);
  EXPECT_EQ(second.advanced, 1u);
  EXPECT_EQ(shard_.Record(Only()).offset, ahead.offset);
  Close();
}

// Of a connection that changes its family the helper cannot rewrite anything.
TEST_P(FtpStream, ConnectionsThatChangeTheirFamilyAreNotFollowed) {
  TestPacket syn(GetParam(), absl::StrCat(From(), " S seq 999"));
  PacketInfo beyond = syn.info;
  beyond.family = v4() ? Family::kIpv6 : Family::kIpv4;
  beyond.source =
      ParsePrefix(v4() ? "2001:db9::1:77" : "192.0.2.7")->address.bytes;
  beyond.destination =
      ParsePrefix(v4() ? "64:ff9b::a00:1" : "10.0.0.1")->address.bytes;
  const JudgePoint where{.direction = Direction::kIn};
  ASSERT_NE(shard_.table->Insert(syn.info, *syn.mbuf, where, {}, shard_.now,
                                 nullptr, &beyond).state,
            kNoState);
  ASSERT_TRUE(shard_.table->Crosses(Only()));
  EXPECT_EQ(shard_.table->ftp_session(Only()), nullptr);
  const StateRecord record = shard_.Record(Only());
  Close();
  StateImport import;
  Import(record, &import);
  ASSERT_EQ(import.inserted, 1u);
  ASSERT_TRUE(shard_.table->Crosses(Only()));
  EXPECT_EQ(shard_.table->ftp_session(Only()), nullptr);
  EXPECT_EQ(shard_.table->entries().hot(Only()).flags & kEntryHelper, 0);
  Close();
}

}  // namespace
}  // namespace sluice
