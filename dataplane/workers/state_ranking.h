// What the control lcore asks of all of a worker's states together: the first
// of them by some measure, and how many there are.
#ifndef SLUICE_DATAPLANE_WORKERS_STATE_RANKING_H_
#define SLUICE_DATAPLANE_WORKERS_STATE_RANKING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "conntrack/state.h"
#include "dataplane/control/api/state_control.h"
#include "dataplane/workers/mailbox.h"
#include "dataplane/workers/state_orders.h"

namespace sluice {

// What `order` compares.
uint64_t MeasureOf(const StateRecord& state, StateOrder order);

// The first `limit` of the matching states. However many there are, so many
// records are kept.
class TopOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(std::vector<StateRecord> states)>;
  TopOrder(std::shared_ptr<const StateMatcher> matcher, StateOrder order,
           size_t limit, Finish done);

  bool Step(const WorkerView& view) override;
  // In no order.
  void Done() override { done_(std::move(states_)); }

 private:
  struct Ranked {
    uint64_t measure = 0;
    uint32_t place = 0;  // in states_
  };
  void Consider(const StateRecord& state);

  const std::shared_ptr<const StateMatcher> matcher_;
  const StateOrder order_;
  const size_t limit_;
  uint32_t cursor_ = 0;
  // Both reserved, so that they never grow. The least is at the heap's front.
  std::vector<StateRecord> states_;
  std::vector<Ranked> heap_;
  Finish done_;
};

// By protocol and phase.
class StateTally {
 public:
  static constexpr size_t kPhases = 16;

  void Add(const StateRecord& state) {
    Add(state.proto, state.phase);
    packets_ += state.packets[0] + state.packets[1];
    bytes_ += state.bytes[0] + state.bytes[1];
  }
  // Of one whose counters do not matter.
  void Add(uint8_t proto, const std::array<uint8_t, 2>& phase);
  void Add(const StateTally& other);

  uint64_t states() const { return states_; }
  uint64_t packets() const { return packets_; }
  uint64_t bytes() const { return bytes_; }
  // Calls visit(protocol, phase, states) for what is there; protocols without
  // a machine of their own count as 255.
  template <typename Visitor>
  void Visit(Visitor&& visit) const {
    for (size_t proto = 0; proto < kProtocols.size(); ++proto) {
      for (size_t phase = 0; phase < kPhases; ++phase) {
        const uint64_t states = by_phase_[proto][phase];
        if (states > 0) {
          visit(kProtocols[proto], static_cast<uint8_t>(phase), states);
        }
      }
    }
  }

 private:
  static constexpr std::array<uint8_t, 6> kProtocols = {
      protocol::kTcp,  protocol::kUdp,   protocol::kIcmp,
      protocol::kSctp, protocol::kIcmp6, UINT8_MAX};

  uint64_t states_ = 0;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
  std::array<std::array<uint64_t, kPhases>, kProtocols.size()> by_phase_{};
};

class CountOrder final : public WorkerOrder {
 public:
  using Finish = std::function<void(const StateTally&)>;
  // No matcher: all states of all filters, each of which leaves what it has
  // counted to its rules.
  CountOrder(std::shared_ptr<const StateMatcher> matcher, Finish done)
      : matcher_(std::move(matcher)), done_(std::move(done)) {}

  bool Step(const WorkerView& view) override;
  void Done() override { done_(tally_); }

 private:
  const std::shared_ptr<const StateMatcher> matcher_;
  uint32_t cursor_ = 0;
  StateTally tally_;
  Finish done_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_STATE_RANKING_H_
