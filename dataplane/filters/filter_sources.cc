// The sources of a running filter, which the control lcore reads itself.
#include <algorithm>
#include <charconv>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/filter_states.h"
#include "dataplane/workers/plane.h"

namespace sluice {
namespace {

// Places that one slice looks at: less than a millisecond.
constexpr uint32_t kPlaces = 16384;

Address AddressOf(const SourceKey& key) {
  return Address::FromBytes(key.family, key.address.data());
}

Address TargetOf(const SourceRecord& node) {
  Address target = node.target;
  target.family = node.key.family;
  return target;
}

std::string UseName(SourceUse use) {
  switch (use) {
    case SourceUse::kFilter: return "filter";
    case SourceUse::kNat: return "nat";
    case SourceUse::kRedirect: return "rdr";
    case SourceUse::kRoute: return "route";
    default: break;
  }
  return "filter";
}

}  // namespace

absl::StatusOr<SourceSlice> FilterStates::ListSources(
    const std::string& cursor, size_t limit) {
  SourceSlice slice;
  const FilterEnvironment& environment = core_->environment;
  if (environment.sources == nullptr) return slice;
  uint32_t place = 0;
  const char* const end = cursor.data() + cursor.size();
  if (!cursor.empty() &&
      std::from_chars(cursor.data(), end, place).ptr != end) {
    return absl::InvalidArgumentError("not a cursor of this filter");
  }
  const auto list = [&](const SourceRecord& node) {
    if (node.key.filter != core_->number) return;
    SourceListing listing;
    listing.source = AddressOf(node.key);
    listing.vlan = node.key.vlan;
    listing.target = TargetOf(node);
    listing.use = UseName(node.key.use);
    listing.states = node.states;
    listing.connections = node.connections;
    listing.rate = node.rate;
    listing.rate_seconds = node.rate_seconds;
    listing.age = node.age / 1000;
    listing.expires = node.expires_in / 1000;
    listing.packets = node.packets;
    listing.bytes = node.bytes;
    if (node.key.rule_slot != kNoRuleSlot) {
      const RuleIndex::Entry* const rule =
          core_->rules_by_slot.Find(node.key.rule_slot);
      if (rule != nullptr) listing.rule = rule->number;
    }
    slice.sources.push_back(std::move(listing));
  };
  const Tick now = environment.plane->clock.Now();
  bool more = true;
  for (uint32_t looked = 0;
       more && looked < kPlaces && slice.sources.size() < limit; looked += 64) {
    more = environment.sources->Visit(&place, 64, now, list);
  }
  if (more) slice.next = absl::StrCat(place);
  return slice;
}

std::vector<LimiterListing> FilterStates::ListLimiters() {
  std::vector<LimiterListing> listed;
  const PolicyStore& store = core_->store;
  const Limiters* const limiters = store.limiters();
  if (limiters == nullptr) return listed;
  for (const LimiterDefinition& made : store.generation()->policy->limiters) {
    LimiterListing one;
    one.name = made.name;
    one.by_source = made.by_source;
    one.id = made.id;
    one.limit = made.limit;
    one.entries = made.entries;
    one.rate = made.rate.count;
    one.rate_seconds = made.rate.seconds;
    const SourceLimiter& source = limiters->sources[made.id];
    one.states = made.by_source ? source.states().load()
                                : limiters->states[made.id].in_use();
    one.sources = made.by_source ? source.sources().load() : 0;
    const LimiterCounts& counts = made.by_source
                                      ? source.counts()
                                      : limiters->states[made.id].counts();
    one.admitted = counts.admitted;
    one.no_address = counts.no_address;
    one.full = counts.full;
    one.too_fast = counts.too_fast;
    listed.push_back(std::move(one));
  }
  std::sort(listed.begin(), listed.end(),
            [](const LimiterListing& a, const LimiterListing& b) {
              return std::tie(a.by_source, a.id) < std::tie(b.by_source, b.id);
            });
  return listed;
}

uint64_t FilterStates::KillSources(const std::optional<Prefix>& source,
                                   const std::optional<Prefix>& target) {
  if (core_->environment.sources == nullptr) return 0;
  return core_->environment.sources->Remove(
      [&](const SourceRecord& node) {
        return node.key.filter == core_->number &&
               (!source || source->Contains(AddressOf(node.key))) &&
               (!target || target->Contains(TargetOf(node)));
      },
      core_->environment.plane->clock.Now());
}

}  // namespace sluice
