#include "dataplane/sluicectl/state_arguments.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/packet_words.h"
#include "nlohmann/json.hpp"
#include "packet/address.h"

namespace sluice {
namespace {

constexpr uint32_t kMostStates = 1'000'000'000;
constexpr std::array<std::string_view, 4> kSorts = {"bytes", "packets", "age",
                                                    "rate"};

absl::Status Refuse(std::string_view name, const std::string& value,
                    std::string_view want) {
  return absl::InvalidArgumentError(absl::StrCat(
      "--", View(name), " ", value, ": say ", View(want)));
}

absl::Status SetNumberOf(std::string_view name, const std::string& value,
                         uint32_t least, uint32_t most,
                         std::optional<uint32_t>* out) {
  *out = ReadNumber(value, most);
  if (*out && **out >= least) return absl::OkStatus();
  return Refuse(name, value,
                "a number from " + std::to_string(least) + " to " +
                    std::to_string(most));
}

// "90", "90s", "5m", "2h", "1d" in seconds.
std::optional<uint32_t> ReadSeconds(std::string_view text) {
  uint64_t unit = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 's': unit = 1; break;
      case 'm': unit = 60; break;
      case 'h': unit = 3600; break;
      case 'd': unit = 86400; break;
      default: unit = 0; break;
    }
    if (unit > 0) {
      text.remove_suffix(1);
    } else {
      unit = 1;
    }
  }
  const std::optional<uint32_t> number = ReadNumber(text, UINT32_MAX);
  if (!number || *number * unit > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*number * unit);
}

// "10m": so old at least; "-10m" at most; "1m-10m" between.
absl::Status SetAge(const std::string& value, StateConditions* c) {
  const size_t dash = value.find('-');
  const std::string from = value.substr(0, dash);
  const std::string to =
      dash == std::string::npos ? "" : value.substr(dash + 1);
  if (!from.empty()) c->min_age = ReadSeconds(from);
  if (!to.empty()) c->max_age = ReadSeconds(to);
  const bool wrong = (from.empty() && to.empty()) ||
                     (!from.empty() && !c->min_age) ||
                     (!to.empty() && !c->max_age) ||
                     (dash != std::string::npos && to.empty()) ||
                     (c->min_age && c->max_age && *c->min_age > *c->max_age);
  if (!wrong) return absl::OkStatus();
  return Refuse("age", value, "10m (so old at least), -10m or 1m-10m");
}

}  // namespace

absl::Status SetStateOption(std::string_view name, std::string value,
                            StateConditions* c) {
  if (name == "host") {
    if (!ParsePrefix(value)) {
      return Refuse(name, value, "an address or a network");
    }
    c->host = std::move(value);
  } else if (name == "port") {
    return SetNumberOf(name, value, 0, UINT16_MAX, &c->port);
  } else if (name == "proto") {
    c->protocol = ReadProtocol(value);
    if (!c->protocol) {
      return absl::InvalidArgumentError(UnknownProtocol(value));
    }
  } else if (name == "rule") {
    return SetNumberOf(name, value, 0, UINT32_MAX, &c->rule);
  } else if (name == "limit") {
    return SetNumberOf(name, value, 1, kMostStates, &c->limit);
  } else if (name == "age") {
    return SetAge(value, c);
  } else if (name == "direction") {
    if (value != "in" && value != "out") {
      return Refuse(name, value, "in or out");
    }
    c->direction = std::move(value);
  } else if (name == "sort") {
    if (std::ranges::find(kSorts, value) == kSorts.end()) {
      return Refuse(name, value, "bytes, packets, age or rate");
    }
    c->sort = std::move(value);
  } else if (name == "interface") {
    c->interface = std::move(value);
  } else if (name == "label") {
    c->label = std::move(value);
  } else {
    c->tag = std::move(value);
  }
  return absl::OkStatus();
}

absl::Status CheckStateConditions(const StateConditions& c) {
  if (c.count && (!c.sort.empty() || c.limit)) {
    return absl::InvalidArgumentError(
        "--count counts all that match: --sort and --limit do not go with it");
  }
  constexpr uint32_t kSorted = 1000;
  if (!c.sort.empty() && c.limit.value_or(1) > kSorted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--limit ", *c.limit, ": of a sorted listing at most ", kSorted));
  }
  return absl::OkStatus();
}

nlohmann::json StateParams(const StateConditions& c) {
  nlohmann::json params = nlohmann::json::object();
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) params[name] = value;
  };
  const auto number = [&](const char* name,
                          const std::optional<uint32_t>& value) {
    if (value) params[name] = *value;
  };
  text("host", c.host);
  text("interface", c.interface);
  text("label", c.label);
  text("tag", c.tag);
  text("direction", c.direction);
  number("port", c.port);
  number("protocol", c.protocol);
  number("rule", c.rule);
  number("min_age", c.min_age);
  number("max_age", c.max_age);
  return params;
}

}  // namespace sluice
