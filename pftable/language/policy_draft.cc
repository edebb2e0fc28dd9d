#include "pftable/language/policy_draft.h"

#include <string>
#include <utility>

namespace sluice {

void PolicyDraft::BeginFile(std::string path) {
  anchors_ = {{.path = std::move(path), .next_unnamed = 1}};
  section_ = Section::kNone;
}

void PolicyDraft::OpenBody(std::string path) {
  policy_.defined_anchors.push_back(path);
  anchors_.push_back({.path = std::move(path), .next_unnamed = 1});
  in_.EnterBody();
}

void PolicyDraft::CloseBody() {
  anchors_.pop_back();
  in_.LeaveBody();
}

Anchor& PolicyDraft::MakeAnchor(const std::string& path, SourcePlace place) {
  anchor_places_.try_emplace(path, place);
  return policy_.main.FindOrCreate(path);
}

bool PolicyDraft::CheckOrder(Section section, SourcePlace place) {
  const bool before_queues = section == Section::kOption && queues_seen_;
  const bool wrong = policy_.options.require_order && !in_.in_body() &&
                     (section < section_ || before_queues);
  // pfctl prints ALTQ in front of all rules. So that this can be read again,
  // ether and scrub rules may follow it, to which it makes no difference.
  const bool queue = section == Section::kQueue && !wrong;
  queues_seen_ = queue || (queues_seen_ && !before_queues);
  // After a mistake the order begins anew there: what follows in its section
  // is of the same mistake.
  if (wrong || (section > section_ && !queue)) section_ = section;
  if (!wrong) return true;
  return in_.Error(place,
                   "rules must be in order: options, ethernet, normalization, "
                   "queueing, translation, filtering",
                   "move it, or write `set require-order no` first");
}

}  // namespace sluice
