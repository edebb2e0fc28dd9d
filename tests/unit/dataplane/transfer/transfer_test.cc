// Exports and imports of planes with workers and packets.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "transfer_node.h"

namespace sluice {
namespace {

constexpr char kTransferRules[] =
    "set limit states 3000\n"
    "table <known> persist { 10.9.0.0/16, 2001:db8:9::/48 }\n"
    "block return all\n"
    "pass in on \"in\" proto tcp to port 80 flags S/SA keep state\n"
    "pass in on \"in\" proto udp to port 69 keep state\n"
    "pass in on \"in\" proto icmp keep state\n"
    "pass in on \"in\" inet6 proto ipv6-icmp keep state\n"
    "pass out on \"out\" proto { tcp udp icmp ipv6-icmp } keep state\n";

// The addresses of a test of one family.
struct Hosts {
  std::string client;
  std::string server;
  // $C and $S become them.
  std::string operator()(std::string text) const {
    for (const auto& [from, to] :
         {std::pair<std::string, std::string>{"$C", client}, {"$S", server}}) {
      for (size_t at; (at = text.find(from)) != std::string::npos;) {
        text.replace(at, from.size(), to);
      }
    }
    return text;
  }
};

class TransferTest : public testing::TestWithParam<Family> {
 protected:
  static Hosts HostsOf(int client) {
    return GetParam() == Family::kIpv4
               ? Hosts{"10.0.0." + std::to_string(client), "10.1.0.1"}
               : Hosts{"[2001:db8::" + std::to_string(client) + "]",
                       "[2001:db8:1::1]"};
  }

  // A packet that arrives at port 0 or 1, and whether it leaves by the other.
  struct Step {
    size_t port;
    const char* packet;
    bool passes = true;
  };
  static void Play(TransferNode& node, const Hosts& at,
                   std::initializer_list<Step> steps) {
    for (const Step& step : steps) {
      EXPECT_EQ(node.Passes(step.port, at(step.packet)), step.passes)
          << at(step.packet);
    }
  }

