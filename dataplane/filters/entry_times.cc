#include "dataplane/filters/entry_times.h"

#include <algorithm>

namespace sluice {
namespace {

using Entry = std::pair<Prefix, int64_t>;

// Of equal prefixes the newer's; without those that the table has not.
EntryTimes::Run Merge(const EntryTimes::Run& older, const EntryTimes::Run& newer,
                      const AddressTable& contents) {
  EntryTimes::Run merged;
  merged.reserve(older.size() + newer.size());
  auto a = older.begin();
  auto b = newer.begin();
  while (a != older.end() || b != newer.end()) {
    const bool take_newer =
        a == older.end() || (b != newer.end() && !(a->first < b->first));
    const Entry& entry = take_newer ? *b : *a;
    if (take_newer) {
      if (a != older.end() && a->first == b->first) ++a;
      ++b;
    } else {
      ++a;
    }
    if (contents.Find(entry.first).has_value()) merged.push_back(entry);
  }
  return merged;
}

}  // namespace

EntryTimes::Runs EntryTimes::With(const TableKey& key,
                                  std::vector<Prefix> prefixes, int64_t now,
                                  const AddressTable& contents) const {
  Runs runs = Get(key);
  std::sort(prefixes.begin(), prefixes.end());
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()),
                 prefixes.end());
  Run newest;
  newest.reserve(prefixes.size());
  for (const Prefix& prefix : prefixes) newest.emplace_back(prefix, now);
  while (!runs.empty() && runs.back()->size() < 2 * newest.size()) {
    newest = Merge(*runs.back(), newest, contents);
    runs.pop_back();
  }
  if (!newest.empty()) {
    runs.push_back(std::make_shared<const Run>(std::move(newest)));
  }
  return runs;
}

void EntryTimes::Set(const TableKey& key, Runs runs) {
  // What it was is freed without the mutex.
  const std::lock_guard lock(mutex_);
  if (runs.empty()) {
    runs_.erase(key);
    return;
  }
  runs_[key].swap(runs);
}

EntryTimes::Runs EntryTimes::Get(const TableKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(key);
  return found == runs_.end() ? Runs() : found->second;
}

int64_t EntryTimes::Find(const Runs& runs, const Prefix& prefix) {
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    const auto at = std::lower_bound(
        (*run)->begin(), (*run)->end(), prefix,
        [](const Entry& entry, const Prefix& p) { return entry.first < p; });
    if (at != (*run)->end() && at->first == prefix) return at->second;
  }
  return 0;
}

}  // namespace sluice
