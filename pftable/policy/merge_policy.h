// What stays of a policy when a text is loaded over it, and when parts of it
// are flushed. As in pf, a load replaces the rules of the anchors that the text
// has, and no others; named anchors live until they are empty and nobody calls
// them, unnamed ones as long as the rules that they stand in.
#ifndef SLUICE_PFTABLE_POLICY_MERGE_POLICY_H_
#define SLUICE_PFTABLE_POLICY_MERGE_POLICY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "pftable/policy/policy.h"

namespace sluice {

// What a text is loaded over: the policy in force, or what another text of the
// same commit has made of that, whose rules and tables are as new as the text.
enum class Standing : uint8_t { kInForce, kInTheMaking };

// The policy `next`, loaded over `old`. If it was read for an anchor
// (ParseInput::anchor), its main ruleset becomes that; else it is the main
// ruleset. It has that and those of Policy::defined_anchors; all others are
// those of `old`, with their tables as they are in force. A text for an anchor sets no options: they, queues and macros are `old`'s then.
void KeepAnchors(Policy* next, const Policy& old, std::string_view anchor,
                 Standing standing = Standing::kInForce);

// FreeBSD's -A, -N, -O, -R and -T load: of a text only these parts are loaded.
struct LoadParts {
  bool options = true;
  bool tables = true;
  bool queues = true;
  bool ether = true;
  bool translation = true;
  bool filter = true;  // scrub rules are among them

  friend bool operator==(const LoadParts&, const LoadParts&) = default;
};
// Puts the other parts of `old` into `next`, which was read for the main
// ruleset; tables that `next` does not have stay, whether tables are a part or
// not.
void KeepParts(Policy* next, const Policy& old, const LoadParts& parts,
               Standing standing = Standing::kInForce);

// Makes a policy that was in force earlier fit to be loaded over that which is
// `now`: what it had kept then of the one before it is not in force any more.
// Rules with `once` begin anew in all of it. Tables that it had kept, and that
// are there now, stay as they are.
void LoadAnew(Policy* earlier, const Policy& now);

struct PolicyFlush {
  std::string anchor;  // path; empty: the main ruleset
  bool below = false;  // those below it, too
  bool rules = true;
  bool options = false;  // to the defaults of the dialect
  std::string debug{};   // not empty: `set debug` becomes this
  // Of the rules these: as FreeBSD's pfctl, which has an order for each.
  bool ether = true;
  bool translation = true;
  bool filter = true;  // scrub rules and queues are among them
};
// What is left of `old`.
Policy Flushed(const Policy& old, const PolicyFlush& flush);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_MERGE_POLICY_H_
