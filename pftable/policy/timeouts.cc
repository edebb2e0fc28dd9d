#include "pftable/policy/timeouts.h"

#include <algorithm>

namespace sluice {

uint32_t TimeoutTicks(const TimeoutProfile& filter, const TimeoutProfile* rule,
                      Timeout timeout, uint32_t filter_states,
                      uint32_t rule_states) {
  uint32_t seconds = rule != nullptr ? (*rule)[timeout] : 0;
  if (seconds == 0) seconds = filter[timeout];
  uint64_t ticks = std::min<uint64_t>(uint64_t{seconds} * 1000,
                                      kMaxTimeoutTicks);

  const bool by_rule = rule != nullptr && (*rule)[Timeout::kAdaptiveStart] != 0;
  const TimeoutProfile& adaptive = by_rule ? *rule : filter;
  const uint32_t states = by_rule ? rule_states : filter_states;
  const uint32_t start = adaptive[Timeout::kAdaptiveStart];
  const uint32_t end = adaptive[Timeout::kAdaptiveEnd];
  if (end > start && states > start) {
    ticks = states < end ? ticks * (end - states) / (end - start) : 0;
  }
  return static_cast<uint32_t>(ticks);
}

}  // namespace sluice
