#include "pftable/policy/policy.h"

#include <algorithm>

namespace sluice {

const std::array<std::string_view, kLimitCount> kLimitNames = {
    "states",        "src-nodes",     "frags",   "tables",
    "table-entries", "pktdelay-pkts", "anchors", "eth-anchors",
};

namespace {

// OpenBSD derives `frags` from the number of mbuf clusters (a 32nd of it);
// this is its value for 64 Ki clusters.
constexpr uint32_t kOpenBsdFragments = 2048;
constexpr uint32_t kFreeBsdFragments = 5000;

}  // namespace

std::optional<RulesetOptimization> OptimizationByName(std::string_view name) {
  if (name == "none") return RulesetOptimization::kNone;
  if (name == "basic") return RulesetOptimization::kBasic;
  if (name == "profile") return RulesetOptimization::kProfile;
  return std::nullopt;
}

std::string_view Name(RulesetOptimization optimization) {
  switch (optimization) {
    case RulesetOptimization::kNone:
      return "none";
    case RulesetOptimization::kBasic:
      return "basic";
    case RulesetOptimization::kProfile:
      break;
  }
  return "profile";
}

Options::Options(Dialect d)
    : dialect(d),
      timeouts(kDefaultTimeouts),
      limits{100000,
             10000,
             d == Dialect::kOpenBsd ? kOpenBsdFragments : kFreeBsdFragments,
             1000,
             200000,
             10000,
             512,
             512},
      reassemble(d == Dialect::kOpenBsd ? Reassembly::kYes : Reassembly::kNo),
      debug(d == Dialect::kOpenBsd ? "err" : "urgent"),
      require_order(d == Dialect::kFreeBsd) {}

const Anchor* Anchor::Find(std::string_view path) const {
  const Anchor* at = this;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view head = path.substr(0, slash);
    path = slash == path.npos ? std::string_view() : path.substr(slash + 1);
    const auto child = std::lower_bound(
        at->children.begin(), at->children.end(), head,
        [](const Anchor& a, std::string_view n) { return a.name < n; });
    if (child == at->children.end() || child->name != head) return nullptr;
    at = &*child;
  }
  return at;
}

Anchor& Anchor::FindOrCreate(std::string_view path) {
  Anchor* at = this;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view head = path.substr(0, slash);
    path = slash == path.npos ? std::string_view() : path.substr(slash + 1);
    auto child = std::lower_bound(
        at->children.begin(), at->children.end(), head,
        [](const Anchor& a, std::string_view n) { return a.name < n; });
    if (child == at->children.end() || child->name != head) {
      child = at->children.insert(child, Anchor());
      child->name = std::string(head);
    }
    at = &*child;
  }
  return *at;
}

}  // namespace sluice
