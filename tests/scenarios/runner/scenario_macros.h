// The names that a scenario writes with `$`.
#ifndef SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_MACROS_H_
#define SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_MACROS_H_

#include <map>
#include <string>
#include <string_view>

#include "packet/address.h"

namespace sluice {

class ScenarioMacros {
 public:
  // With the names that every scenario has: hosts C, S, X, the network N that
  // they are in, a host O elsewhere, a multicast group M, and the words af,
  // icmp and icmptype.
  explicit ScenarioMacros(Family family);

  void Set(std::string name, std::string value) {
    values_[std::move(name)] = std::move(value);
  }

  // The text with all known names replaced; others stay, because rulesets
  // have macros of their own. With `state_form`, `$C:80` becomes what pfctl
  // prints: 10.0.0.2:80 or 2001:db8::2[80].
  std::string Expand(std::string_view text, bool state_form) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SCENARIOS_RUNNER_SCENARIO_MACROS_H_
