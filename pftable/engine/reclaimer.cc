#include "pftable/engine/reclaimer.h"

#include <rte_rcu_qsbr.h>

namespace sluice {

uint64_t RcuReclaimer::StartGracePeriod() {
  return rte_rcu_qsbr_start(variable_);
}

bool RcuReclaimer::HasPassed(uint64_t grace_period) {
  return rte_rcu_qsbr_check(variable_, grace_period, /*wait=*/false) == 1;
}

}  // namespace sluice
