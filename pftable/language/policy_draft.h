// The policy while it is read: where statements put what they say, in which
// order they may come, and how much there may be. Internal to the language
// front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_POLICY_DRAFT_H_
#define SLUICE_PFTABLE_LANGUAGE_POLICY_DRAFT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pftable/language/parser.h"
#include "pftable/language/token_reader.h"
#include "pftable/policy/policy.h"

namespace sluice {

// FreeBSD's order of statements.
enum class Section : uint8_t {
  kNone,
  kOption,
  kEther,
  kScrub,
  kQueue,
  kNat,
  kFilter,
};

class PolicyDraft {
 public:
  // All outlive this.
  PolicyDraft(const ParseInput& input, Policy& policy, TokenReader& in)
      : input_(input), policy_(policy), in_(in) {}

  // What the policy is read for.
  const ParseInput& input() const { return input_; }
  Policy& policy() { return policy_; }
  const Policy& policy() const { return policy_; }

  // A file begins whose statements are those of the anchor `path`; "" is the
  // main ruleset.
  void BeginFile(std::string path);
  // Whether it is one of `load anchor`.
  bool in_loaded_anchor() const { return in_loaded_anchor_; }
  void LoadAnchors() { in_loaded_anchor_ = true; }
  // The body of an anchor begins, and ends.
  void OpenBody(std::string path);
  void CloseBody();

  // The anchor that statements now go to, and its path within the policy.
  Anchor& Here() { return policy_.main.FindOrCreate(path()); }
  const std::string& path() const { return anchors_.back().path; }
  int NextUnnamed() { return anchors_.back().next_unnamed++; }
  Anchor& MakeAnchor(const std::string& path, SourcePlace place);
  // Of the first mention of each.
  const std::map<std::string, SourcePlace>& anchor_places() const {
    return anchor_places_;
  }

  bool CheckOrder(Section section, SourcePlace place);
  // Of macros, options and tables, for the print.
  uint32_t NextOrder() { return ++order_; }

  void CountRule() { ++rule_count_; }
  size_t rules_left() const { return input_.limits.rules - rule_count_; }
  void CountTableEntries(size_t count) { table_entry_count_ += count; }
  size_t table_entries_left() const {
    return input_.limits.table_entries - table_entry_count_;
  }

 private:
  struct AnchorScope {
    std::string path;
    int next_unnamed = 1;
  };

  const ParseInput& input_;
  Policy& policy_;
  TokenReader& in_;
  std::vector<AnchorScope> anchors_;
  std::map<std::string, SourcePlace> anchor_places_;
  Section section_ = Section::kNone;
  bool queues_seen_ = false;
  bool in_loaded_anchor_ = false;
  uint32_t order_ = 0;
  size_t rule_count_ = 0;
  size_t table_entry_count_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_POLICY_DRAFT_H_
