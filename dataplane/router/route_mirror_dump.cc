// A mirror's dumps, and what comes of links, addresses and next hop objects.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/router/netlink_request.h"
#include "dataplane/router/route_mirror_parts.h"

namespace sluice {
namespace {

constexpr uint64_t kSilence = 3000;    // of a dump that goes on
constexpr uint64_t kAfterFailure = 1000;
constexpr uint64_t kSoon = 100;
constexpr uint64_t kTick = 1000;
// A dump that changed under way is made so many times before it is taken as it
// is: what has changed is told of, too. Routes of both families together.
constexpr int kMaxRepeated = 5;
constexpr size_t kMaxObjects = 1'000'000;

}  // namespace

void RouteMirror::Parts::StartDump() {
  start_at.reset();
  again = false;
  began = now;
  // What is there is compared with what comes. At the first time nothing is,
  // and what comes is entered at once.
  fresh.reset();
  if (routes->size() > 0) {
    fresh = std::make_unique<RouteStore>(options.max_routes, &paths);
  }
  stage = Stage::kLinks;
  repeated = 0;
  RequestStage();
}

void RouteMirror::Parts::RequestStage() {
  uint16_t type = 0;
  Family family = Family::kNone;
  switch (stage) {
    case Stage::kLinks:
      type = RTM_GETLINK;
      links.BeginLinks();
      break;
    case Stage::kAddresses:
      type = RTM_GETADDR;
      links.BeginAddresses();
      break;
    case Stage::kObjects:
      type = RTM_GETNEXTHOP;
      unheard_objects.clear();
      for (const auto& [id, object] : objects) unheard_objects.insert(id);
      break;
    case Stage::kNeighbors:
      type = RTM_GETNEIGH;
      neighbors.Begin();
      break;
    case Stage::kRoutes4:
      type = RTM_GETROUTE;
      family = Family::kIpv4;
      break;
    case Stage::kRoutes6:
      type = RTM_GETROUTE;
      family = Family::kIpv6;
      break;
    case Stage::kIdle:
    case Stage::kMend:
      return;
  }
  interrupted = false;
  heard = now;
  dump = ++sequence;
  if (!Send(DumpRequest(type, family, dump))) {
    FailDump(absl::StrCat("cannot ask: ", strerror(errno)));
  }
}

void RouteMirror::Parts::FailDump(const std::string& why) {
  ++counted.failed_dumps;
  counted.last_error = absl::StrCat("routes of the kernel: ", why);
  stage = Stage::kIdle;
  fresh.reset();
  again = false;
  start_at = now + kAfterFailure;
}

void RouteMirror::Parts::FinishStage() {
  if (interrupted && repeated < kMaxRepeated) {
    ++repeated;
    if (stage >= Stage::kRoutes4) {
      // What this pass has read may have gone since, untold. All that is there
      // is compared with the next one, of both families.
      fresh = std::make_unique<RouteStore>(options.max_routes, &paths);
      stage = Stage::kRoutes4;
    }
    RequestStage();
    return;
  }
  // Those of IPv6 begin with IPv4 again, and end some time, too.
  if (stage != Stage::kRoutes4) repeated = 0;
  interrupted = false;
  switch (stage) {
    case Stage::kLinks:
      for (const uint32_t index : links.EndLinks()) RemoveLink(index);
      break;
    case Stage::kAddresses:
      for (const AddressNews& gone : links.EndAddresses()) {
        HandleAddress(gone, true);
      }
      break;
    case Stage::kObjects: {
      const bool any = !unheard_objects.empty();
      for (const uint32_t id : std::exchange(unheard_objects, {})) {
        objects.erase(id);
      }
      resolve_due = resolve_due || any;
      break;
    }
    case Stage::kNeighbors:
      neighbors.End();
      break;
    default:
      break;
  }
  if (again) {
    StartDump();
    return;
  }
  if (stage == Stage::kRoutes6 && fresh != nullptr) {
    stage = Stage::kMend;
    mended = {};
    mending_rest = false;
  } else if (stage == Stage::kRoutes6 || stage == Stage::kMend) {
    stage = Stage::kIdle;
    fresh.reset();
    ++counted.dumps;
    ended = now;
    complete = true;
  } else {
    stage = static_cast<Stage>(static_cast<uint8_t>(stage) + 1);
    RequestStage();
  }
}

void RouteMirror::Parts::Gap() {
  ++counted.gaps;
  complete = false;
  if (stage == Stage::kIdle) {
    start_at = now;
  } else {
    again = true;
  }
}

void RouteMirror::Parts::NoMemory() {
  counted.last_error = "no memory to follow the kernel's routes";
  Gap();
}

void RouteMirror::Parts::CompareSoon() {
  // The dump that goes on may have passed the place.
  if (stage != Stage::kIdle) {
    again = true;
    return;
  }
  if (start_at.has_value()) return;
  // Large tables take their time, and the kernel's; most of it is for others.
  const uint64_t took = ended - std::min(began, ended);
  start_at = std::max(now + kSoon, ended + 3 * took);
}

void RouteMirror::Parts::Timers() {
  if (stage != Stage::kIdle && stage != Stage::kMend &&
      now - heard > kSilence) {
    FailDump("the kernel has stopped in the middle of a dump");
  }
  if (stage == Stage::kIdle && start_at.has_value() && now >= *start_at) {
    StartDump();
  }
  if (now - ticked >= kTick) {
    ticked = now;
    neighbors.Tick(now);
  }
}

void RouteMirror::Parts::Handle(const NetlinkMessage& message) {
  const bool of_dump = stage != Stage::kIdle && stage != Stage::kMend &&
                       message.port == own_port && message.sequence == dump;
  if (of_dump) {
    heard = now;
    interrupted = interrupted || (message.flags & NLM_F_DUMP_INTR) != 0;
  }
  const bool gone = message.type == RTM_DELLINK || message.type == RTM_DELADDR ||
                    message.type == RTM_DELNEIGH ||
                    message.type == RTM_DELNEXTHOP;
  bool good = true;
  switch (message.type) {
    case NLMSG_DONE:
      if (of_dump) {
        // It may end early, and says so.
        const int error = ReadNetlinkError(message.payload).value_or(0);
        if (error == 0 || error == EOPNOTSUPP || error == EAFNOSUPPORT) {
          FinishStage();
        } else {
          FailDump(absl::StrCat("it has stopped: ", strerror(error)));
        }
      }
      break;
    case NLMSG_OVERRUN:
      Gap();
      break;
    case NLMSG_ERROR: {
      const auto error = ReadNetlinkError(message.payload);
      good = error.has_value();
      if (!of_dump || error.value_or(0) == 0) break;
      if (*error == EBUSY) {
        // The last one goes on; its end comes some day.
        FailDump("the kernel is at another dump");
        start_at = now + kSoon;
      } else if (*error == EOPNOTSUPP || *error == EAFNOSUPPORT) {
        FinishStage();  // it has nothing of that kind
      } else {
        FailDump(absl::StrCat("it does not tell them: ", strerror(*error)));
      }
      break;
    }
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto news = ReadLinkNews(message.payload);
      // Bridges tell of their ports so, which is nothing of the link's.
      if (!news.has_value()) break;
      if (gone) {
        RemoveLink(news->index);
      } else {
        HandleLink(*news);
      }
      break;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const auto news = ReadAddressNews(message.payload);
      good = news.has_value();
      if (good) HandleAddress(*news, gone);
      break;
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP: {
      const auto news = ReadNextHopNews(message.payload);
      good = news.has_value();
      if (good) HandleObject(*news, gone);
      break;
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      // Of bridges, too, which have no address.
      const auto news = ReadNeighborNews(message.payload);
      if (!news.has_value()) break;
      if (gone) {
        neighbors.Remove(*news);
      } else {
        neighbors.Set(*news, now);
      }
      break;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      HandleRoute(message, of_dump);
      break;
    default:
      break;
  }
  counted.malformed += good ? 0 : 1;
}

void RouteMirror::Parts::HandleLink(const LinkNews& news) {
  const LinkList::Link* const before = links.Find(news.index);
  const bool was_on = before != nullptr && before->switched_on;
  const bool was_up = before != nullptr && before->up;
  const bool is_new = before == nullptr;
  links.Set(news);
  const bool up = news.switched_on && news.running;
  if (is_new || was_up != up) resolve_due = true;
  // With a link that is switched off go routes of which nothing is told, and
  // with its carrier next hop objects with theirs.
  if (!is_new && (was_on != news.switched_on ||
                  (was_up && !up && !objects.empty()))) {
    CompareSoon();
  }
}

void RouteMirror::Parts::RemoveLink(uint32_t index) {
  const auto port = links.PortOf(index);
  if (port.has_value()) {
    neighbors.Forget(index, *port);
    tables.SetAddresses(*port, {});
    links.RemovePort(*port);
  }
  if (!links.Remove(index)) return;
  resolve_due = true;
  CompareSoon();
  if (!port.has_value()) return;
  if (options.addresses_changed != nullptr) options.addresses_changed(*port, {});
  if (options.link_gone != nullptr) options.link_gone(*port);
}

void RouteMirror::Parts::ShowAddresses(uint32_t index) {
  const auto port = links.PortOf(index);
  if (!port.has_value()) return;
  const std::vector<Prefix> addresses = links.AddressesOf(index);
  if (addresses == tables.AddressesOf(*port)) return;
  try {
    tables.SetAddresses(*port, addresses);
  } catch (const std::bad_alloc&) {
    // Reading all again would not help.
    counted.last_error =
        "addresses of a port: the tables for routes are full: raise max_routes";
    return;
  }
  if (options.addresses_changed != nullptr) {
    options.addresses_changed(*port, addresses);
  }
}

void RouteMirror::Parts::HandleAddress(const AddressNews& news, bool gone) {
  if (!(gone ? links.RemoveAddress(news) : links.SetAddress(news))) return;
  ShowAddresses(news.link);
  // With an address go routes that have it as their source, untold.
  if (gone && news.address.address.family == Family::kIpv4) CompareSoon();
}

void RouteMirror::Parts::HandleObject(const NextHopNews& news, bool gone) {
  unheard_objects.erase(news.id);
  if (gone) {
    if (objects.erase(news.id) > 0) {
      resolve_due = true;
      // Its routes go with it, untold, and must not come back with another one
      // of its number.
      CompareSoon();
    }
    return;
  }
  if (objects.size() >= kMaxObjects && !objects.contains(news.id)) {
    counted.last_error = "routes of the kernel: too many next hop objects";
    return;
  }
  NextHopNews& object = objects[news.id];
  if (object == news) return;
  object = news;
  resolve_due = true;
}

}  // namespace sluice
