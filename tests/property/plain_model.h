// A plain model of the firewall: what the pipeline has to decide, written as
// simply as possible and without any of its code but the packet parser and
// the parsed policy. Rules are tried one after the other as they were parsed,
// states are in a std::map, and every packet is judged alone.
//
// It stands beside the pipeline in the property tests, and behind the
// verdict_oracle program, which judges the captures of live traffic.
#ifndef SLUICE_TESTS_PROPERTY_PLAIN_MODEL_H_
#define SLUICE_TESTS_PROPERTY_PLAIN_MODEL_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "packet/packet.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct ModelPort {
  std::string name{};
  std::vector<std::string> groups{};
  size_t peer = 0;
  bool pass_non_ip = true;
};

struct ModelVerdict {
  bool passed = false;
  DropReason reason = DropReason::kMatch;  // when it did not pass
  // The number of the rule that decided in the last evaluation of rules for
  // this packet; nothing for the default rule or without an evaluation.
  std::optional<uint32_t> rule;
  // Where it was judged last.
  std::optional<Direction> judged;

  friend bool operator==(const ModelVerdict&, const ModelVerdict&) = default;
};

class PlainModel {
 public:
  // Unimplemented for what it does not model: probability, dynamic addresses,
  // translation, reassembly, adaptive timeouts that depend on a rule's own
  // states.
  static absl::Status Supports(const Policy& policy);

  PlainModel(Policy policy, std::vector<ModelPort> ports)
      : policy_(std::move(policy)), ports_(std::move(ports)) {}

  // States stay.
  void Load(Policy policy) { policy_ = std::move(policy); }

  // `now`: milliseconds, never going back. `frame` is what `info` describes.
  ModelVerdict Judge(size_t port, std::span<const uint8_t> frame,
                     const PacketInfo& info, uint64_t now);

  // What the rules alone say of a packet, without any state: the rule that
  // decides (null: none does, it passes) and the tag that the packet has then.
  // The rule lives as long as the policy.
  struct Decision {
    const Rule* rule = nullptr;
    std::string tag{};
  };
  Decision Decide(size_t port, size_t arrival, Direction direction,
                  const PacketInfo& info) const;

  size_t states() const { return states_.size(); }
  // Whether a state or an expectation ends within `slack` ms of the time
  // `now`: the table looks at its timers now and then only, so that what
  // happens there is not defined to the millisecond.
  bool NearAnEnd(uint64_t now, uint64_t slack) const;
  // All states, a line each.
  std::string Describe(uint64_t now) const;
  // Ends what is due.
  void Expire(uint64_t now);

 private:
  // What the two ends look like from the side that a packet is judged on:
  // first the one that packets judged `in` come from.
  struct End {
    Address address;
    uint16_t port = 0;
    friend auto operator<=>(const End&, const End&) = default;
  };
  struct Key {
    uint8_t proto = 0;
    End first, second;
    std::string interface{};  // if-bound states; else empty
    std::vector<uint32_t> vlans{};  // the first two tags that have a number
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // One side of a connection; [0] of an array is the one that began it.
  struct Peer {
    int phase = 0;  // as pf numbers them
    uint32_t low = 0, high = 1;
    uint32_t max_window = 1;
    bool scale_known = false, seen = false;
    uint8_t scale = 0;
  };
  struct State {
    uint64_t id = 0;
    Direction direction = Direction::kIn;
    std::array<Peer, 2> peers;
    Timeout timeout = Timeout::kUdpFirst;
    uint64_t last = 0;
    std::string tag;
    bool allow_options = false, sloppy = false;
    std::string interface;  // as in Key
    std::vector<std::pair<Timeout, uint32_t>> own_timeouts;
    bool helper = false;
    uint64_t parent = 0;
    // Of a child: how far its transfer is.
    uint32_t block_size = 512;
    std::optional<std::pair<size_t, uint32_t>> last_block;  // sender, number
    std::optional<uint64_t> finished;
    uint64_t client_seen = 0;  // to within a quarter of a second
    std::optional<uint64_t> reported;
    bool seated = true;        // counts for its parent
  };
  struct Expectation {
    uint64_t parent = 0;
    Direction direction = Direction::kOut;  // of the child
    Address server, client;
    uint16_t server_port = 0, client_port = 0;
    std::vector<uint32_t> vlans;
    uint64_t end = 0;
    State values;  // what the child inherits
  };
  struct Point {
    size_t port;     // where the packet is judged
    size_t arrival;
    Direction direction;
    uint64_t now;
  };
  struct Evaluation {
    const Rule* winner = nullptr;
    std::optional<uint32_t> number;
    std::string tag;
    uint32_t hits = 0;
  };

  std::optional<DropReason> JudgeAt(const Point& point,
                                    std::span<const uint8_t> frame,
                                    const PacketInfo& info, std::string& tag,
                                    ModelVerdict& verdict);
  std::optional<DropReason> ByRules(const Point& point,
                                    std::span<const uint8_t> frame,
                                    const PacketInfo& info, std::string& tag,
                                    ModelVerdict& verdict);
  bool Walk(const Anchor& anchor, const Point& point, const PacketInfo& info,
            Evaluation& evaluation) const;
  bool Matches(const Rule& rule, const Point& point, const PacketInfo& info,
               const std::string& tag) const;
  bool On(const InterfaceMatch& match, size_t port) const;
  bool AddressFits(const AddressMatch& match, const Address& address) const;

  static Key KeyOf(const PacketInfo& info, Direction direction,
                   std::span<const uint8_t> frame);
  std::map<Key, State>::iterator Find(Key key, const Point& point);
  uint64_t LifeTime(const State& state) const;
  // Nothing: passed.
  std::optional<DropReason> StepTcp(State& state, const PacketInfo& info,
                                    std::span<const uint8_t> frame,
                                    size_t from, uint64_t now, bool& reuse);
  std::optional<DropReason> Step(State& state, const PacketInfo& info,
                                 std::span<const uint8_t> frame,
                                 const Point& point, bool& reuse);
  std::optional<DropReason> Create(State state, const PacketInfo& info,
                                   std::span<const uint8_t> frame,
                                   const Point& point);
  // kPass with nothing found: `found` stays false.
  std::optional<DropReason> IcmpError(const Point& point,
                                      std::span<const uint8_t> frame,
                                      const PacketInfo& info, bool& found);
  // True: the packet is to be judged as if the state were not there.
  bool Helper(State& state, const PacketInfo& info,
              std::span<const uint8_t> frame, const Point& point);
  bool Transfer(State& state, const PacketInfo& info,
                std::span<const uint8_t> frame,
                std::span<const uint8_t> payload, int kind,
                const Point& point);
  int Seated(uint64_t parent) const;
  static void FirstTcp(State& state, const PacketInfo& info,
                       std::span<const uint8_t> frame);
  bool Fits(const Expectation& expectation, const PacketInfo& info,
            std::span<const uint8_t> frame, const Point& point) const;
  bool TakeExpectation(const PacketInfo& info,
                       std::span<const uint8_t> frame, const Point& point,
                       State& child);

  Policy policy_;
  const std::vector<ModelPort> ports_;
  std::map<Key, State> states_;
  std::vector<Expectation> expectations_;
  uint64_t next_id_ = 1;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_PROPERTY_PLAIN_MODEL_H_
