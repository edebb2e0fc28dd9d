// What of the language this engine does not carry out: the one list of it. A
// part that learns to do something sets its capability (compile.h), or takes
// its line away here; then loads, checks, `--without` and `-s info` follow.
#ifndef SLUICE_PFTABLE_COMPILE_CONSTRUCTS_H_
#define SLUICE_PFTABLE_COMPILE_CONSTRUCTS_H_

#include <span>
#include <string_view>

#include "pftable/compile/enforce.h"
#include "pftable/policy/policy.h"

namespace sluice {

using Capability = bool EngineCapabilities::*;

// Something that a rule has.
struct RuleConstruct {
  std::string_view name;
  Capability capability = nullptr;  // null: never enforced
  // Whether a packet's way depends on it: then a load without it is refused.
  bool verdict = true;
  bool (*used)(const Rule&) = nullptr;
  // Takes it from a rule. Null: who leaves it out leaves out such rules, as
  // nobody can say whether a packet meets the condition.
  void (*drop)(Rule&) = nullptr;
};
std::span<const RuleConstruct> RuleConstructs();

// A `set`; `begins` is how its canonical text begins.
struct OptionConstruct {
  std::string_view name;
  std::string_view begins;
  Capability capability = nullptr;
  bool verdict = true;
  bool (*used)(const Options&) = nullptr;  // null: whenever it is given
  void (*drop)(Options&) = nullptr;
};
std::span<const OptionConstruct> OptionConstructs();

// The same of a rule for layer 2.
struct EtherConstruct {
  std::string_view name;
  Capability capability = nullptr;
  bool verdict = true;
  bool (*used)(const EtherRule&) = nullptr;
  void (*drop)(EtherRule&) = nullptr;
};
std::span<const EtherConstruct> EtherConstructs();

// A ruleset of its own beside the filter rules.
struct RulesetConstruct {
  std::string_view name;
  Capability capability = nullptr;
  std::vector<Rule> Ruleset::*rules = nullptr;
};
std::span<const RulesetConstruct> RulesetConstructs();

// A definition (ForeignDefinition::kind): whether rules that use it, or it
// itself, change verdicts.
bool DefinitionChangesVerdicts(std::string_view kind);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_CONSTRUCTS_H_
