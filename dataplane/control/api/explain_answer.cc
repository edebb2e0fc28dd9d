#include "dataplane/control/api/explain_answer.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "packet/drop_reason.h"
#include "pftable/engine/explain.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

absl::StatusOr<InterfaceView> ViewOf(const InterfaceRegistry& interfaces,
                                     const std::string& name) {
  if (name.empty()) return InterfaceView();
  const uint16_t id = interfaces.Resolve(name).id;
  for (const InterfaceView& view : interfaces.Views()) {
    if (id != 0 && view.id == id) return view;
  }
  return absl::NotFoundError(
      absl::StrCat("there is no interface \"", name,
                   "\"; port list shows those there are"));
}

void TellRules(const Generation& generation, const TagRegistry& tags,
               const HostFacts& facts, const Explanation& explanation,
               ExplainResult* result) {
  const Verdict& verdict = explanation.verdict;
  const CompiledPolicy& policy = *generation.policy;
  const PrintOptions print = {.dialect = policy.source->options.dialect,
                              .facts = &facts,
                              .as_pfctl = true};
  for (const ExplainedRule& rule : explanation.rules) {
    const ListedRule& listed = policy.listed[rule.rule];
    ExplainedRuleListing& told = result->rules.emplace_back();
    told.anchor = listed.anchor;
    told.number = listed.number;
    told.depth = rule.depth;
    told.text = PrintRule(*listed.rule, print);
    told.failed = std::string(Name(rule.failed));
    told.decides = verdict.rule == &policy.rules[rule.rule] &&
                   rule.failed == RuleCondition::kNone;
    told.tag = tags.NameOf(rule.tag);
    told.labels = listed.labels;
    for (const ExplainedTable& table : rule.tables) {
      const TableKey& key = generation.table_states[table.table].key;
      told.tables.push_back({.table = key.name,
                             .anchor = key.anchor,
                             .is_source = table.is_source,
                             .entry = table.entry});
    }
  }
  // An anchor may be called twice: the last time decides.
  bool seen = false;
  for (size_t i = result->rules.size(); i-- > 0;) {
    if (!result->rules[i].decides) continue;
    result->rules[i].decides = !seen;
    seen = true;
  }
}

}  // namespace

absl::Status AnswerExplain(const Generation& generation,
                           const InterfaceRegistry& interfaces,
                           const TagRegistry& tags, const HostFacts& facts,
                           const ExplainRequest& request, Tick now,
                           const RouteView* routes, ExplainResult* result) {
  absl::StatusOr<InterfaceView> at = ViewOf(interfaces, request.interface);
  if (!at.ok()) return at.status();
  absl::StatusOr<InterfaceView> arrival =
      request.direction == Direction::kIn
          ? at
          : ViewOf(interfaces, request.received_on);
  if (!arrival.ok()) return arrival.status();
  if (generation.Skips(*at)) {
    result->skipped = true;
    return absl::OkStatus();
  }
  const EvaluationInput input{
      .packet = request.packet,
      .direction = request.direction,
      .interface = *at,
      .received_on = *arrival,
      .tag = request.tag.empty() ? kNoTag : tags.Find(request.tag),
      .now = now,
      .syn = request.syn ? &*request.syn : nullptr,
      .routes = routes};
  const Explanation explanation = Explain(generation, input, request.near);
  const Verdict& verdict = explanation.verdict;
  result->passes = verdict.action == VerdictAction::kPass;
  if (!result->passes) {
    result->reason = std::string(Name(verdict.reason));
  } else if (request.packet.has(kIpOptions) && !verdict.allow_options) {
    result->passes = false;
    result->reason = std::string(Name(DropReason::kIpOption));
  }
  result->keeps_state = result->passes && verdict.keep_state;
  result->tag = tags.NameOf(verdict.state.tag);
  if (result->passes && explanation.translated) {
    result->translated = explanation.packet;
    result->guessed_address = explanation.guessed_address;
    result->guessed_port = explanation.guessed_port;
  }
  if (result->passes && verdict.state.actions.has(PacketActions::kRoute) &&
      verdict.state.route.AppliesTo(request.direction, request.direction)) {
    result->route = verdict.state.route;
  }
  result->met = explanation.met;
  result->left_out = explanation.left_out;
  TellRules(generation, tags, facts, explanation, result);
  return absl::OkStatus();
}

}  // namespace sluice
