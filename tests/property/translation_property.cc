// Random flows through random rules with nat-to, rdr-to and binat-to, beside a
// model that keeps what was given out in a map: packets leave as the model has
// them, no flow is given out twice, answers and errors come back to whom they
// belong, and when everything has ended nothing is left. Pools are edited
// meanwhile, and remember what sticky-address, least-states and
// endpoint-independent say; port-block's are as a formula has them.
// SLUICE_PROPERTY_STEPS and SLUICE_PROPERTY_SEED change the work.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/simulation.h"
#include "packet/checksum.h"
#include "packet/inner.h"
#include "packet/parse.h"
#include "pftable/language/parser.h"
#include "pftable/store/table_edits.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint16_t kInside = 0;
constexpr uint16_t kOutside = 1;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// An address with its port, as text.
struct End {
  std::string address;
  uint16_t port = 0;

  friend bool operator==(const End&, const End&) = default;
  friend auto operator<=>(const End&, const End&) = default;
};
using Ends = std::pair<End, End>;  // source, destination

class Model {
 public:
  struct Flow {
    Ends inside;   // as the originator sends it
    Ends outside;  // as the responder receives it
  };

  // What is known of a packet that comes from the originator's side.
  const Flow* Forward(const std::string& proto, const Ends& ends) const {
    const auto found = forward_.find({proto, ends});
    return found == forward_.end() ? nullptr : &found->second;
  }
  // Of an answer, whose source is the responder.
  const Flow* Back(const std::string& proto, const Ends& ends) const {
    const auto found = back_.find({proto, {ends.second, ends.first}});
    return found == back_.end() ? nullptr : &found->second;
  }
  bool Given(const std::string& proto, const Ends& outside) const {
    return back_.contains({proto, outside}) ||
           back_.contains({proto, {outside.second, outside.first}});
  }
  void Add(const std::string& proto, const Flow& flow) {
    forward_[{proto, flow.inside}] = flow;
    back_[{proto, flow.outside}] = flow;
  }
  void Clear() {
    forward_.clear();
    back_.clear();
  }
  size_t size() const { return forward_.size(); }

 private:
  using Key = std::pair<std::string, Ends>;
  std::map<Key, Flow> forward_;
  std::map<Key, Flow> back_;
};

class Runner {
 public:
  Runner(uint64_t seed, Family family, MbufPool& pool)
      : random_(seed), v4_(family == Family::kIpv4), pool_(pool) {}

  uint64_t translated() const { return translated_; }
  uint64_t refused() const { return refused_; }

