#include "pftable/policy/merge_policy.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Paths = std::set<std::string, std::less<>>;

bool IsUnnamed(const Anchor& anchor) {
  return !anchor.name.empty() && anchor.name[0] == '_';
}

std::string Below(const std::string& path, const Anchor& child) {
  return path.empty() ? child.name : path + "/" + child.name;
}

// The lists of rules that have places and call anchors.
template <typename Do>
void ForEachList(Ruleset& rules, Do&& act) {
  for (std::vector<Rule>* list :
       {&rules.filter, &rules.scrub, &rules.nat, &rules.rdr, &rules.binat}) {
    act(*list);
  }
}

// The text that it came from is not that of the policy that it is in now.
void ForgetPlaces(Anchor& anchor) {
  ForEachList(anchor.rules, [](std::vector<Rule>& list) {
    for (Rule& rule : list) rule.place = SourcePlace();
  });
  for (EtherRule& rule : anchor.rules.ether) rule.place = SourcePlace();
  for (TableDefinition& table : anchor.tables) table.place = SourcePlace();
}

void KeepTables(Anchor& anchor) {
  for (TableDefinition& table : anchor.tables) table.in_force = true;
}

// Marks all of it as what is in force already; if it comes of what is not, that
// knows which parts of it are.
void Keep(Anchor& anchor, Standing standing) {
  ForgetPlaces(anchor);
  if (standing == Standing::kInForce) {
    KeepTables(anchor);
    anchor.rules_in_force = true;
  }
  for (Anchor& child : anchor.children) Keep(child, standing);
}

void Insert(std::vector<Anchor>& children, Anchor child) {
  const auto at = std::lower_bound(
      children.begin(), children.end(), child.name,
      [](const Anchor& a, const std::string& n) { return a.name < n; });
  children.insert(at, std::move(child));
}

void Merge(Anchor& next, const Anchor& old, const std::string& path,
           const Paths& defined, Standing standing) {
  const bool replaced = defined.contains(path);
  if (!replaced) {
    next.rules = old.rules;
    next.tables = old.tables;
    if (standing == Standing::kInForce) KeepTables(next);
    ForgetPlaces(next);
    next.rules_in_force =
        standing == Standing::kInForce || old.rules_in_force;
  }
  for (const Anchor& child : old.children) {
    if (replaced && IsUnnamed(child)) continue;  // of the rules that are gone
    const auto twin =
        std::find_if(next.children.begin(), next.children.end(),
                     [&](const Anchor& a) { return a.name == child.name; });
    if (twin != next.children.end()) {
      Merge(*twin, child, Below(path, child), defined, standing);
      continue;
    }
    Anchor kept = child;
    Keep(kept, standing);
    Insert(next.children, std::move(kept));
  }
}

void FindCalled(const Anchor& anchor, Paths& called) {
  for (const std::vector<Rule>* list :
       {&anchor.rules.filter, &anchor.rules.scrub, &anchor.rules.nat,
        &anchor.rules.rdr, &anchor.rules.binat}) {
    for (const Rule& rule : *list) {
      if (rule.IsAnchorCall()) called.insert(rule.anchor_path);
    }
  }
  for (const EtherRule& rule : anchor.rules.ether) {
    if (!rule.anchor_call.empty()) called.insert(rule.anchor_path);
  }
  for (const Anchor& child : anchor.children) FindCalled(child, called);
}

// Takes away those that are empty and that nobody calls.
void Prune(Anchor& anchor, const std::string& path, const Paths& called) {
  std::vector<Anchor>& children = anchor.children;
  for (Anchor& child : children) Prune(child, Below(path, child), called);
  children.erase(std::remove_if(children.begin(), children.end(),
                                [&](const Anchor& child) {
                                  return child.children.empty() &&
                                         child.tables.empty() &&
                                         child.rules == Ruleset() &&
                                         !called.contains(Below(path, child));
                                }),
                 children.end());
}

void Prune(Policy& policy) {
  Paths called;
  FindCalled(policy.main, called);
  Prune(policy.main, "", called);
}

// Unnamed anchors go with the rules that called them.
void FlushRules(Anchor& anchor, const PolicyFlush& flush) {
  Ruleset& rules = anchor.rules;
  if (flush.ether) rules.ether.clear();
  if (flush.translation) {
    for (std::vector<Rule>* list : {&rules.nat, &rules.rdr, &rules.binat}) {
      list->clear();
    }
  }
  if (flush.filter) {
    rules.scrub.clear();
    rules.filter.clear();
  }
  Paths called;
  for (const std::vector<Rule>* list :
       {&rules.scrub, &rules.nat, &rules.rdr, &rules.binat, &rules.filter}) {
    for (const Rule& rule : *list) called.insert(rule.anchor_call);
  }
  for (const EtherRule& rule : rules.ether) called.insert(rule.anchor_call);
  std::vector<Anchor>& children = anchor.children;
  children.erase(std::remove_if(children.begin(), children.end(),
                                [&](const Anchor& child) {
                                  return IsUnnamed(child) &&
                                         !called.contains(child.name);
                                }),
                 children.end());
  if (!flush.below) return;
  for (Anchor& child : children) {
    if (!IsUnnamed(child)) FlushRules(child, flush);
  }
}

