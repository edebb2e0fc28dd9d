// `set limit` for what a ruleset itself has: anchors, tables and their
// entries. A load holds them to these limits too; here the message has a
// place, and `-n` knows of it.
#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "pftable/parser_internal.h"

namespace sluice {
namespace {

bool IsBefore(const SourcePlace& a, const SourcePlace& b) {
  return std::tie(a.file, a.line, a.column) <
         std::tie(b.file, b.line, b.column);
}

void CollectTables(const Anchor& anchor,
                   std::vector<const TableDefinition*>& out) {
  for (const TableDefinition& table : anchor.tables) out.push_back(&table);
  for (const Anchor& child : anchor.children) CollectTables(child, out);
}

}  // namespace

Anchor& Parser::MakeAnchor(const std::string& path, SourcePlace place) {
  anchor_places_.try_emplace(path, place);
  return result_.policy.main.FindOrCreate(path);
}

void Parser::CheckLimits() {
  // The text for an anchor is only a part of what is limited.
  if (error_count_ != 0 || !input_.anchor.empty()) return;
  const Options& options = result_.policy.options;
  const auto more_than = [&](SourcePlace place, std::string_view what,
                             Limit limit) {
    Error(place,
          "more than " + std::to_string(options.limit(limit)) + " " +
              std::string(what) + " (set limit " +
              std::string(kLimitNames[static_cast<size_t>(limit)]) + ")");
  };

  std::vector<std::pair<SourcePlace, std::string_view>> anchors;
  for (const auto& [path, place] : anchor_places_) {
    anchors.emplace_back(place, path);
  }
  std::stable_sort(anchors.begin(), anchors.end(),
                   [](const auto& a, const auto& b) {
                     return IsBefore(a.first, b.first);
                   });
  // "a/b" is two.
  std::set<std::string_view> paths;
  for (const auto& [place, path] : anchors) {
    for (size_t end = 0; end != path.npos;) {
      end = path.find('/', end + 1);
      paths.insert(path.substr(0, end));
    }
    if (paths.size() <= options.limit(Limit::kAnchors)) continue;
    more_than(place, "anchors", Limit::kAnchors);
    break;
  }

  std::vector<const TableDefinition*> tables;
  CollectTables(result_.policy.main, tables);
  std::stable_sort(tables.begin(), tables.end(), [](const auto* a,
                                                    const auto* b) {
    return IsBefore(a->place, b->place);
  });
  if (tables.size() > options.limit(Limit::kTables)) {
    more_than(tables[options.limit(Limit::kTables)]->place, "tables",
              Limit::kTables);
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
