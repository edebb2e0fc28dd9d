// `(if)` in rules in force, when the addresses of interfaces change: by the
// interpreter and by the classifier, without that rules are compiled again.
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "pftable/classify/classify.h"
#include "pftable/classify/classifier.h"
#include "pftable/classify/verdict_cache.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_store.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class DynamicAddressesTest : public EngineTest {
 protected:
  void Set(const char* port, std::vector<const char*> addresses) {
    std::vector<InterfaceRegistry::PortAddress> all;
    for (const char* text : addresses) all.push_back({*ParsePrefix(text)});
    ASSERT_TRUE(interfaces_.SetAddresses(port, all).ok());
  }
  // What a change of addresses leads to.
  void Follow() {
    const std::shared_ptr<const CompiledPolicy> before =
        store_->generation()->policy;
    absl::StatusOr<StagedGeneration> staged = store_->StageRefresh();
    ASSERT_TRUE(staged.ok()) << staged.status().message();
    ASSERT_TRUE(store_->Publish(*std::move(staged)).ok());
    EXPECT_EQ(store_->generation()->policy, before);
    EXPECT_FALSE(store_->HasOldAddresses());
    const absl::Status status = CheckInvariants(*store_);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  int WinnerOf(const TestPacket& packet) {
    const int winner = Winner(packet);
    const PacketInfo info = packet.Info();
    const EvaluationInput input{
        .packet = info, .interface = outside_, .received_on = outside_};
    const Generation& generation = *store_->current();
    const std::shared_ptr<const Classifier> classifier = Classifier::Build(
        *generation.policy, interfaces_.Views(), {.least_rules = 1});
    const std::array<const PacketInfo*, 1> packets = {&info};
    std::array<Candidates, 1> candidates;
    FindCandidates(*classifier, Direction::kIn, outside_, packets, cache_,
                   candidates);
    EXPECT_NE(candidates[0].part, nullptr);
    const Verdict verdict =
        EvaluateCandidates(generation, input, candidates[0], counters());
    EXPECT_EQ(verdict.rule == nullptr
                  ? -1
                  : static_cast<int>(verdict.rule->number),
              winner);
    return winner;
  }
  static TestPacket From(const char* address) {
    const bool v4 = std::string_view(address).find(':') == std::string::npos;
    return {.from = address, .to = v4 ? "203.0.113.1" : "2001:db8:9::1"};
  }

  VerdictCache cache_;
};

TEST_F(DynamicAddressesTest, AreFollowedAtOnce) {
  ASSERT_TRUE(Load("pass\n"
                   "block from (outside)\n"
                   "match from ! (outside:network) tag FAR\n"
                   "block tagged FAR\n")
                  .ok());
  EXPECT_EQ(WinnerOf(From("192.0.2.1")), 3);
  Set("outside", {"192.0.2.1/24", "2001:db8::1/64"});
  EXPECT_TRUE(store_->HasOldAddresses());
  Follow();
  EXPECT_EQ(WinnerOf(From("192.0.2.1")), 1);
  EXPECT_EQ(WinnerOf(From("192.0.2.2")), 0);
  EXPECT_EQ(WinnerOf(From("192.0.3.1")), 3);
  EXPECT_EQ(WinnerOf(From("2001:db8::1")), 1);
  EXPECT_EQ(WinnerOf(From("2001:db8::2")), 0);
  Set("outside", {"192.0.3.1/24"});
  Follow();
  EXPECT_EQ(WinnerOf(From("192.0.3.1")), 1);
  EXPECT_EQ(WinnerOf(From("192.0.2.1")), 3);
  EXPECT_EQ(WinnerOf(From("2001:db8::1")), 3);
}

// As the set of ports tells of a port again.
TEST_F(DynamicAddressesTest, APortThatIsMadeKnownAgain) {
  ASSERT_TRUE(Load("pass\nblock on edge from (outside)\n").ok());
  const std::string groups[] = {"edge"};
  const InterfaceRegistry::PortAddress address[] = {
      {*ParsePrefix("192.0.2.1/24")}};
  ASSERT_TRUE(interfaces_.AddPort("outside", groups, address).ok());
  Follow();
  EXPECT_EQ(WinnerOf(From("192.0.2.1")), 1);
  // In other groups it is another one to rules.
  ASSERT_TRUE(interfaces_.AddPort("outside", {}, address).ok());
  const absl::StatusOr<StagedGeneration> staged = store_->StageRefresh();
  ASSERT_TRUE(staged.ok());
  ASSERT_NE(staged->next, nullptr);
  EXPECT_NE(staged->next->policy, store_->generation()->policy);
}

