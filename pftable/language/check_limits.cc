// `set limit` for what a ruleset itself has: anchors, tables and their
// entries. A load holds them to these limits; here it is a warning, with a
// place, because pf's `-n` takes such a ruleset.
#include "pftable/language/check_limits.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice {
namespace {

bool IsBefore(const SourcePlace& a, const SourcePlace& b) {
  return std::tie(a.file, a.line, a.column) <
         std::tie(b.file, b.line, b.column);
}

constexpr size_t kEnough = size_t{1} << 33;

size_t RulesOf(const Anchor& anchor) {
  const Ruleset& rules = anchor.rules;
  return rules.filter.size() + rules.scrub.size() + rules.nat.size() +
         rules.rdr.size() + rules.binat.size() + rules.ether.size();
}

// Calls `visit` for each anchor within `anchor`. A list in the condition of an
// unnamed anchor makes calls of which each is printed, and read again, as an
// anchor: it counts as many times.
template <typename Visit>
void ForEachAnchor(const Anchor& anchor, size_t times, const Visit& visit) {
  std::map<std::string_view, size_t> calls;
  for (const Rule& rule : anchor.rules.filter) ++calls[rule.anchor_call];
  for (const EtherRule& rule : anchor.rules.ether) ++calls[rule.anchor_call];
  for (const Anchor& child : anchor.children) {
    const bool unnamed = child.name.starts_with('_');
    // More than any limit is as good as more.
    const size_t here = std::min(
        kEnough,
        times * (unnamed ? std::max<size_t>(calls[child.name], 1) : 1));
    visit(child, here);
    ForEachAnchor(child, here, visit);
  }
}

// Of the first one above `limit` in the order of the text, or of the last.
SourcePlace PlaceOfAnchor(const PolicyDraft& draft, size_t limit) {
  std::vector<std::pair<SourcePlace, std::string_view>> anchors;
  for (const auto& [path, place] : draft.anchor_places()) {
    anchors.emplace_back(place, path);
  }
  std::stable_sort(anchors.begin(), anchors.end(),
                   [](const auto& a, const auto& b) {
                     return IsBefore(a.first, b.first);
                   });
  SourcePlace last;
  std::set<std::string_view> paths;  // "a/b" is two
  for (const auto& [place, path] : anchors) {
    last = place;
    for (size_t end = 0; end != path.npos;) {
      end = path.find('/', end + 1);
      paths.insert(path.substr(0, end));
    }
    if (paths.size() > limit) break;
  }
  return last;
}

}  // namespace

void CheckLimits(const PolicyDraft& draft, TokenReader& in) {
  // The text for an anchor is only a part of what is limited.
  if (in.messages().errors() != 0 || !draft.input().anchor.empty()) return;
  const Options& options = draft.policy().options;
  const auto more_than = [&](SourcePlace place, std::string_view what,
                             Limit limit) {
    in.Warning(place,
               "more than " + std::to_string(options.limit(limit)) + " " +
                   std::string(what) + " (set limit " +
                   std::string(kLimitNames[static_cast<size_t>(limit)]) + ")",
               "a load refuses it");
  };

  // A table for each time that it counts.
  std::vector<const TableDefinition*> tables;
  for (const TableDefinition& t : draft.policy().main.tables) {
    tables.push_back(&t);
  }
  const size_t most_tables = options.limit(Limit::kTables);
  size_t count = 0;
  size_t rules = RulesOf(draft.policy().main);
  ForEachAnchor(draft.policy().main, 1, [&](const Anchor& a, size_t times) {
    count += times;
    rules = std::min(kEnough, rules + times * RulesOf(a));
    for (const TableDefinition& table : a.tables) {
      tables.insert(tables.end(), std::min(times, most_tables + 1), &table);
    }
  });
  if (count > options.limit(Limit::kAnchors)) {
    more_than(PlaceOfAnchor(draft, options.limit(Limit::kAnchors)), "anchors",
              Limit::kAnchors);
  } else if (rules > draft.input().limits.rules) {
    in.Error(PlaceOfAnchor(draft, 0),
             "anchors that lists call make the ruleset larger than " +
                 std::to_string(draft.input().limits.rules) + " rules",
             "give them names");
  }

  std::stable_sort(tables.begin(), tables.end(), [](const auto* a,
                                                    const auto* b) {
    return IsBefore(a->place, b->place);
  });
  if (tables.size() > most_tables) {
    more_than(tables[most_tables]->place, "tables", Limit::kTables);
  }
  uint64_t entries = 0;
  for (const TableDefinition* table : tables) {
    entries += table->entries.size();
    if (entries <= options.limit(Limit::kTableEntries)) continue;
    more_than(table->place, "addresses in all tables", Limit::kTableEntries);
    break;
  }
}

}  // namespace sluice
