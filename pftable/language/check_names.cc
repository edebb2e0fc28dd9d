// Names that a ruleset uses and nothing defines: warnings, because queues are
// missed by a load only, and tables and interfaces may come later.
#include "pftable/language/check_names.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "pftable/language/words.h"

namespace sluice {
namespace {

// "did you mean" shows one; without a near one these are worth a list.
constexpr size_t kMostListed = 8;

using Uses = std::map<std::string, SourcePlace, std::less<>>;

std::vector<std::pair<SourcePlace, std::string>> InOrder(const Uses& uses) {
  std::vector<std::pair<SourcePlace, std::string>> out;
  for (const auto& [name, place] : uses) out.emplace_back(place, name);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first.file, a.first.line, a.first.column, a.second) <
           std::tie(b.first.file, b.first.line, b.first.column, b.second);
  });
  return out;
}

// A host's loopback and "any" are no ports, and rulesets name them rightly.
bool IsNoPort(std::string_view name) {
  if (name == "any" || name == "self") return true;
  return name.starts_with("lo") &&
         name.find_first_not_of("0123456789", 2) == name.npos;
}

void CollectTables(const Anchor& anchor, std::set<std::string_view>& out) {
  for (const TableDefinition& t : anchor.tables) out.insert(t.name);
  for (const Anchor& child : anchor.children) CollectTables(child, out);
}

}  // namespace

void Names::UseInterface(const std::string& name, SourcePlace place) {
  if (facts_.names_all_interfaces()) interface_uses_.try_emplace(name, place);
}

void Names::UseTable(const std::string& name, SourcePlace place) {
  table_uses_.try_emplace(name, place);
}

void Names::UseQueue(const std::string& name, SourcePlace place) {
  queue_uses_.try_emplace(name, place);
}

void Names::DefineQueue(const std::string& name, const std::string& parent) {
  queues_.insert(name);
  if (!parent.empty()) parent_queues_.insert(parent);
}

std::vector<std::string_view> Names::InterfaceNames() const {
  std::set<std::string_view> known;
  for (const InterfaceFacts& i : facts_.interfaces()) {
    known.insert(i.name);
    known.insert(i.groups.begin(), i.groups.end());
  }
  return {known.begin(), known.end()};
}

std::string Names::InterfaceHint(std::string_view name) const {
  const std::vector<std::string_view> known = InterfaceNames();
  if (known.empty()) return "";
  std::string hint = DidYouMean(name, known);
  if (!hint.empty()) return hint;
  hint = "there are";
  size_t listed = 0;
  for (std::string_view k : known) {
    if (listed++ == kMostListed) return hint + " and others";
    hint += (listed == 1 ? " " : ", ") + std::string(k);
  }
  return hint;
}

void Names::Check() {
  // The queues of a text for an anchor are those of the main ruleset.
  if (draft_.input().anchor.empty() && !misses_definitions_) {
    for (const auto& [place, name] : InOrder(queue_uses_)) {
      // ALTQ makes one at the root of each interface.
      if (name.starts_with("root_") && in_.InDialect(Dialect::kFreeBsd))
        continue;
      if (!queues_.contains(name)) {
        in_.Warning(place, "queue " + name + " is not defined",
                    queues_.empty() ? "" : DidYouMean(name, QueueNames()));
      } else if (parent_queues_.contains(name)) {
        in_.Error(place, "queue " + name +
                             " has children: packets are assigned "
                             "to leaf queues only");
      }
    }
  }
  if (in_.messages().errors() != 0) return;
  for (const auto& [place, name] : InOrder(interface_uses_)) {
    if (IsNoPort(name) || !facts_.Resolve(name).empty()) continue;
    in_.Warning(place, "no interface or group is named '" + name + "'",
                InterfaceHint(name));
  }
  // Tables without a definition are filled at run time; one whose name is
  // nearly that of another is rather a slip.
  if (!draft_.input().anchor.empty()) return;
  std::set<std::string_view> tables;
  CollectTables(draft_.policy().main, tables);
  for (const auto& [place, name] : InOrder(table_uses_)) {
    if (tables.contains(name)) continue;
    const std::string nearest =
        NearestWord(name, {tables.begin(), tables.end()});
    if (nearest.empty()) continue;
    in_.Warning(place, "table <" + name + "> is not defined",
                "did you mean <" + nearest + ">?");
  }
}

}  // namespace sluice
