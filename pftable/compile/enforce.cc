#include "pftable/compile/enforce.h"

#include <algorithm>
#include <utility>

#include "pftable/compile/constructs.h"
#include "pftable/policy/source_lines.h"

namespace sluice {
namespace {

bool Can(const EngineCapabilities& can, Capability capability) {
  return capability != nullptr && can.*capability;
}

// How the message says what `--without` makes of rules.
template <typename Construct>
std::string_view WithoutIt(const Construct& construct) {
  return construct.drop != nullptr ? "rules with it are loaded without it"
                                   : "rules with it are left out";
}

constexpr std::string_view kLeftOutWhole = "such rules are left out";
// Of a table: its addresses are not counted one by one.
constexpr std::string_view kAddressCounters = "table counters";
constexpr std::string_view kSettingLeftOut = "the setting is left out";
constexpr std::string_view kDefinitionLeftOut = "the definition is left out";

// Whether `names`, as the user gave them, have the construct. "nat-to" is all
// of "nat-to ...", and "nat-rule" is "nat rule".
bool HasName(std::span<const std::string> names, std::string_view construct) {
  for (const std::string& given : names) {
    const std::string_view name = given;
    if (name.empty() || name.size() > construct.size()) continue;
    bool same = true;
    for (size_t i = 0; i < name.size(); ++i) {
      if (name[i] != construct[i] && !(name[i] == '-' && construct[i] == ' ')) {
        same = false;
        break;
      }
    }
    if (!same) continue;
    const std::string_view rest = construct.substr(name.size());
    if (rest.empty() || rest.rfind(" on ", 0) == 0) return true;
  }
  return false;
}

class Finder {
 public:
  Finder(const Policy& policy, const EngineCapabilities& can, size_t limit)
      : policy_(policy), can_(can), limit_(limit) {}

  std::vector<Diagnostic> Run() {
    for (const Options::Given& given : policy_.options.given) {
      for (const OptionConstruct& c : OptionConstructs()) {
        if (given.text.rfind(c.begins, 0) == 0 && !Can(can_, c.capability) &&
            (c.used == nullptr || c.used(policy_.options))) {
          Report(given.place, c.name, c.verdict, kSettingLeftOut);
        }
      }
    }
    for (const ForeignDefinition& d : policy_.foreign) {
      if (d.limiter.has_value() && can_.limiters) continue;
      Report(d.place, d.kind, DefinitionChangesVerdicts(d.kind),
             kDefinitionLeftOut);
    }
    Walk(policy_.main);
    return std::move(found_);
  }

 private:
  void Report(const SourcePlace& place, std::string_view name, bool verdict,
              std::string_view without) {
    // Errors are never kept from view by warnings.
    if (verdict ? errors_ >= limit_ : warnings_ >= limit_) return;
    Diagnostic d;
    d.severity = verdict ? Severity::kError : Severity::kWarning;
    d.file = place.file < policy_.files.size() ? policy_.files[place.file]
                                               : std::string();
    d.line = place.line;
    d.column = place.column;
    d.message = (verdict ? "parsed, not enforced yet: "
                         : "changes no verdict, not carried out: ") +
                std::string(name);
    if (verdict) {
      d.hint = std::string("with --without \"") + std::string(name) + "\" " +
               std::string(without);
    }
    d.source_line = texts_.Line(place.file, place.line);
    // The rules of one list are one mistake.
    if (std::find(found_.begin(), found_.end(), d) == found_.end()) {
      found_.push_back(std::move(d));
      ++(verdict ? errors_ : warnings_);
    }
  }

  void Walk(const Anchor& anchor) {
    const Ruleset& rules = anchor.rules;
    for (const TableDefinition& table : anchor.tables) {
      if (table.counters && !can_.address_counters) {
        Report(table.place, kAddressCounters, false, kSettingLeftOut);
      }
    }
    for (const RulesetConstruct& c : RulesetConstructs()) {
      if (Can(can_, c.capability)) continue;
      for (const Rule& r : rules.*c.rules) {
        Report(r.place, c.name, true, kLeftOutWhole);
      }
    }
    Look(EtherConstructs(), rules.ether);
    for (const std::vector<Rule>* list :
         {&rules.scrub, &rules.nat, &rules.rdr, &rules.binat,
          &rules.filter}) {
      Look(RuleConstructs(), *list);
    }
    for (const Anchor& child : anchor.children) Walk(child);
  }

  template <typename Construct, typename AnyRule>
  void Look(std::span<const Construct> constructs,
            const std::vector<AnyRule>& rules) {
    for (const AnyRule& r : rules) {
      for (const Construct& c : constructs) {
        if (errors_ >= limit_) return;
        if (!Can(can_, c.capability) && c.used(r)) {
          Report(r.place, c.name, c.verdict, WithoutIt(c));
        }
      }
    }
  }

  const Policy& policy_;
  const EngineCapabilities& can_;
  const size_t limit_;
  SourceTexts texts_{policy_.texts.get()};
  size_t errors_ = 0;
  size_t warnings_ = 0;
  std::vector<Diagnostic> found_;
};

// Takes constructs from a policy.
class Remover {
 public:
  Remover(Policy* policy, std::span<const std::string> names,
          const EngineCapabilities& can)
      : policy_(*policy), names_(names), can_(can) {}

