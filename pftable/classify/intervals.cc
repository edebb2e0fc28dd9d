#include "pftable/classify/intervals.h"

#include <map>

namespace sluice::classify {

bool Sweep(const Cuts& cuts, size_t most, RowBuilder& rows,
           Intervals* intervals, std::vector<uint32_t>* numbers) {
  numbers->reserve(cuts.size());
  rows.Expect(cuts.size());
  size_t cost = 0;
  for (size_t i = 0; i < cuts.size(); ++i) {
    for (const uint32_t rule : cuts.changes(i)) {
      if (!cuts.IsAll(rule)) rows.Toggle(rule);
    }
    cost += rows.cost();
    if (cost > most) return false;
    const uint32_t number = rows.Class();
    if (intervals->classes.empty() || intervals->classes.back() != number) {
      intervals->starts.push_back(cuts.starts()[i]);
      intervals->classes.push_back(number);
    }
    numbers->push_back(static_cast<uint32_t>(intervals->starts.size() - 1));
  }
  return true;
}

void PortClasses::Build(const Intervals& intervals) {
  std::map<std::vector<uint16_t>, uint16_t> known;
  size_t interval = 0;
  for (uint32_t page = 0; page < 256; ++page) {
    std::vector<uint16_t> classes;
    for (uint32_t port = page << 8; port < (page + 1) << 8; ++port) {
      while (interval + 1 < intervals.starts.size() &&
             intervals.starts[interval + 1] <= port) {
        ++interval;
      }
      classes.push_back(static_cast<uint16_t>(intervals.classes[interval]));
    }
    const auto [it, fresh] =
        known.try_emplace(classes, static_cast<uint16_t>(known.size()));
    if (fresh) {
      classes_.insert(classes_.end(), classes.begin(), classes.end());
    }
    pages_[page] = it->second;
  }
}

}  // namespace sluice::classify
