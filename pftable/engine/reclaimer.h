// When memory that workers may still read can be freed.
#ifndef SLUICE_PFTABLE_ENGINE_RECLAIMER_H_
#define SLUICE_PFTABLE_ENGINE_RECLAIMER_H_

#include <cstdint>

struct rte_rcu_qsbr;

namespace sluice {

// Control side. A grace period that starts after something was unlinked has
// passed when no worker can still hold it. Nothing here blocks.
class Reclaimer {
 public:
  virtual ~Reclaimer() = default;

  virtual uint64_t StartGracePeriod() = 0;
  virtual bool HasPassed(uint64_t grace_period) = 0;
};

// For users with a single thread, which hold no generation across calls to
// the control side: every grace period has passed when it starts.
class ImmediateReclaimer final : public Reclaimer {
 public:
  uint64_t StartGracePeriod() override { return 0; }
  bool HasPassed(uint64_t) override { return true; }
};

// For workers that report quiescent states to a DPDK RCU variable between
// bursts (rte_rcu_qsbr_quiescent) and are offline or unregistered when they
// rest. The variable is not owned.
class RcuReclaimer final : public Reclaimer {
 public:
  explicit RcuReclaimer(rte_rcu_qsbr* variable) : variable_(variable) {}

  uint64_t StartGracePeriod() override;
  bool HasPassed(uint64_t grace_period) override;

 private:
  rte_rcu_qsbr* const variable_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_RECLAIMER_H_