  void Run() {
    Options& o = policy_.options;
    for (const OptionConstruct& c : OptionConstructs()) {
      if (!Wanted(c.name, c.capability)) continue;
      const auto removed = std::remove_if(
          o.given.begin(), o.given.end(), [&](const Options::Given& given) {
            return given.text.rfind(c.begins, 0) == 0 &&
                   (c.used == nullptr || c.used(o));
          });
      if (removed == o.given.end()) continue;
      o.given.erase(removed, o.given.end());
      c.drop(o);
      Note(c.name, kSettingLeftOut);
    }
    std::vector<ForeignDefinition>& foreign = policy_.foreign;
    foreign.erase(std::remove_if(foreign.begin(), foreign.end(),
                                 [&](const ForeignDefinition& d) {
                                   if (!Wanted(d.kind,
                                               d.limiter.has_value()
                                                   ? &EngineCapabilities::limiters
                                                   : nullptr)) {
                                     return false;
                                   }
                                   Note(d.kind, kDefinitionLeftOut);
                                   return true;
                                 }),
                  foreign.end());
    Walk(policy_.main);
  }

 private:
  bool Wanted(std::string_view name, Capability capability) const {
    return !Can(can_, capability) && HasName(names_, name);
  }

  void Note(std::string_view name, std::string_view what) {
    std::string note = std::string(name) + ": " + std::string(what);
    std::vector<std::string>& notes = policy_.left_out;
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) {
      notes.push_back(std::move(note));
    }
  }

  void Walk(Anchor& anchor) {
    Ruleset& rules = anchor.rules;
    for (const RulesetConstruct& c : RulesetConstructs()) {
      if (!Wanted(c.name, c.capability)) continue;
      if ((rules.*c.rules).empty()) continue;
      (rules.*c.rules).clear();
      Note(c.name, kLeftOutWhole);
    }
    for (const EtherConstruct& c : EtherConstructs()) {
      if (Wanted(c.name, c.capability)) Take(c, rules.ether);
    }
    for (const RuleConstruct& c : RuleConstructs()) {
      if (!Wanted(c.name, c.capability)) continue;
      for (std::vector<Rule>* list : {&rules.scrub, &rules.nat, &rules.rdr,
                                      &rules.binat, &rules.filter}) {
        Take(c, *list);
      }
    }
    for (Anchor& child : anchor.children) Walk(child);
  }

  template <typename Construct, typename AnyRule>
  void Take(const Construct& construct, std::vector<AnyRule>& rules) {
    if (construct.drop == nullptr) {
      const auto removed =
          std::remove_if(rules.begin(), rules.end(), construct.used);
      if (removed == rules.end()) return;
      rules.erase(removed, rules.end());
      Note(construct.name, WithoutIt(construct));
      return;
    }
    for (AnyRule& rule : rules) {
      if (!construct.used(rule)) continue;
      construct.drop(rule);
      Note(construct.name, WithoutIt(construct));
    }
  }

  Policy& policy_;
  const std::span<const std::string> names_;
  const EngineCapabilities& can_;
};

}  // namespace

std::vector<Diagnostic> UnenforcedConstructs(const Policy& policy,
                                             const EngineCapabilities& can,
                                             size_t limit) {
  return Finder(policy, can, limit).Run();
}

std::vector<Diagnostic> LeaveOut(Policy* policy,
                                 std::span<const std::string> names,
                                 const EngineCapabilities& can) {
  Remover(policy, names, can).Run();
  std::vector<Diagnostic> warnings;
  for (const std::string& note : policy->left_out) {
    Diagnostic d;
    d.severity = Severity::kWarning;
    d.file = policy->files.empty() ? std::string() : policy->files[0];
    d.message = "left out as asked: " + note;
    warnings.push_back(std::move(d));
  }
  return warnings;
}

std::vector<Diagnostic> CheckEnforced(Policy* policy,
                                      std::span<const std::string> names,
                                      const EngineCapabilities& can) {
  std::vector<Diagnostic> diagnostics = LeaveOut(policy, names, can);
  for (const std::string& name : names) {
    const bool known =
        std::any_of(policy->left_out.begin(), policy->left_out.end(),
                    [&](const std::string& note) {
                      return HasName(std::span(&name, 1),
                                     note.substr(0, note.find(": ")));
                    });
    if (known) continue;
    Diagnostic d;
    d.severity = Severity::kWarning;
    d.file = policy->files.empty() ? std::string() : policy->files[0];
    d.message = "nothing to leave out: " + name;
    diagnostics.push_back(std::move(d));
  }
  for (Diagnostic& d : UnenforcedConstructs(*policy, can)) {
    diagnostics.push_back(std::move(d));
  }
  return diagnostics;
}

std::vector<std::string> NotCarriedOut(const Policy& policy,
                                       const EngineCapabilities& can) {
  std::vector<std::string> notes = policy.left_out;
  for (const Diagnostic& d : UnenforcedConstructs(policy, can)) {
    if (d.severity == Severity::kError) continue;
    std::string note =
        d.message.substr(d.message.rfind(": ") + 2) + ": changes no verdict";
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) {
      notes.push_back(std::move(note));
    }
  }
  return notes;
}

std::vector<std::string_view> ConstructNames() {
  std::vector<std::string_view> names = {"altq", kAddressCounters};
  for (const OptionConstruct& c : OptionConstructs()) names.push_back(c.name);
  for (const RulesetConstruct& c : RulesetConstructs()) {
    names.push_back(c.name);
  }
  for (const EtherConstruct& c : EtherConstructs()) names.push_back(c.name);
  for (const RuleConstruct& c : RuleConstructs()) names.push_back(c.name);
  return names;
}

}  // namespace sluice
