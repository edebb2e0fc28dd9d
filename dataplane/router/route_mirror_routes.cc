// A mirror's routes: from what the kernel says to what is in the tables.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/router/route_mirror_parts.h"

namespace sluice {
namespace {

// Prefixes that are looked through at once.
constexpr size_t kPiece = 2048;

// What a type is to the tables; kNone: of no interest.
RouteType TypeOf(uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
      return RouteType::kForward;
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
      return RouteType::kLocal;
    case RTN_BLACKHOLE:
      return RouteType::kBlackhole;
    case RTN_PROHIBIT:
      return RouteType::kProhibit;
    case RTN_UNREACHABLE:
    case RTN_THROW:  // no other table is asked
      return RouteType::kUnreachable;
    default:
      return RouteType::kNone;
  }
}

bool IsFollowed(const RouteNews& news) {
  return (news.table == RT_TABLE_MAIN || news.table == RT_TABLE_LOCAL) &&
         news.tos == 0 && !news.cloned && !news.by_source &&
         TypeOf(news.type) != RouteType::kNone;
}

KernelPath PathOf(RouteNews&& news) {
  KernelPath path = {.local_table = news.table == RT_TABLE_LOCAL,
                     .type = news.type,
                     .metric = news.metric,
                     .object = news.object};
  // Of an object the hops are what it says, which may change without the route.
  if (news.object == 0) path.hops = std::move(news.hops);
  return path;
}

void AddHop(const NextHop& hop, uint32_t weight,
            std::vector<std::pair<NextHop, uint32_t>>* hops) {
  for (auto& [other, sum] : *hops) {
    if (other.port != hop.port || other.gateway != hop.gateway) continue;
    sum += weight;
    return;
  }
  hops->emplace_back(hop, weight);
}

}  // namespace

void RouteMirror::Parts::HandleRoute(const NetlinkMessage& message,
                                     bool of_dump) {
  auto news = ReadRouteNews(message.payload);
  if (!news.has_value()) {
    // Multicast routes of another family come this way, too.
    counted.malformed += 1;
    return;
  }
  if (!IsFollowed(*news)) return;
  const Prefix prefix = news->prefix;
  const KernelPath path = PathOf(std::move(*news));
  if (message.type == RTM_DELROUTE) {
    if (fresh != nullptr) fresh->Remove(prefix, path);
    if (routes->IsMarked(prefix)) {
      routes->Mark(prefix, false);
      --skipped;
    }
    routes->Remove(prefix, path);
    Show(prefix);
    return;
  }
  const RouteStore::Place place =
      of_dump || (message.flags & NLM_F_APPEND) != 0
          ? RouteStore::Place::kLast
      : (message.flags & NLM_F_REPLACE) != 0 ? RouteStore::Place::kReplace
                                             : RouteStore::Place::kFirst;
  bool has_room = fresh == nullptr || fresh->Add(prefix, path, place);
  if (!of_dump || fresh == nullptr) {
    has_room = routes->Add(prefix, path, place) && has_room;
    Show(prefix);
  }
  if (has_room) return;
  ++counted.routes_refused;
  counted.last_error =
      absl::StrCat("route ", ToString(prefix), ": the kernel has more than ",
                   options.max_routes, ", or more than ",
                   RouteStore::kMaxOfPrefix,
                   " of this prefix: raise max_routes");
}

ResolvedPath RouteMirror::Parts::Resolve(const KernelPath& path) const {
  using State = ResolvedPath::State;
  ResolvedPath resolved;
  resolved.type = TypeOf(path.type);
  resolved.state = State::kGood;
  if (resolved.type != RouteType::kForward) return resolved;

  std::vector<std::pair<NextHop, uint32_t>> hops;
  bool skips = false;
  const auto add = [&](const KernelHop& hop, uint32_t weight) {
    const LinkList::Link* const link = links.Find(hop.link);
    const auto port = links.PortOf(hop.link);
    if (hop.encapsulated || (link != nullptr && !port.has_value())) {
      skips = true;
    } else if (link != nullptr && link->up) {
      AddHop({.port = *port, .gateway = hop.gateway}, weight, &hops);
    }
  };
  bool blackhole = false;
  const auto add_object = [&](uint32_t id, uint32_t weight) {
    const auto found = objects.find(id);
    if (found == objects.end() || found->second.for_bridges) return;
    if (found->second.blackhole) {
      blackhole = true;
    } else if (found->second.members.empty()) {
      add(found->second.hop, weight);
    }
  };
  if (path.object == 0) {
    for (const KernelHop& hop : path.hops) add(hop, hop.weight);
  } else if (const auto found = objects.find(path.object);
             found != objects.end() && !found->second.members.empty()) {
    for (const NextHopNews::Member& member : found->second.members) {
      add_object(member.id, member.weight);
    }
  } else {
    add_object(path.object, 1);
  }

  if (hops.empty()) {
    resolved.type = blackhole ? RouteType::kBlackhole : RouteType::kUnreachable;
    resolved.state = blackhole ? State::kGood
                     : skips   ? State::kSkipped
                               : State::kDown;
    return resolved;
  }
  if (hops.size() > RoutingTables::kMaxHops) {
    hops.resize(RoutingTables::kMaxHops);
  }
  uint32_t heaviest = 0;
  for (const auto& [hop, weight] : hops) heaviest = std::max(heaviest, weight);
  for (auto& [hop, weight] : hops) {
    if (heaviest > 255) {
      weight = static_cast<uint32_t>(uint64_t{weight} * 255 / heaviest);
    }
    hop.weight = static_cast<uint8_t>(std::max(weight, 1u));
    resolved.hops.push_back(hop);
  }
  return resolved;
}

