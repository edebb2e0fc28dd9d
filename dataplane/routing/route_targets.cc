#include "dataplane/routing/route_targets.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "dataplane/routing/address_key.h"

namespace sluice {
namespace {

uint64_t Mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
  return value ^ value >> 31;
}

uint64_t HashOf(const NextHop& hop) {
  return Mix(HighHalf(hop.gateway) ^
             Mix(LowHalf(hop.gateway) ^
                 Mix(uint64_t{hop.port} << 8 |
                     static_cast<uint64_t>(hop.gateway.family))));
}

// Each bucket's hop is the one with the highest score there: the weight over an
// exponentially distributed number that the hop and the bucket alone decide.
void ShareOut(const std::vector<NextHop>& hops, HopSet* set) {
  std::array<uint64_t, RoutingTables::kMaxHops> names{};
  for (size_t i = 0; i < hops.size(); ++i) {
    // One that is there twice is two.
    const auto twins = std::count_if(
        hops.begin(), hops.begin() + static_cast<ptrdiff_t>(i),
        [&](const NextHop& other) {
          return other.port == hops[i].port && other.gateway == hops[i].gateway;
        });
    names[i] = Mix(HashOf(hops[i]) + static_cast<uint64_t>(twins));
  }
  for (size_t bucket = 0; bucket < HopSet::kBuckets; ++bucket) {
    double best = -1;
    for (size_t i = 0; i < hops.size(); ++i) {
      // In (0, 1).
      const double uniform =
          (static_cast<double>(Mix(names[i] + bucket) >> 11) + 0.5) * 0x1p-53;
      const double score = hops[i].weight / -std::log(uniform);
      if (score <= best) continue;
      best = score;
      set->buckets[bucket] = static_cast<uint8_t>(i);
    }
  }
}

}  // namespace

size_t RouteTargets::ContentHash::operator()(const Content& content) const {
  uint64_t hash = static_cast<uint64_t>(content.type);
  for (const NextHop& hop : content.hops) {
    hash = Mix(hash + hop.weight) ^ HashOf(hop);
  }
  return hash;
}

RouteTargets::RouteTargets(size_t count, NeighborCells* neighbors)
    : capacity_(count),
      neighbors_(neighbors),
      memory_((count + kOwn + 1) * sizeof(RouteTarget)),
      targets_(memory_.ArrayAt<RouteTarget>(0)),
      details_(kOwn + 1) {
  targets_[kGroup].type = RouteType::kLocal;
  targets_[kOwn].type = RouteType::kLocal;
}

RouteTargets::~RouteTargets() {
  for (const auto& [content, use] : uses_) delete targets_[use.number].set;
}

absl::Status RouteTargets::Fill(const Content& content, RouteTarget* target,
                                FreedList* freed) {
  std::unique_ptr<HopSet> set;
  if (content.hops.size() > 1) {
    if (sets_ >= kMaxSets) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "there are ", kMaxSets,
          " different sets of next hops already, and no key raises that: "
          "let routes share them"));
    }
    set = std::make_unique<HopSet>();
    ShareOut(content.hops, set.get());
  }
  *target = RouteTarget();
  target->type = content.type;
  TargetHop* const hops = set == nullptr ? &target->hop : set->hops.data();
  const auto take_back = [&] {
    ReleaseHops({hops, target->hop_count}, freed);
    *target = RouteTarget();
  };
  try {
    for (const NextHop& hop : content.hops) {
      TargetHop& filled = hops[target->hop_count];
      filled = {.gateway = hop.gateway, .port = hop.port};
      if (hop.gateway.family != Family::kNone) {
        const absl::StatusOr<uint32_t> cell =
            neighbors_->Acquire(hop.port, hop.gateway);
        if (!cell.ok()) {
          take_back();
          return cell.status();
        }
        filled.cell = *cell;
      }
      ++target->hop_count;
    }
  } catch (const std::bad_alloc&) {
    take_back();
    throw;
  }
  if (set == nullptr) return absl::OkStatus();
  target->hop = set->hops[0];
  target->set = set.release();
  ++sets_;
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> RouteTargets::Acquire(
    RouteType type, const std::vector<NextHop>& hops, FreedList* freed) {
  Content content = {.type = type, .hops = hops};
  if (const auto found = uses_.find(content); found != uses_.end()) {
    ++found->second.count;
    return found->second.number;
  }
  // Each that is there may have to go to the list of free ones.
  if (free_.capacity() < details_.size() + 1) {
    free_.reserve(2 * details_.size() + 16);
  }
  if (free_.empty()) {
    if (details_.size() > capacity_ + kOwn) {
      return absl::ResourceExhaustedError(
          absl::StrCat("routes lead to ", capacity_,
                       " different places: raise max_routes"));
    }
    details_.push_back(nullptr);
    free_.push_back(static_cast<uint32_t>(details_.size() - 1));
  }
  const uint32_t number = free_.back();
  const auto use = uses_.emplace(std::move(content), Use{number, 1}).first;
  absl::Status filled;
  try {
    filled = Fill(use->first, &targets_[number], freed);
  } catch (const std::bad_alloc&) {
    uses_.erase(use);
    throw;
  }
  if (!filled.ok()) {
    uses_.erase(use);
    return filled;
  }
  free_.pop_back();
  details_[number] = &*use;
  return number;
}

void RouteTargets::Release(uint32_t number, FreedList* freed) {
  Uses::value_type* const details = details_[number];
  if (--details->second.count > 0) return;
  const RouteTarget& target = targets_[number];
  ReleaseHops(target.hops(), freed);
  if (target.set != nullptr) {
    freed->Add(FreedKind::kHopSet, reinterpret_cast<uint64_t>(target.set));
    --sets_;
  }
  freed->Add(FreedKind::kTarget, number);
  details_[number] = nullptr;
  uses_.erase(uses_.find(details->first));
}

void RouteTargets::ReleaseHops(std::span<const TargetHop> hops,
                               FreedList* freed) {
  for (const TargetHop& hop : hops) {
    if (hop.cell != 0) neighbors_->Release(hop.cell, freed);
  }
}

size_t RouteTargets::memory() const {
  return memory_.Resident() + sets_ * sizeof(HopSet) +
         details_.capacity() * sizeof(details_[0]) +
         uses_.size() * (sizeof(Uses::value_type) + 32);
}

}  // namespace sluice