  // A handshake and some data; the client's next byte is 1101, the server's
  // 9201.
  void OpenTcp(TransferNode& node, const Hosts& at) {
    Play(node, at,
         {{0, "tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>"},
          {1, "tcp $S:80 > $C:4000 SA seq 9000 ack 1001 win 4000 <wscale 3>"},
          {0, "tcp $C:4000 > $S:80 A seq 1001 ack 9001 win 4000"},
          {0, "tcp $C:4000 > $S:80 PA seq 1001 ack 9001 win 4000 data 100"},
          {1, "tcp $S:80 > $C:4000 PA seq 9001 ack 1101 win 4000 data 200"}});
  }
  // What follows passes, and what is outside of the window does not.
  void ContinueTcp(TransferNode& node, const Hosts& at) {
    Play(node, at,
         {{0, "tcp $C:4000 > $S:80 PA seq 1101 ack 9201 win 4000 data 50"},
          {1, "tcp $S:80 > $C:4000 PA seq 9201 ack 1151 win 4000 data 70"},
          {1, "tcp $S:80 > $C:4000 PA seq 999999 ack 1151 win 4000 data 9",
           false}});
  }
  // Ends with the request again: the server may answer from another port.
  void OpenTftp(TransferNode& node, const Hosts& at) {
    Play(node, at,
         {{0, "udp $C:5000 > $S:69 tftp rrq \"f\" octet"},
          {1, "udp $S:3000 > $C:5000 tftp oack blksize 1024"},
          {0, "udp $C:5000 > $S:69 tftp rrq \"f\" octet"}});
  }
  void ContinueTftp(TransferNode& node, const Hosts& at) {
    Play(node, at,
         {{0, "udp $C:5000 > $S:3000 tftp ack 0"},
          {1, "udp $S:3000 > $C:5000 tftp data 1 512"},
          {1, "udp $S:3001 > $C:5000 tftp data 1 512"},
          {1, "udp $S:3002 > $C:5001 tftp data 1 512", false}});
  }
};

INSTANTIATE_TEST_SUITE_P(Families, TransferTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(TransferTest, ConnectionsGoOnElsewhereWithoutAReset) {
  TransferNode from;
  from->Load(kTransferRules);
  const Hosts at = HostsOf(2);
  OpenTcp(from, at);
  OpenTftp(from, at);
  ASSERT_EQ(from.States(), 6u);
  const std::vector<uint8_t> bytes = from.Snapshot();
  // What was exported goes on where it is.
  EXPECT_TRUE(from.Passes(
      0, at("tcp $C:4000 > $S:80 A seq 1101 ack 9201 win 4000")));

  TransferNode to;
  const absl::StatusOr<ImportReport> report = to.Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->answer.code, RestoreCode::kRestored)
      << report->answer.detail;
  EXPECT_EQ(report->answer.report.states_imported, 6u);
  EXPECT_EQ(to.States(), 6u);
  EXPECT_EQ(to->budget().used(), 6u);
  EXPECT_EQ(to->budget().limit(), 3000u);
  EXPECT_EQ(to.policy_changes(), 1);
  EXPECT_EQ(PolicyListing(to->store()).Tables().size(), 1u);
  EXPECT_GT(report->time.longest_step, 0u);
  ContinueTcp(to, at);
  ContinueTftp(to, at);
  // `block return` has answered the last TCP segment in neither way.
  EXPECT_EQ(CheckInvariants(to->store()), absl::OkStatus());
}

TEST_P(TransferTest, StatesLandOnTheWorkerThatSeesTheirPackets) {
  TransferNode from;
  from->Load(kTransferRules);
  for (int client = 2; client < 22; ++client) {
    OpenTcp(from, HostsOf(client));
    OpenTftp(from, HostsOf(client));
    const std::string ping =
        GetParam() == Family::kIpv4 ? "icmp $C > $S echo id 7 seq 1"
                                    : "icmp $C > $S echo id 7 seq 1";
    EXPECT_TRUE(from.Passes(0, HostsOf(client)(ping)));
  }
  const std::vector<uint8_t> bytes = from.Snapshot();
  TransferNode to({.workers = 3});
  const absl::StatusOr<ImportReport> report = to.Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->answer.code, RestoreCode::kRestored)
      << report->answer.detail;
  EXPECT_EQ(to.States(), from.States());
  int busy_workers = 0;
  for (Worker* worker : to->workers()) {
    busy_workers += worker->states().size() > 0;
  }
  EXPECT_EQ(busy_workers, 3);
  for (int client = 2; client < 22; ++client) {
    ContinueTcp(to, HostsOf(client));
    ContinueTftp(to, HostsOf(client));
    const std::string reply =
        GetParam() == Family::kIpv4 ? "icmp $S > $C echoreply id 7 seq 1"
                                    : "icmp $S > $C echoreply id 7 seq 1";
    EXPECT_TRUE(to.Passes(1, HostsOf(client)(reply)));
  }
  // And back again from three to one.
  TransferNode back;
  const absl::StatusOr<ImportReport> again = back.Import(to.Snapshot());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(back.States(), to.States());
}

TEST_P(TransferTest, AnExportedImportIsTheSameSnapshot) {
  TransferNode from;
  from->Load(kTransferRules);
  OpenTcp(from, HostsOf(2));
  OpenTftp(from, HostsOf(3));
  const std::vector<uint8_t> bytes = from.Snapshot();
  TransferNode to;
  ASSERT_TRUE(to.Import(bytes).ok());
  const auto before = ReadSnapshot(bytes);
  auto after = ReadSnapshot(to.Snapshot());
  ASSERT_TRUE(before.ok() && after.ok()) << after.status();
  ASSERT_EQ(after->snapshot.parents.size(), before->snapshot.parents.size());
  for (size_t i = 0; i < before->snapshot.parents.size(); ++i) {
    SnapshotState a = before->snapshot.parents[i];
    SnapshotState b = after->snapshot.parents[i];
    // Time goes on.
    for (SnapshotState* state : {&a, &b}) {
      state->age = state->remaining = state->idle = 0;
    }
    EXPECT_EQ(a, b) << i;
  }
  EXPECT_EQ(after->snapshot.children.size(),
            before->snapshot.children.size());
  // One for the parent on each side of the wire.
  EXPECT_EQ(before->snapshot.expectations.size(), 2u);
  EXPECT_EQ(after->snapshot.expectations.size(), 2u);
  EXPECT_EQ(after->snapshot.rulesets, before->snapshot.rulesets);
  EXPECT_EQ(after->snapshot.tables, before->snapshot.tables);
  EXPECT_EQ(after->snapshot.limits, before->snapshot.limits);
}

// Rules count the packets of living states too, and where those go on they
// are not counted again.
// What the control lcore does of very many sources at once is bounded.
TEST_P(TransferTest, ManySourcesComeAndGoInSteps) {
  constexpr uint32_t kMany = 20'000;
  TransferNode from;
  from->Load("set limit src-nodes 30000\npass\n");
  absl::StatusOr<ReadResult> read = ReadSnapshot(from.Snapshot());
  ASSERT_TRUE(read.ok()) << read.status();
  for (uint32_t i = 0; i < kMany; ++i) {
    SnapshotSourceNode& node =
        read->snapshot.source_nodes.emplace_back();
    node.remaining = 1'000'000;
    node.source = Address::V4(0x0a000000 + i);
    if (GetParam() == Family::kIpv4) continue;
    node.source = *ParseAddress("2001:db8::");
    node.source.bytes[14] = static_cast<uint8_t>(i >> 8);
    node.source.bytes[15] = static_cast<uint8_t>(i);
  }
  const auto bytes = WriteSnapshot(read->snapshot);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  TransferNode to({.workers = 1, .limits = {.longest_gap = UINT64_MAX}});
  to->Load("pass\n");
  SourceBudget& budget = *to.plane().filter().sources;
  const uint32_t limit = budget.nodes.limit();
  std::optional<absl::StatusOr<ImportReport>> report;
  ImportRequest request;
  request.filter = "main";
  request.snapshot = MemoryFile(*bytes);
  request.policy = true;
  to.service().Import(std::move(request),
                      [&](absl::StatusOr<ImportReport> r) { report = r; });
  to.TurnUntil([&] {
    return to.status().state == RestoreState::kCommitting;
  });
  EXPECT_EQ(budget.nodes.used(), kMany);
  // No worker does its part in time: all of it goes back, and then comes again.
  to.TurnWithoutWorkers(std::chrono::milliseconds(1));
  to.Skip(RestoreLimits().commit);
  to.TurnWithoutWorkers(std::chrono::milliseconds(1));
  EXPECT_EQ(to.service().queue_metrics().retries, 1u);
  std::vector<uint32_t> seen = {kMany};
  to.TurnUntil([&] {
    const uint32_t used = budget.nodes.used();
    if (used != seen.back()) seen.push_back(used);
    return used == 0;
  });
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_EQ(budget.nodes.limit(), limit);
  to.TurnUntil([&] { return to.policy_changes() == 1; });
  EXPECT_FALSE(report.has_value());
  to.Turn();
  EXPECT_FALSE(report.has_value());
  to.TurnUntil([&] { return report.has_value(); });
  ASSERT_TRUE(report->ok()) << report->status();
  EXPECT_EQ((*report)->answer.code, RestoreCode::kRestored);
  EXPECT_EQ((*report)->answer.report.sources_imported, kMany);
  EXPECT_EQ(budget.nodes.used(), kMany);
  EXPECT_EQ(to.service().queue_metrics().commits, 1u);
}

TEST_P(TransferTest, CountersOfRulesHaveAllOfTheirStates) {
  TransferNode from;
  from->Load(kTransferRules);
  OpenTcp(from, HostsOf(2));
  OpenTftp(from, HostsOf(3));
  const auto sums = [](const std::vector<uint8_t>& bytes) {
    const auto read = ReadSnapshot(bytes);
    EXPECT_TRUE(read.ok()) << read.status();
    std::pair<uint64_t, uint64_t> rules, states;
    for (const SnapshotRuleCounters& rule : read->snapshot.rule_counters) {
      rules.first += rule.packets[0] + rule.packets[1];
      rules.second += rule.bytes[0] + rule.bytes[1];
    }
    for (const auto* list :
         {&read->snapshot.parents, &read->snapshot.children}) {
      for (const SnapshotState& state : *list) {
        for (const SnapshotPeer& peer : state.peers) {
          states.first += peer.packets;
          states.second += peer.bytes;
        }
      }
    }
    return std::pair(rules, states);
  };
  const std::vector<uint8_t> bytes = from.Snapshot();
  const auto [rules, states] = sums(bytes);
  // Each packet is judged where it comes in and where it leaves.
  EXPECT_EQ(states.first, 2u * (5 + 3));
  EXPECT_EQ(rules, states);
  TransferNode to;
  ASSERT_TRUE(to.Import(bytes).ok());
  ContinueTcp(to, HostsOf(2));
  const auto [rules_after, states_after] = sums(to.Snapshot());
  EXPECT_GT(states_after.first, states.first);
  EXPECT_EQ(rules_after, states_after);
}

TEST_P(TransferTest, ExportsWhilePacketsFlow) {
  TransferNode node({.workers = 2});
  node->Load(kTransferRules);
  node.Start();
  // New flows come all the time, more of them than a chunk holds.
  std::atomic<bool> stop{false};
  std::atomic<int> sent{0};
  std::thread sender([&] {
    for (int i = 0; !stop; ++i) {
      const Hosts at = HostsOf(2 + i % 250);
      const std::string text = at("tcp $C:" + std::to_string(1025 + i % 1000) +
                                  " > $S:80 S seq 1000 win 4000");
      rte_mbuf* mbuf = node->Make(text);
      if (node->port(0).Arrive(mbuf, static_cast<uint16_t>(i % 2))) {
        ++sent;
      } else {
        rte_pktmbuf_free(mbuf);
      }
      node->port(1).Drain();
      node->port(0).Drain();
    }
  });
  node.TurnUntil([&] { return node.States() > 500; });
  for (int i = 0; i < 20; ++i) {
    const uint64_t before = node.States();
    const std::vector<uint8_t> bytes = node.Snapshot();
    const auto read = ReadSnapshot(bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    // No state ends meanwhile: each that was there is there.
    EXPECT_GE(read->snapshot.parents.size() + read->snapshot.children.size(),
              before);
  }
  stop = true;
  sender.join();
  EXPECT_GT(sent.load(), 500);
  EXPECT_GT(node.service().Metrics().longest_step, 0u);
}

}  // namespace
}  // namespace sluice