TEST_F(DynamicAddressesTest, Modifiers) {
  ASSERT_TRUE(Load("pass\n"
                   "block from (outside:0)\n"
                   "block from (inside:broadcast)\n"
                   "block from (edge:network)\n"
                   "block from (self)/24\n"
                   "block from (inside:peer)\n")
                  .ok());
  // The link's own are neither the first nor a network.
  Set("outside", {"fe80::1/64", "2001:db8::9/64", "2001:db8::1/64",
                  "198.51.100.9/24", "198.51.100.1/24"});
  Set("inside", {"10.0.0.1/16"});
  Follow();
  EXPECT_EQ(WinnerOf(From("198.51.100.9")), 4);
  EXPECT_EQ(WinnerOf(From("10.0.255.255")), 2);
  EXPECT_EQ(WinnerOf(From("10.0.0.77")), 4);
  EXPECT_EQ(WinnerOf(From("10.0.1.77")), 0);
  EXPECT_EQ(WinnerOf(From("2001:db8::77")), 4);
  EXPECT_EQ(WinnerOf(From("2001:db8:1::77")), 4);
  EXPECT_EQ(WinnerOf(From("fe80::2")), 4);
}

// The first one is the one that was given first, not the lowest.
TEST_F(DynamicAddressesTest, TheFirstIsTheFirst) {
  ASSERT_TRUE(Load("pass\nblock from (outside:0)\n").ok());
  Set("outside", {"198.51.100.9/24", "198.51.100.1/24", "fe80::1/64",
                  "2001:db8::9/64", "2001:db8::1/64"});
  Follow();
  EXPECT_EQ(WinnerOf(From("198.51.100.9")), 1);
  EXPECT_EQ(WinnerOf(From("198.51.100.1")), 0);
  EXPECT_EQ(WinnerOf(From("2001:db8::9")), 1);
  EXPECT_EQ(WinnerOf(From("2001:db8::1")), 0);
  EXPECT_EQ(WinnerOf(From("fe80::1")), 0);
}

TEST_F(DynamicAddressesTest, LinkLocalNetworksAreNoNetworks) {
  ASSERT_TRUE(Load("pass\nblock from (outside:network)\n").ok());
  Set("outside", {"fe80::1/64", "2001:db8::1/64"});
  Follow();
  EXPECT_EQ(WinnerOf(From("fe80::2")), 0);
  EXPECT_EQ(WinnerOf(From("2001:db8::2")), 1);
}

TEST_F(DynamicAddressesTest, Antispoof) {
  ASSERT_TRUE(Load("pass\nantispoof for (inside)\n").ok());
  Set("inside", {"192.0.2.1/24", "2001:db8::1/64"});
  Follow();
  EXPECT_GT(WinnerOf(From("192.0.2.77")), 0);
  EXPECT_GT(WinnerOf(From("2001:db8::77")), 0);
  EXPECT_EQ(WinnerOf(From("192.0.3.77")), 0);
  Set("inside", {"192.0.3.1/24"});
  Follow();
  EXPECT_EQ(WinnerOf(From("192.0.2.77")), 0);
  EXPECT_GT(WinnerOf(From("192.0.3.77")), 0);
}

TEST_F(DynamicAddressesTest, PoolsGiveThemOut) {
  ASSERT_TRUE(Load("pass out on outside nat-to (outside:0)\n").ok());
  const auto pool = [&] {
    std::string text;
    const PoolSpaces& spaces = store_->current()->pools[0];
    for (const PoolSpace* space : {&spaces.v4, &spaces.v6}) {
      for (const PoolBlock& block : space->blocks) {
        text += ToString(block.first) + " ";
      }
    }
    return text;
  };
  EXPECT_EQ(pool(), "");
  Set("outside", {"192.0.2.7/24", "192.0.2.3/24"});
  Follow();
  EXPECT_EQ(pool(), "192.0.2.7 ");
  Set("outside", {"192.0.2.3/24", "2001:db8::3/64"});
  Follow();
  EXPECT_EQ(pool(), "192.0.2.3 2001:db8::3 ");
}

