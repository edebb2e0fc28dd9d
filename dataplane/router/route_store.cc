#include "dataplane/router/route_store.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

uint64_t Stir(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ hash >> 29;
}

// The kernel's order: the table, then the metric.
auto RankOf(const KernelPath& path) {
  return std::tuple(!path.local_table, path.metric);
}

// IPv6 routes to gateways are several hops of one; others stand beside each
// other.
bool JoinsOthers(const KernelPath& path) {
  return path.type == RTN_UNICAST && path.object == 0 && !path.hops.empty() &&
         std::all_of(path.hops.begin(), path.hops.end(),
                     [](const KernelHop& hop) {
                       return hop.gateway.family != Family::kNone;
                     });
}

bool HasHop(const std::vector<KernelHop>& hops, const KernelHop& hop) {
  return std::any_of(hops.begin(), hops.end(), [&](const KernelHop& other) {
    return other.link == hop.link && other.gateway == hop.gateway;
  });
}

}  // namespace

size_t KernelPaths::Hash::operator()(const KernelPath& path) const {
  uint64_t hash = Stir(path.type, uint64_t{path.local_table} << 32 |
                                      path.metric);
  hash = Stir(hash, path.object);
  for (const KernelHop& hop : path.hops) {
    hash = Stir(hash, uint64_t{hop.link} << 16 | hop.weight);
    hash = Stir(hash, HighHalf(hop.gateway));
    hash = Stir(hash, LowHalf(hop.gateway));
  }
  return hash;
}

uint32_t KernelPaths::Acquire(const KernelPath& path) {
  const auto found = numbers_.find(path);
  if (found != numbers_.end()) {
    ++found->second.count;
    return found->second.number;
  }
  if (free_.empty()) {
    uses_.push_back(nullptr);
    free_.push_back(static_cast<uint32_t>(uses_.size() - 1));
  }
  const uint32_t number = free_.back();
  uses_[number] = &*numbers_.emplace(path, Use{.number = number, .count = 1,
                                               .path = {}})
                        .first;
  free_.pop_back();
  return number;
}

void KernelPaths::Release(uint32_t number) {
  if (--uses_[number]->second.count > 0) return;
  numbers_.erase(numbers_.find(uses_[number]->first));
  uses_[number] = nullptr;
  free_.push_back(number);
}

size_t KernelPaths::memory() const {
  return numbers_.size() * (sizeof(Numbers::value_type) + 64) +
         uses_.capacity() * sizeof(uses_[0]);
}

RouteStore::RouteStore(size_t max_routes, KernelPaths* paths)
    : paths_(paths), list4_(max_routes), list6_(max_routes) {}

RouteStore::~RouteStore() {
  // Paths are shared with other stores.
  Each({}, size(), [this](const Prefix& prefix, bool) {
    for (const uint32_t number : Of(prefix)) paths_->Release(number);
    return true;
  });
}

uint32_t RouteStore::EntryOf(const Prefix& prefix) const {
  return prefix.address.family == Family::kIpv4
             ? list4_.Get(KeyOf<Key4>(prefix.address), prefix.length).route
             : list6_.Get(KeyOf<Key6>(prefix.address), prefix.length).route;
}

std::span<const uint32_t> RouteStore::Of(const Prefix& prefix) const {
  const bool is4 = prefix.address.family == Family::kIpv4;
  const uint32_t* const route =
      is4 ? list4_.RouteAt(KeyOf<Key4>(prefix.address), prefix.length)
          : list6_.RouteAt(KeyOf<Key6>(prefix.address), prefix.length);
  if (route == nullptr) return {};
  if ((*route & kMany) != 0) return many_[*route & ~kMany];
  return {route, 1};
}

std::vector<uint32_t> RouteStore::Copy(const Prefix& prefix) const {
  const auto numbers = Of(prefix);
  return {numbers.begin(), numbers.end()};
}

void RouteStore::Put(const Prefix& prefix, std::vector<uint32_t> numbers) {
  const bool is4 = prefix.address.family == Family::kIpv4;
  const uint32_t old = EntryOf(prefix);
  uint32_t entry = numbers.empty() ? 0 : numbers[0];
  if ((old & kMany) != 0) {
    many_[old & ~kMany].clear();
    free_.push_back(old & ~kMany);
  }
  if (numbers.size() > 1) {
    if (free_.empty()) {
      many_.emplace_back();
      free_.push_back(static_cast<uint32_t>(many_.size() - 1));
    }
    entry = free_.back() | kMany;
    many_[free_.back()] = std::move(numbers);
    free_.pop_back();
  }
  const uint32_t own = IsMarked(prefix) && entry != 0 ? kMarked : 0;
  if (is4) {
    list4_.Set(KeyOf<Key4>(prefix.address), prefix.length,
               {.route = entry, .own = own});
  } else {
    list6_.Set(KeyOf<Key6>(prefix.address), prefix.length,
               {.route = entry, .own = own});
  }
}

size_t RouteStore::FirstLike(const std::vector<uint32_t>& numbers,
                             const KernelPath& path) const {
  size_t i = 0;
  while (i < numbers.size() && RankOf((*paths_)[numbers[i]]) < RankOf(path)) {
    ++i;
  }
  return i;
}

size_t RouteStore::EndLike(const std::vector<uint32_t>& numbers,
                           const KernelPath& path) const {
  size_t i = 0;
  while (i < numbers.size() && RankOf((*paths_)[numbers[i]]) <= RankOf(path)) {
    ++i;
  }
  return i;
}