void SetDebug(Options& options, const std::string& level) {
  options.debug = level;
  std::vector<Options::Given>& given = options.given;
  given.erase(std::remove_if(given.begin(), given.end(),
                             [](const Options::Given& g) {
                               return g.text.rfind("debug ", 0) == 0;
                             }),
              given.end());
  given.push_back({.text = "debug " + level, .place = {}, .order = 0});
}

// Takes those lists from `old` that are no part of the load.
void KeepLists(Anchor& next, const Anchor& old, const LoadParts& parts,
               Standing standing) {
  Anchor kept = old;
  ForgetPlaces(kept);
  if (!parts.filter) {
    next.rules.filter = std::move(kept.rules.filter);
    next.rules.scrub = std::move(kept.rules.scrub);
    next.rules_in_force =
        standing == Standing::kInForce || old.rules_in_force;
  }
  if (!parts.translation) {
    next.rules.nat = std::move(kept.rules.nat);
    next.rules.rdr = std::move(kept.rules.rdr);
    next.rules.binat = std::move(kept.rules.binat);
  }
  if (!parts.ether) next.rules.ether = std::move(kept.rules.ether);
  // Tables that the text does not have stay, too.
  if (standing == Standing::kInForce) KeepTables(kept);
  if (!parts.tables) next.tables.clear();
  for (TableDefinition& table : kept.tables) {
    const bool again = std::any_of(
        next.tables.begin(), next.tables.end(),
        [&](const TableDefinition& t) { return t.name == table.name; });
    if (!again) next.tables.push_back(std::move(table));
  }
  for (const Anchor& child : old.children) {
    const auto twin =
        std::find_if(next.children.begin(), next.children.end(),
                     [&](const Anchor& a) { return a.name == child.name; });
    if (twin != next.children.end()) {
      KeepLists(*twin, child, parts, standing);
      continue;
    }
    Anchor all = child;
    Keep(all, standing);
    Insert(next.children, std::move(all));
  }
}

// Of the tables that an earlier policy had kept, those are kept again that are
// there now; all others are its text's.
void LoadAnew(Anchor& anchor, const Anchor* now) {
  anchor.rules_in_force = false;
  for (TableDefinition& table : anchor.tables) {
    table.in_force =
        table.in_force && now != nullptr &&
        std::any_of(now->tables.begin(), now->tables.end(),
                    [&](const TableDefinition& t) {
                      return t.name == table.name;
                    });
  }
  for (Anchor& child : anchor.children) {
    LoadAnew(child, now != nullptr ? now->Find(child.name) : nullptr);
  }
}

}  // namespace

void KeepParts(Policy* next, const Policy& old, const LoadParts& parts,
               Standing standing) {
  KeepLists(next->main, old.main, parts, standing);
  if (!parts.options) {
    next->options = old.options;
    next->fingerprints = old.fingerprints;
    for (Options::Given& given : next->options.given) given.place = {};
  }
  if (!parts.queues) {
    next->foreign = old.foreign;
    for (ForeignDefinition& d : next->foreign) d.place = {};
  }
}

void KeepAnchors(Policy* next, const Policy& old, std::string_view anchor,
                 Standing standing) {
  Paths defined = {std::string(anchor)};
  for (const std::vector<std::string>* paths :
       {&next->defined_anchors, &next->loaded_anchors}) {
    for (const std::string& path : *paths) {
      defined.insert(anchor.empty() ? path : std::string(anchor) + "/" + path);
    }
  }
  if (!anchor.empty()) {
    Anchor content = std::exchange(next->main, Anchor());
    Anchor& at = next->main.FindOrCreate(anchor);
    content.name = at.name;
    at = std::move(content);
  }
  Merge(next->main, old.main, "", defined, standing);
  Prune(*next);
  if (anchor.empty()) return;
  next->options = old.options;
  next->fingerprints = old.fingerprints;
  for (Options::Given& given : next->options.given) {
    given.place = SourcePlace();
  }
  next->foreign = old.foreign;
  next->macros = old.macros;
  for (ForeignDefinition& d : next->foreign) d.place = SourcePlace();
  for (const std::string& note : old.left_out) {
    if (std::find(next->left_out.begin(), next->left_out.end(), note) ==
        next->left_out.end()) {
      next->left_out.push_back(note);
    }
  }
}

void LoadAnew(Policy* earlier, const Policy& now) {
  LoadAnew(earlier->main, &now.main);
}

Policy Flushed(const Policy& old, const PolicyFlush& flush) {
  Policy next = old;
  Keep(next.main, Standing::kInForce);
  next.files.clear();
  next.texts = nullptr;
  next.loaded_anchors.clear();
  next.defined_anchors.clear();
  for (Options::Given& given : next.options.given) {
    given.place = SourcePlace();
  }
  for (ForeignDefinition& d : next.foreign) d.place = SourcePlace();
  if (!flush.debug.empty()) SetDebug(next.options, flush.debug);
  if (flush.options) {
    next.options = Options(old.options.dialect);
    next.fingerprints.reset();
  }
  if (!flush.rules) return next;
  if (next.main.Find(flush.anchor) == nullptr) return next;
  FlushRules(next.main.FindOrCreate(flush.anchor), flush);
  if (flush.anchor.empty() && flush.filter) {
    next.foreign.clear();
    next.macros.clear();
    next.left_out.clear();
  }
  Prune(next);
  return next;
}

}  // namespace sluice
