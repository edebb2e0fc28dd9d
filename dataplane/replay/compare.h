// sluice-replay --compare: the same packets through two rulesets at once, and
// which flows would fare otherwise.
#ifndef SLUICE_DATAPLANE_REPLAY_COMPARE_H_
#define SLUICE_DATAPLANE_REPLAY_COMPARE_H_

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/replay/frame_pool.h"
#include "dataplane/replay/packet_source.h"
#include "dataplane/replay/replay_options.h"
#include "dataplane/replay/simulation.h"

namespace sluice {

class Comparison {
 public:
  // Flows that a comparison tells apart; more are an error.
  static constexpr size_t kMaxFlows = 4'000'000;
  // Of a group, flows that are named.
  static constexpr size_t kMaxNamed = 20;

  // Reads both rulesets and opens the captures; errors as Replay::Open().
  static absl::StatusOr<std::unique_ptr<Comparison>> Open(
      const ReplayOptions& options);

  // All packets, and the report of --report.
  absl::Status Run();

  // Flows that changed their fate.
  uint64_t changed() const;
  // The same replay gives the same bytes.
  std::string JsonReport() const;
  std::string Summary() const;

 private:
  // A packet's both ends, whichever way it goes.
  struct FlowKey {
    Family family = Family::kNone;
    uint8_t proto = 0;
    bool fragment = false;
    std::array<uint8_t, 16> low{}, high{};
    uint16_t low_port = 0, high_port = 0;
    // Of frames that are no good IP packets: where they came.
    uint16_t arrival = 0;

    friend auto operator<=>(const FlowKey&, const FlowKey&) = default;
  };
  // Where rules were asked last.
  struct Decision {
    uint32_t rule_slot = 0;
    bool out = false;
    uint16_t port = 0;

    friend auto operator<=>(const Decision&, const Decision&) = default;
  };
  // What became of a packet.
  struct Fate {
    bool passed = false;
    bool held = false;
    DropReason reason = DropReason::kMatch;  // neither
    std::optional<Decision> rule;            // of it, or of its flow before

    friend auto operator<=>(const Fate&, const Fate&) = default;
  };
  // As whom a packet went on, as far as a capture can tell two runs apart:
  // source ports are drawn anew.
  struct Leaving {
    Family family = Family::kNone;
    std::array<uint8_t, 16> source{}, destination{};
    uint16_t destination_port = 0;

    friend bool operator==(const Leaving&, const Leaving&) = default;
  };
  struct Flow {
    PacketInfo first{};
    uint64_t first_packet = 0;
    uint64_t packets = 0;
    std::array<std::optional<Decision>, 2> ruled;
    uint64_t changed_packets = 0;
    // Of the first packet that fared otherwise.
    uint64_t changed_at = 0;
    std::array<Fate, 2> fates;
    std::array<Leaving, 2> leaving;
  };
  struct Group {
    std::array<Fate, 2> fates;
    bool readdressed = false;  // passes, but as another one
    std::vector<const Flow*> flows;
    uint64_t packets = 0;
  };
  struct Side {
    Comparison* comparison = nullptr;
    std::unique_ptr<Simulation> simulation;
    PacketVerdict verdict{};
    Leaving leaving;
  };
  struct RuleText {
    std::string anchor;
    uint32_t number = 0;
    std::string text;
  };

  explicit Comparison(const ReplayOptions& options) : options_(options) {}

  static void OnVerdict(void* context, uint32_t index,
                        const PacketVerdict& verdict);
  absl::Status OnePacket(const SourcedPacket& packet);
  absl::Status Judge(const SourcedPacket& packet, Side& side);
  Fate FateOf(const SourcedPacket& packet, const Side& side) const;
  std::vector<Group> Groups() const;
  std::map<uint32_t, RuleText> RulesOf(size_t side) const;
  std::string PortName(uint16_t port) const;

  const ReplayOptions options_;
  std::unique_ptr<FramePool> pool_;
  std::array<Side, 2> sides_;
  std::unique_ptr<PacketSource> source_;
  std::vector<uint8_t> buffer_;
  std::map<FlowKey, Flow> flows_;
  uint64_t packets_ = 0;
  uint64_t cut_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_COMPARE_H_
