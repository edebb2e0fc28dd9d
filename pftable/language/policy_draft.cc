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
  const bool wrong =
      policy_.options.require_order && !in_.in_body() && section < section_;
  // After a mistake the order begins anew there: what follows in its section
  // is of the same mistake.
  if (wrong || section > section_) section_ = section;
  if (!wrong) return true;
  return in_.Error(place,
                   "rules must be in order: options, ethernet, normalization, "
                   "queueing, translation, filtering",
                   "move it, or write `set require-order no` first");
}

}  // namespace sluice
