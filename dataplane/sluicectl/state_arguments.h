// Which states `-s states` shows: `--host`, `--sort` and the others.
#ifndef SLUICE_DATAPLANE_SLUICECTL_STATE_ARGUMENTS_H_
#define SLUICE_DATAPLANE_SLUICECTL_STATE_ARGUMENTS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

// The options that have a value; beside them there is --count.
inline constexpr std::array<std::string_view, 11> kStateOptions = {
    "age",  "direction", "host", "interface", "label", "limit",
    "port", "proto",     "rule", "sort",      "tag"};

// As they were read.
struct StateConditions {
  std::string host, interface, label, tag, sort, direction;
  std::optional<uint32_t> port, protocol, rule, min_age, max_age, limit;
  bool count = false;

  friend bool operator==(const StateConditions&,
                         const StateConditions&) = default;
  bool any() const { return *this != StateConditions(); }
};

// Sets the one of the options that `name` is. An error's message begins with
// the option.
absl::Status SetStateOption(std::string_view name, std::string value,
                            StateConditions* conditions);
// What does not go together.
absl::Status CheckStateConditions(const StateConditions& conditions);
// The parameters of states.show and states.count, without `sort` and `limit`.
nlohmann::json StateParams(const StateConditions& conditions);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_STATE_ARGUMENTS_H_
