#include "pftable/compile/lint_routes.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy/names.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

std::string_view QuestionOf(const Endpoint& end) {
  if (end.address.kind == AddressKind::kNoRoute) return "no-route";
  if (end.address.kind == AddressKind::kUrpfFailed) return "urpf-failed";
  return "";
}

class RouteLinter {
 public:
  RouteLinter(const Policy& policy, const InterfaceRegistry& interfaces,
              std::span<const UnroutedPort> ports, size_t limit)
      : policy_(policy),
        interfaces_(interfaces),
        ports_(ports),
        limit_(limit) {}

  std::vector<Diagnostic> Run() {
    if (!ports_.empty()) Walk(policy_.main);
    while (!reached_.empty()) {
      const Anchor* const next = reached_.back();
      reached_.pop_back();
      Walk(*next);
    }
    return std::move(found_);
  }

 private:
  // Into anchors, too, that are called for packets of all ports.
  void Walk(const Anchor& anchor) {
    for (const Rule& rule : anchor.rules.filter) {
      if (!rule.IsAnchorCall()) {
        Look(rule);
      } else if (!rule.on.IsSet() && !rule.received_on.IsSet()) {
        Enter(rule);
      }
    }
  }
  void Enter(const Rule& call) {
    const Anchor* const callee = policy_.main.Find(call.anchor_path);
    if (callee == nullptr) return;
    if (!call.anchor_wildcard) {
      if (known_.insert(callee).second) reached_.push_back(callee);
      return;
    }
    for (const Anchor& child : callee->children) {
      if (known_.insert(&child).second) reached_.push_back(&child);
    }
  }

  void Look(const Rule& rule) {
    if (rule.route != RouteKind::kNone && rule.action != RuleAction::kBlock) {
      Warn(rule, Name(rule.route),
           "what this rule passes is dropped (no-route) at port ");
    }
    for (const Endpoint* end : {&rule.source, &rule.destination}) {
      const std::string_view word = QuestionOf(*end);
      if (!word.empty()) Warn(rule, word, "this never holds at port ");
    }
  }

  // Where it can match: what arrives at one such port leaves by another.
  bool IsAt(const Rule& rule, const UnroutedPort& port) const {
    return Names(rule.on, port) &&
           (!rule.received_on.IsSet() ||
            std::ranges::any_of(ports_, [&](const UnroutedPort& any) {
              return Names(rule.received_on, any);
            }));
  }
  bool Names(const InterfaceMatch& match, const UnroutedPort& port) const {
    if (!match.IsSet()) return true;
    const bool on = match.name == "any" ||
                    interfaces_.Resolve(match.name).Matches(port.interface);
    return on != match.negated;
  }

  void Warn(const Rule& rule, std::string_view word, std::string_view what) {
    if (found_.size() >= limit_) return;
    const UnroutedPort* first = nullptr;
    size_t more = 0;
    for (const UnroutedPort& port : ports_) {
      if (!IsAt(rule, port)) continue;
      if (first == nullptr) {
        first = &port;
      } else {
        ++more;
      }
    }
    if (first == nullptr) return;
    const SourcePlace& place = rule.place;
    Diagnostic d;
    d.severity = Severity::kWarning;
    if (place.file < policy_.files.size()) d.file = policy_.files[place.file];
    d.line = place.line;
    d.column = place.column;
    d.message = std::string(word) + ": " + std::string(what) + first->name;
    if (more > 0) absl::StrAppend(&d.message, " and ", more, " more");
    absl::StrAppend(&d.message,
                    more > 0 ? ", which have no router" : ", which has no router");
    d.hint = "name with `on` the ports of a [[router]]";
    d.source_line = texts_.Line(place.file, place.line);
    // The rules of one list are one mistake.
    if (std::find(found_.begin(), found_.end(), d) == found_.end()) {
      found_.push_back(std::move(d));
    }
  }

  const Policy& policy_;
  const InterfaceRegistry& interfaces_;
  const std::span<const UnroutedPort> ports_;
  const size_t limit_;
  SourceTexts texts_{policy_.texts.get()};
  std::vector<const Anchor*> reached_;     // to be walked
  std::set<const Anchor*> known_;          // ... or already
  std::vector<Diagnostic> found_;
};

}  // namespace

std::vector<Diagnostic> LintRoutes(const Policy& policy,
                                   const InterfaceRegistry& interfaces,
                                   std::span<const UnroutedPort> ports,
                                   size_t limit) {
  return RouteLinter(policy, interfaces, ports, limit).Run();
}

}  // namespace sluice