  void Run(uint64_t steps) {
    auto built = Simulation::Build({.ports = {{.name = "inside"},
                                              {.name = "outside"}},
                                    .wires = {{kInside, kOutside}},
                                    .state_capacity = 4000,
                                    .pool = pool_.get(),
                                    .seed = random_()});
    ASSERT_TRUE(built.ok());
    simulation_ = *std::move(built);
    LoadRules();
    for (uint64_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      switch (Below(10)) {
        case 0:
        case 1:
          Answer();
          break;
        case 2:
          Error();
          break;
        case 3:
          if (pooled() && OneIn(4)) EditPool();
          if (OneIn(60)) {
            // Everything ends, and everything is free again.
            simulation_->Advance(uint64_t{3} * 86400 * 1000);
            ASSERT_EQ(simulation_->states().size(), 0u);
            ASSERT_EQ(simulation_->translations().size(), 0u);
            ASSERT_EQ(simulation_->source_budget().nodes.used(), 0u);
            ASSERT_EQ(simulation_->sources().unlimited()->nodes.used(), 0u);
            model_.Clear();
            live_.clear();
            bound_.clear();
            loads_.clear();
            mapped_.clear();
          }
          break;
        default:
          Send();
          break;
      }
    }
    simulation_->Advance(uint64_t{3} * 86400 * 1000);
    ASSERT_EQ(simulation_->states().size(), 0u);
    ASSERT_EQ(simulation_->translations().size(), 0u);
    ASSERT_EQ(simulation_->source_budget().nodes.used(), 0u);
    ASSERT_EQ(simulation_->sources().unlimited()->nodes.used(), 0u);
    ASSERT_EQ(pool_.InUse(), 0u);
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  std::string Inner(uint32_t i) const {
    return absl::StrCat(v4_ ? "10.0.0." : "2001:db8::", i);
  }
  std::string Outer(uint32_t i) const {
    return absl::StrCat(v4_ ? "192.0.2." : "2001:db9::", i);
  }
  std::string Peer(uint32_t i) const {
    return absl::StrCat(v4_ ? "198.51.100." : "2001:dba::", i);
  }

  // One translation in each run: which sources become which addresses with
  // which ports.
  void LoadRules() {
    low_ = static_cast<uint16_t>(2000 + Below(100));
    high_ = static_cast<uint16_t>(low_ + Below(12));
    addresses_.clear();
    std::string target;
    Dialect dialect = OneIn(2) ? Dialect::kFreeBsd : Dialect::kOpenBsd;
    switch (kind_ = Below(kKinds)) {
      case 0:
        addresses_ = {Outer(1)};
        target = Outer(1);
        break;
      case 1:
        addresses_ = {Outer(1), Outer(2), Outer(3)};
        target = absl::StrCat("{ ", Outer(1), ", ", Outer(2), ", ", Outer(3),
                              " }");
        break;
      case 2:
        for (uint32_t i = 4; i < 8; ++i) addresses_.insert(Outer(i));
        target = absl::StrCat(Outer(4), v4_ ? "/30 random" : "/126 random");
        break;
      case kTable:
      case kSticky:
      case kLeast:
      case kMapped:
        for (uint32_t i = 1; i < 4; ++i) addresses_.insert(Outer(i));
        target = kind_ == kSticky  ? "<pool> round-robin sticky-address"
                 : kind_ == kLeast ? "<pool> least-states"
                 : kind_ == kMapped
                     ? "<pool> round-robin endpoint-independent"
                     : "<pool> round-robin";
        if (kind_ == kLeast) dialect = Dialect::kOpenBsd;
        if (kind_ == kMapped) dialect = Dialect::kFreeBsd;
        break;
      case kBlocks:
        for (uint32_t i = 4; i < 8; ++i) addresses_.insert(Outer(i));
        // Two whole blocks an address, and some ports that are in none.
        block_ = 1 + Below(4);
        high_ = static_cast<uint16_t>(low_ + 2 * block_ - 1 + Below(block_));
        target = absl::StrCat(Outer(4), v4_ ? "/30" : "/126", " port-block ",
                              block_);
        break;
      default:
        for (uint32_t i = 4; i < 8; ++i) addresses_.insert(Outer(i));
        target = absl::StrCat(Outer(4), v4_ ? "/30" : "/126",
                              " source-hash");
        break;
    }
    const std::string family = v4_ ? "inet" : "inet6";
    // `port` stands before the pool's method.
    const size_t method = target.find(' ');
    const bool braces = target[0] == '{';
    const std::string ports = absl::StrCat(" port ", low_, ":", high_);
    const std::string pool =
        braces || method == std::string::npos
            ? target + ports
            : target.substr(0, method) + ports + target.substr(method);
    const std::string from =
        kind_ == kBlocks ? absl::StrCat(Inner(0), v4_ ? "/29" : "/125")
                         : "! " + Inner(60);
    const std::string rule =
        OneIn(2) ? absl::StrCat("match out on outside ", family,
                                " proto { tcp udp } from ", from,
                                " to any nat-to ", pool,
                                "\npass out on outside from ",
                                Outer(0) + (v4_ ? "/24" : "/64"), "\n")
                 : absl::StrCat("pass out on outside ", family,
                                " proto { tcp udp } from ", from,
                                " to any nat-to ", pool, "\n");
    std::string filler;
    // Enough rules for the classifier, or few.
    if (OneIn(2)) {
      for (int i = 0; i < 40; ++i) {
        absl::StrAppend(&filler, "block out quick on outside ", family,
                        " proto udp from ", Outer(100 + i), " to port ",
                        3000 + i, "\n");
      }
    }
    const std::string text = absl::StrCat(
        "table <pool> persist { ", Outer(1), " ", Outer(2), " ", Outer(3),
        " }\nblock all\npass in on inside\n", filler, rule,
        "pass in on outside ", family, " proto { tcp udp } to ", Outer(9),
        " port 100:199 rdr-to ", Inner(50), " port 1000:*\n",
        "pass out on inside to ", Inner(50), "\npass on outside ", family,
        " proto { tcp udp } from ", Inner(60), " to any binat-to ", Outer(60),
        "\npass out on inside to ", Inner(60), "\n");
    const HostFacts facts = simulation_->Facts();
    ParseResult parsed = ParsePolicy({.file_name = "rules",
                                      .text = text,
                                      .macros = {},
                                      .load_file = nullptr,
                                      .dialect = dialect,
                                      .facts = &facts,
                                      .no_dns = true,
                                      .anchor = "",
                                      .limits = {}});
    ASSERT_TRUE(parsed.ok()) << text;
    const absl::Status loaded = simulation_->Load(std::move(parsed.policy));
    ASSERT_TRUE(loaded.ok()) << loaded << "\n" << text;
  }

  // Of "udp" or "tcp" and a VLAN, "udp@5"; the model takes it as it is.
  static std::string Vlan(const std::string& proto) {
    const std::string vlan = proto.substr(proto.find('@') + 1);
    const size_t dot = vlan.find('.');
    if (vlan == "0") return "";
    if (dot == std::string::npos) return " vlan " + vlan;
    return " qinq " + vlan.substr(0, dot) + " vlan " + vlan.substr(dot + 1);
  }
  static bool IsTcp(const std::string& proto) {
    return proto.compare(0, 3, "tcp") == 0;
  }

  std::string Text(const std::string& proto, const Ends& ends) const {
    const auto end = [this](const End& e) {
      return v4_ ? absl::StrCat(e.address, ":", e.port)
                 : absl::StrCat("[", e.address, "]:", e.port);
    };
    return absl::StrCat(proto.substr(0, 3), " ", end(ends.first), " > ",
                        end(ends.second), IsTcp(proto) ? " S seq 1" : "",
                        Vlan(proto), " data 5");
  }

  // What leaves, if anything does.
  std::optional<std::vector<uint8_t>> Pass(uint16_t port,
                                           const std::string& text) {
    const std::vector<uint8_t> frame = FrameFromText(text);
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = pool_.Make(frame, OneIn(2) ? 0 : 1 + Below(30));
    BurstResult result;
    simulation_->Process(port, burst, result);
    std::optional<std::vector<uint8_t>> left;
    simulation_->Send(port, result, [&](uint16_t by, rte_mbuf* mbuf) {
      if (by != port) left = BytesOf(mbuf);
      rte_pktmbuf_free(mbuf);
    });
    return left;
  }

  // A packet with right checksums; its ends.
  Ends Check(const std::vector<uint8_t>& frame, PacketInfo* info,
             rte_mbuf** kept = nullptr) {
    rte_mbuf* const mbuf = pool_.Make(frame);
    ParsePacket(*mbuf, {}, info);
    EXPECT_EQ(info->kind, Kind::kIp) << "checksums are wrong";
    if (kept != nullptr) {
      *kept = mbuf;
    } else {
      rte_pktmbuf_free(mbuf);
    }
    return EndsIn(*info);
  }
  static Ends EndsIn(const PacketInfo& info) {
    return {{ToString(info.source_address()), info.source_port.host()},
            {ToString(info.destination_address()),
             info.destination_port.host()}};
  }

  void Send() {
    static constexpr const char* kVlans[] = {"@0", "@0", "@5", "@7.5"};
    const std::string proto =
        absl::StrCat(OneIn(2) ? "udp" : "tcp", kVlans[Below(4)]);
    if (OneIn(4)) return SendToTarget(proto);
    if (OneIn(8)) return SendBetweenTwo(proto);
    const Ends ends = {{Inner(1 + Below(4)),
                        static_cast<uint16_t>(1 + Below(8))},
                       {Peer(1 + Below(2)),
                        static_cast<uint16_t>(80 + Below(2))}};
    const auto left = Pass(kInside, Text(proto, ends));
    if (const Model::Flow* flow = model_.Forward(proto, ends)) {
      ASSERT_TRUE(left.has_value());
      PacketInfo info;
      ASSERT_EQ(Check(*left, &info), flow->outside);
      return;
    }
    if (!left.has_value()) {
      ++refused_;
      // Others have one address to try, or ports that are not free for all.
      const std::set<std::string> tried = addresses_;
      if (kind_ != 0 && kind_ != kTable && kind_ != kBlocks) return;
      for (const std::string& address : tried) {
        if (kind_ == kBlocks && address != BlockOf(ends).address) continue;
        const uint32_t low = kind_ == kBlocks ? BlockOf(ends).port : low_;
        const uint32_t high = kind_ == kBlocks ? low + block_ - 1 : high_;
        for (uint32_t port = low; port <= high; ++port) {
          ASSERT_TRUE(model_.Given(
              proto,
              {{address, static_cast<uint16_t>(port)}, ends.second}))
              << address << ":" << port << " is free";
        }
      }
      return;
    }
    PacketInfo info;
    const Ends outside = Check(*left, &info);
    ASSERT_EQ(outside.second, ends.second);
    // A mapping outlives what its pool has of it.
    const bool mapped =
        kind_ == kMapped && mapped_.contains({proto, ends.first});
    ASSERT_TRUE(mapped || addresses_.contains(outside.first.address))
        << outside.first.address;
    ASSERT_TRUE(outside.first.port >= low_ && outside.first.port <= high_);
    ASSERT_FALSE(model_.Given(proto, outside)) << "given out twice";
    if (kind_ == kBlocks) {
      const End block = BlockOf(ends);
      ASSERT_EQ(outside.first.address, block.address);
      ASSERT_GE(outside.first.port, block.port);
      ASSERT_LT(outside.first.port, block.port + block_);
    }
    CheckMemory(proto, ends, outside);
    if (testing::Test::HasFatalFailure()) return;
    Remember(proto, {ends, outside}, kInside);
  }

  // The address and the first port that the sender's number says.
  End BlockOf(const Ends& ends) const {
    for (uint32_t number = 0; number < 8; ++number) {
      if (ends.first.address != Inner(number)) continue;
      return {Outer(4 + number / 2),
              static_cast<uint16_t>(low_ + number % 2 * block_)};
    }
    return {};
  }

  bool pooled() const { return kind_ >= kTable && kind_ <= kMapped; }

  // Adds an address to the table or takes one away.
  void EditPool() {
    const std::string address = Outer(1 + Below(3));
    const TableEntry entry = {.prefix = *ParsePrefix(address)};
    const TableKey key = {.anchor = "", .name = "pool"};
    PolicyStore& store = simulation_->store();
    const bool there = addresses_.contains(address);
    absl::StatusOr<StagedEdit> edit =
        there ? StageDeleteAddresses(store, key, {&entry, 1})
              : StageAddAddresses(store, key, {&entry, 1});
    ASSERT_TRUE(edit.ok()) << edit.status();
    ASSERT_TRUE(store.Publish(std::move(edit->generation)).ok());
    if (there) {
      addresses_.erase(address);
      // Whoever was bound to it is bound anew at the next choice.
      std::erase_if(bound_, [&](const auto& b) { return b.second == address; });
    } else {
      addresses_.insert(address);
    }
  }

  // A new flow against what its pool remembers.
  void CheckMemory(const std::string& proto, const Ends& inside,
                   const Ends& outside) {
    const std::string& address = outside.first.address;
    if (kind_ == kSticky) {
      const auto [bound, fresh] =
          bound_.try_emplace({proto, inside.first.address}, address);
      ASSERT_EQ(bound->second, address);
    } else if (kind_ == kLeast) {
      // One with fewer states has no port left for that peer.
      for (const std::string& other : addresses_) {
        if (loads_[other] >= loads_[address]) continue;
        for (uint32_t port = low_; port <= high_; ++port) {
          ASSERT_TRUE(model_.Given(
              proto, {{other, static_cast<uint16_t>(port)}, outside.second}))
              << other << " has fewer states than " << address;
        }
      }
      ++loads_[address];
    } else if (kind_ == kMapped && !IsTcp(proto)) {
      const auto [mapped, fresh] =
          mapped_.try_emplace({proto, inside.first}, outside.first);
      ASSERT_EQ(mapped->second, outside.first);
      for (const auto& [other, end] : mapped_) {
        ASSERT_TRUE(other.first != proto || other.second == inside.first ||
                    end != outside.first)
            << "one outside for two insides";
      }
    }
  }

  // A host that is another one outside, both ways, with its own ports.
  void SendBetweenTwo(const std::string& proto) {
    const bool out = OneIn(2);
    const End host = {out ? Inner(60) : Outer(60),
                      static_cast<uint16_t>(10 + Below(8))};
    const End peer = {Peer(1 + Below(2)),
                      static_cast<uint16_t>(20 + Below(8))};
    const Ends ends = out ? Ends(host, peer) : Ends(peer, host);
    const End other = {out ? Outer(60) : Inner(60), host.port};
    const Ends expected = out ? Ends(other, peer) : Ends(peer, other);
    // The same pair the other way about is an answer.
    const bool answers = model_.Back(proto, ends) != nullptr;
    if (answers && IsTcp(proto)) return;
    const auto left =
        Pass(out ? kInside : kOutside, Text(proto, ends));
    ASSERT_TRUE(left.has_value());
    PacketInfo info;
    ASSERT_EQ(Check(*left, &info), expected);
    if (answers || model_.Forward(proto, ends) != nullptr) return;
    Remember(proto, {ends, expected}, out ? kInside : kOutside);
  }

  void SendToTarget(const std::string& proto) {
    const uint16_t port = static_cast<uint16_t>(100 + Below(100));
    const Ends ends = {{Peer(1 + Below(2)),
                        static_cast<uint16_t>(1 + Below(8))},
                       {Outer(9), port}};
    const auto left = Pass(kOutside, Text(proto, ends));
    ASSERT_TRUE(left.has_value());
    PacketInfo info;
    const Ends expected = {ends.first,
                           {Inner(50), static_cast<uint16_t>(900 + port)}};
    ASSERT_EQ(Check(*left, &info), expected);
    if (model_.Forward(proto, ends) == nullptr) {
      Remember(proto, {ends, expected}, kOutside);
    }
  }

  void Remember(const std::string& proto, const Model::Flow& flow,
                uint16_t from) {
    model_.Add(proto, flow);
    live_.push_back({proto, flow, from});
    ++translated_;
  }

  static Ends Turned(const Ends& ends) { return {ends.second, ends.first}; }

  void Answer() {
    if (live_.empty()) return;
    const Live& live = live_[Below(static_cast<uint32_t>(live_.size()))];
    if (IsTcp(live.proto)) return;
    const uint16_t port = live.from == kInside ? kOutside : kInside;
    const auto left = Pass(port, Text(live.proto, Turned(live.flow.outside)));
    ASSERT_TRUE(left.has_value());
    PacketInfo info;
    ASSERT_EQ(Check(*left, &info), Turned(live.flow.inside));
    // Whoever sends to the other name of a host with two reaches it.
    if (live.from != kInside || live.flow.inside.first.address == Inner(60)) {
      return;
    }
    // From somebody else it is nobody's.
    Ends forged = Turned(live.flow.outside);
    forged.first.port ^= 0x4000;
    if (model_.Back(live.proto, forged) == nullptr) {
      ASSERT_FALSE(Pass(port, Text(live.proto, forged)).has_value());
    }
  }

  void Error() {
    if (live_.empty()) return;
    const Live& live = live_[Below(static_cast<uint32_t>(live_.size()))];
    if (IsTcp(live.proto)) return;
    const uint16_t port = live.from == kInside ? kOutside : kInside;
    const bool router = OneIn(2);
    const std::string from =
        router ? Peer(77) : live.flow.outside.second.address;
    const auto left = Pass(
        port, absl::StrCat("icmp ", from, " > ",
                           live.flow.outside.first.address,
                           " unreach port", Vlan(live.proto), " inner { ",
                           Text("udp@0", live.flow.outside), " }"));
    ASSERT_TRUE(left.has_value());
    PacketInfo info, inner;
    rte_mbuf* mbuf = nullptr;
    Check(*left, &info, &mbuf);
    DropReason reason;
    const bool read = ParseInner(*mbuf, info, &inner, &reason);
    rte_pktmbuf_free(mbuf);
    ASSERT_TRUE(read);
    ASSERT_EQ(EndsIn(inner), live.flow.inside);
    ASSERT_EQ(ToString(info.destination_address()),
              live.flow.inside.first.address);
    ASSERT_EQ(ToString(info.source_address()),
              router ? Peer(77) : live.flow.inside.second.address);
  }

  struct Live {
    std::string proto;
    Model::Flow flow;
    uint16_t from;
  };

  std::mt19937_64 random_;
  const bool v4_;
  MbufPool& pool_;
  std::unique_ptr<Simulation> simulation_;
  Model model_;
  std::vector<Live> live_;
  std::set<std::string> addresses_;
  // What the pool is.
  static constexpr uint32_t kTable = 4, kSticky = 5, kLeast = 6, kMapped = 7,
                            kBlocks = 8, kKinds = 9;
  uint32_t block_ = 0;  // ports of one
  uint32_t kind_ = 0;
  std::map<std::pair<std::string, std::string>, std::string> bound_;
  std::map<std::string, uint32_t> loads_;
  std::map<std::pair<std::string, End>, End> mapped_;
  uint16_t low_ = 0;
  uint16_t high_ = 0;
  uint64_t translated_ = 0;
  uint64_t refused_ = 0;
};

TEST(TranslationProperty, FlowsAreWhatTheModelSays) {
  MbufPool pool(255);
  const uint64_t seed = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  const uint64_t runs = FromEnvironment("SLUICE_PROPERTY_STEPS", 60);
  uint64_t translated = 0;
  uint64_t refused = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      SCOPED_TRACE(absl::StrCat("SLUICE_PROPERTY_SEED=", seed + run));
      Runner runner(seed + run, family, pool);
      runner.Run(400);
      ASSERT_FALSE(testing::Test::HasFailure());
      translated += runner.translated();
      refused += runner.refused();
    }
  }
  // The work was worth it.
  EXPECT_GT(translated, runs * 20);
  EXPECT_GT(refused, runs);
}

}  // namespace
}  // namespace sluice