const ResolvedPath& RouteMirror::Parts::Resolved(uint32_t number) {
  ResolvedPath& resolved = paths.resolved(number);
  if (resolved.state == ResolvedPath::State::kUnknown) {
    resolved = Resolve(paths[number]);
  }
  return resolved;
}

void RouteMirror::Parts::ResolveAgain() {
  if (!resolve_due) return;
  paths.Each([&](const KernelPath& path, ResolvedPath* resolved) {
    if (resolved->state == ResolvedPath::State::kUnknown) return;
    ResolvedPath next = Resolve(path);
    if (next.state == resolved->state && next.type == resolved->type &&
        next.hops == resolved->hops) {
      return;
    }
    next.changed = true;
    *resolved = std::move(next);
    scanning = true;
    scanned = {};
  });
  resolve_due = false;
}

void RouteMirror::Parts::Show(const Prefix& prefix) {
  const ResolvedPath* chosen = nullptr;
  for (const uint32_t number : routes->Of(prefix)) {
    const ResolvedPath& resolved = Resolved(number);
    if (resolved.state == ResolvedPath::State::kDown) continue;
    chosen = &resolved;
    break;
  }
  const bool skip =
      chosen != nullptr && chosen->state == ResolvedPath::State::kSkipped;
  if (skip != routes->IsMarked(prefix)) {
    routes->Mark(prefix, skip);
    skipped = skip ? skipped + 1 : skipped - 1;
  }
  if (chosen == nullptr) {
    tables.RemoveRoute(prefix);
    return;
  }
  const absl::Status set = tables.SetRoute(
      {.prefix = prefix, .type = chosen->type, .hops = chosen->hops});
  if (set.ok()) return;
  // Better nowhere than to where it was.
  tables.RemoveRoute(prefix);
  ++counted.routes_refused;
  counted.last_error = std::string(set.message());
}

bool RouteMirror::Parts::ScanSome() {
  if (!scanning) return false;
  std::vector<Prefix> found;
  scanned = routes->Each(scanned, kPiece, [&](const Prefix& prefix, bool) {
    for (const uint32_t number : routes->Of(prefix)) {
      if (!paths.resolved(number).changed) continue;
      found.push_back(prefix);
      break;
    }
    return true;
  });
  for (const Prefix& prefix : found) Show(prefix);
  if (scanned.address.family != Family::kNone) return true;
  scanning = false;
  paths.Each([](const KernelPath&, ResolvedPath* resolved) {
    resolved->changed = false;
  });
  return false;
}

bool RouteMirror::Parts::MendSome() {
  if (stage != Stage::kMend) return false;
  if (again) {
    StartDump();
    return true;
  }
  // First what is known and has changed or gone, then what is new.
  RouteStore& from = mending_rest ? *fresh : *routes;
  RouteStore& other = mending_rest ? *routes : *fresh;
  std::vector<Prefix> different;
  mended = from.Each(mended, kPiece, [&](const Prefix& prefix, bool) {
    const auto a = from.Of(prefix), b = other.Of(prefix);
    if (!std::equal(a.begin(), a.end(), b.begin(), b.end())) {
      different.push_back(prefix);
    }
    return true;
  });
  for (const Prefix& prefix : different) {
    if (routes->IsMarked(prefix)) {
      routes->Mark(prefix, false);
      --skipped;
    }
    if (!routes->CopyFrom(*fresh, prefix)) ++counted.routes_refused;
    Show(prefix);
  }
  if (mended.address.family != Family::kNone) return true;
  if (!mending_rest) {
    mending_rest = true;
    return true;
  }
  FinishStage();
  return false;
}

}  // namespace sluice
