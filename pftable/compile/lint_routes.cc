#include "pftable/compile/lint_routes.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

std::string_view WordOfRoute(RouteKind kind) {
  switch (kind) {
    case RouteKind::kRouteTo:
      return "route-to";
    case RouteKind::kReplyTo:
      return "reply-to";
    case RouteKind::kDupTo:
      return "dup-to";
    case RouteKind::kNone:
      break;
  }
  return "";
}

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
    return std::move(found_);
  }

 private:
  void Walk(const Anchor& anchor) {
    for (const Rule& rule : anchor.rules.filter) Look(rule);
    for (const Anchor& child : anchor.children) Walk(child);
  }

  void Look(const Rule& rule) {
    if (rule.route != RouteKind::kNone && rule.action != RuleAction::kBlock) {
      Warn(rule, WordOfRoute(rule.route),
           "what this rule passes is dropped (no-route) at port ");
    }
    for (const Endpoint* end : {&rule.source, &rule.destination}) {
      const std::string_view word = QuestionOf(*end);
      if (!word.empty()) Warn(rule, word, "this never holds at port ");
    }
  }

  // Where it can match.
  bool IsAt(const Rule& rule, const UnroutedPort& port) const {
    if (!rule.on.IsSet()) return true;
    const bool on = rule.on.name == "any" ||
                    interfaces_.Resolve(rule.on.name).Matches(port.interface);
    return on != rule.on.negated;
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
    d.source_line = SourceLine(place);
    // The rules of one list are one mistake.
    if (std::find(found_.begin(), found_.end(), d) == found_.end()) {
      found_.push_back(std::move(d));
    }
  }

  std::string SourceLine(const SourcePlace& place) {
    if (policy_.texts == nullptr || place.file >= policy_.texts->size()) {
      return std::string();
    }
    const auto [lines, made] =
        lines_.try_emplace(place.file, (*policy_.texts)[place.file]);
    return lines->second.Line(place.line);
  }

  const Policy& policy_;
  const InterfaceRegistry& interfaces_;
  const std::span<const UnroutedPort> ports_;
  const size_t limit_;
  std::map<uint32_t, SourceLines> lines_;  // by file
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