// Edits of tables and loads keep what is there now.
TEST_F(DynamicAddressesTest, OtherChangesKeepThem) {
  const char* const rules =
      "table <t> persist\npass\nblock from (outside)\n";
  ASSERT_TRUE(Load(rules).ok());
  Set("outside", {"192.0.2.1/24"});
  const Ticket ticket = store_->Begin();
  ASSERT_TRUE(store_->Define(ticket, Parsed(rules)).ok());
  Set("outside", {"192.0.2.2/24"});
  ASSERT_TRUE(store_->Commit(ticket).ok());
  EXPECT_FALSE(store_->HasOldAddresses());
  EXPECT_EQ(WinnerOf(From("192.0.2.2")), 1);
  StagedGeneration edit(*store_->generation());
  FinishGeneration(*edit.next);
  ASSERT_TRUE(store_->Publish(std::move(edit)).ok());
  EXPECT_EQ(WinnerOf(From("192.0.2.2")), 1);
  // One that was built before, and comes too late.
  absl::StatusOr<StagedGeneration> late =
      store_->StageLoad([&] {
        const Ticket other = store_->Begin();
        EXPECT_TRUE(store_->Define(other, Parsed(rules)).ok());
        return other;
      }());
  ASSERT_TRUE(late.ok());
  Set("outside", {"192.0.2.9/24"});
  Follow();
  EXPECT_FALSE(store_->IsUpToDate(*late));
  EXPECT_EQ(WinnerOf(From("192.0.2.9")), 1);
}

// `self` of a machine with many ports is a long list, which is not walked
// address by address: what it says is what a walk would.
TEST_F(DynamicAddressesTest, LongListsSayWhatAWalkWouldSay) {
  std::mt19937 random(20261201);
  for (const size_t length : {7, 8, 9, 40, 700}) {
    std::vector<InterfaceRegistry::PortAddress> all;
    while (all.size() < length) {
      const bool v4 = random() % 2 == 0;
      std::array<uint8_t, 16> bytes = {};
      bytes[0] = v4 ? 10 : 0x20;
      // Near each other, so that networks hold one another.
      for (const size_t i : {1, 2, 3}) bytes[i] = random() % 4;
      const int bits = v4 ? 32 : 128;
      all.push_back({Prefix{
          Address::FromBytes(v4 ? Family::kIpv4 : Family::kIpv6, bytes.data()),
          static_cast<uint8_t>(bits - random() % (bits - 8))}});
    }
    ASSERT_TRUE(interfaces_.SetAddresses("outside", all).ok());
    const DynamicAddress wanted[] = {
        {.name = "inside"},
        {.name = "outside"},
        {.name = "outside", .modifiers = {.network = true}}};
    const AddressLists lists = Resolve(wanted, interfaces_);
    int found = 0;
    for (int i = 0; i < 5000; ++i) {
      const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
      std::array<uint8_t, 16> bytes = {};
      bytes[0] = family == Family::kIpv4 ? 10 : 0x20;
      for (const size_t k : {1, 2, 3}) bytes[k] = random() % 5;
      const Address address = Address::FromBytes(family, bytes.data());
      for (size_t list = 0; list < lists.size(); ++list) {
        bool walked = false;
        for (const Prefix& prefix : lists[list]) {
          walked = walked || prefix.Contains(address);
        }
        EXPECT_EQ(lists.Contains(list, family, bytes), walked)
            << ToString(address) << " in list " << list << " of " << length;
        found += walked;
      }
    }
    EXPECT_GT(found, 100);
  }
}

TEST_F(DynamicAddressesTest, WhoDoesNotNameThemIsLeftAlone) {
  ASSERT_TRUE(Load("pass\nblock from 192.0.2.1\n").ok());
  Set("outside", {"192.0.2.1/24"});
  EXPECT_FALSE(store_->HasOldAddresses());
  const absl::StatusOr<StagedGeneration> staged = store_->StageRefresh();
  ASSERT_TRUE(staged.ok());
  EXPECT_EQ(staged->next, nullptr);
  EXPECT_FALSE(interfaces_.SetAddresses("nowhere", {}).ok());
}

}  // namespace
}  // namespace sluice