bool RouteStore::Add(const Prefix& prefix, const KernelPath& path,
                     Place place) {
  const bool is6 = prefix.address.family == Family::kIpv6;
  if (EntryOf(prefix) == 0 &&
      !(is6 ? list6_.HasRoom(1) : list4_.HasRoom(1))) {
    return false;
  }
  std::vector<uint32_t> numbers = Copy(prefix);
  const size_t first = FirstLike(numbers, path);
  const size_t end = EndLike(numbers, path);
  const auto at = [&](size_t i) {
    return numbers.begin() + static_cast<ptrdiff_t>(i);
  };
  if (place == Place::kReplace) {
    const uint32_t number = paths_->Acquire(path);
    if (first < end) {
      paths_->Release(numbers[first]);
      numbers[first] = number;
    } else {
      numbers.insert(at(first), number);
    }
    Put(prefix, std::move(numbers));
    return true;
  }
  for (size_t i = first; i < end; ++i) {
    const KernelPath& other = (*paths_)[numbers[i]];
    if (other == path) return true;
    if (!is6 || !JoinsOthers(path) || !JoinsOthers(other)) continue;
    // The kernel tells of all hops of such a route; of those that were told of
    // before, what has gone is told, too.
    KernelPath joined = other;
    for (const KernelHop& hop : path.hops) {
      if (!HasHop(joined.hops, hop) && joined.hops.size() < kMaxKernelHops) {
        joined.hops.push_back(hop);
      }
    }
    const uint32_t number = paths_->Acquire(joined);
    paths_->Release(numbers[i]);
    numbers[i] = number;
    Put(prefix, std::move(numbers));
    return true;
  }
  if (numbers.size() == kMaxOfPrefix) return false;
  numbers.insert(at(place == Place::kFirst && !is6 ? first : end),
                 paths_->Acquire(path));
  Put(prefix, std::move(numbers));
  return true;
}

void RouteStore::Remove(const Prefix& prefix, const KernelPath& path) {
  std::vector<uint32_t> numbers = Copy(prefix);
  const size_t first = FirstLike(numbers, path);
  const size_t end = EndLike(numbers, path);
  const auto take_out = [&](size_t i) {
    const uint32_t number = numbers[i];
    numbers.erase(numbers.begin() + static_cast<ptrdiff_t>(i));
    Put(prefix, std::move(numbers));
    paths_->Release(number);
  };
  for (size_t i = first; i < end; ++i) {
    if ((*paths_)[numbers[i]] == path) return take_out(i);
  }
  for (size_t i = first; i < end; ++i) {
    const KernelPath& other = (*paths_)[numbers[i]];
    if (other.type != path.type) continue;
    if (prefix.address.family != Family::kIpv6 || !JoinsOthers(path) ||
        !JoinsOthers(other)) {
      // Told of in other words, such as without its object.
      if (other.object == path.object && !path.hops.empty() &&
          !HasHop(other.hops, path.hops[0])) {
        continue;
      }
      return take_out(i);
    }
    KernelPath rest = other;
    std::erase_if(rest.hops, [&](const KernelHop& hop) {
      return HasHop(path.hops, hop);
    });
    if (rest.hops.size() == other.hops.size()) continue;
    if (rest.hops.empty()) return take_out(i);
    const uint32_t number = paths_->Acquire(rest);
    const uint32_t old = std::exchange(numbers[i], number);
    Put(prefix, std::move(numbers));
    paths_->Release(old);
    return;
  }
}

bool RouteStore::CopyFrom(const RouteStore& other, const Prefix& prefix) {
  const bool is4 = prefix.address.family == Family::kIpv4;
  std::vector<uint32_t> next = other.Copy(prefix);
  const std::vector<uint32_t> old = Copy(prefix);
  if (old.empty() && !next.empty() &&
      !(is4 ? list4_.HasRoom(1) : list6_.HasRoom(1))) {
    return false;
  }
  for (const uint32_t number : next) paths_->Hold(number);
  Put(prefix, std::move(next));
  for (const uint32_t number : old) paths_->Release(number);
  return true;
}

bool RouteStore::IsMarked(const Prefix& prefix) const {
  const uint32_t own =
      prefix.address.family == Family::kIpv4
          ? list4_.Get(KeyOf<Key4>(prefix.address), prefix.length).own
          : list6_.Get(KeyOf<Key6>(prefix.address), prefix.length).own;
  return (own & kMarked) != 0;
}

void RouteStore::Mark(const Prefix& prefix, bool marked) {
  const uint32_t own = marked ? kMarked : 0;
  const uint32_t entry = EntryOf(prefix);
  if (entry == 0) return;
  if (prefix.address.family == Family::kIpv4) {
    list4_.Set(KeyOf<Key4>(prefix.address), prefix.length,
               {.route = entry, .own = own});
  } else {
    list6_.Set(KeyOf<Key6>(prefix.address), prefix.length,
               {.route = entry, .own = own});
  }
}

size_t RouteStore::memory() const {
  size_t bytes = list4_.memory() + list6_.memory() +
                 many_.capacity() * sizeof(many_[0]);
  for (const auto& list : many_) bytes += list.capacity() * sizeof(uint32_t);
  return bytes;
}

}  // namespace sluice
