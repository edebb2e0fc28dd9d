#include "dataplane/router/route_mirror.h"

#include <new>
#include <utility>

#include "dataplane/router/netlink_request.h"
#include "dataplane/router/route_mirror_parts.h"

namespace sluice {

RouteMirror::Parts::Parts(UniqueFd given_socket, Options given)
    : socket(std::move(given_socket)),
      options(std::move(given)),
      tables(*options.tables),
      neighbors(options.tables, &links,
                [this](uint32_t link, const Address& address) {
                  // The kernel does not tell of what it knows already, nor
                  // that it has begun to ask.
                  return Send(NeighborUseRequest(link, address, ++sequence)) &&
                         Send(NeighborGetRequest(link, address, ++sequence));
                },
                [this](uint32_t link, const Address& address) {
                  return Send(NeighborEndRequest(link, address, ++sequence));
                }),
      routes(std::make_unique<RouteStore>(options.max_routes, &paths)),
      buffer(1 << 16) {}

RouteMirror::RouteMirror(UniqueFd socket, Options options)
    : parts_(std::make_unique<Parts>(std::move(socket), std::move(options))) {}

RouteMirror::~RouteMirror() = default;

absl::Status RouteMirror::Start(uint64_t now) {
  parts_->now = now;
  const absl::Status joined = parts_->Join();
  if (joined.ok()) parts_->StartDump();
  return joined;
}

int RouteMirror::descriptor() const { return parts_->socket.get(); }

bool RouteMirror::Step(uint64_t now, size_t max_messages) {
  Parts& parts = *parts_;
  parts.now = now;
  try {
    for (size_t handled = 0; handled < max_messages;) {
      const int messages = parts.Receive();
      if (messages < 0) {
        parts.Timers();
        parts.ResolveAgain();
        const bool scanning = parts.ScanSome();
        const bool mending = parts.MendSome();
        return scanning || mending;
      }
      handled += static_cast<size_t>(messages) + 1;
    }
    parts.Timers();
    parts.ResolveAgain();
  } catch (const std::bad_alloc&) {
    parts.NoMemory();
  }
  return true;
}

bool RouteMirror::synced() const { return parts_->complete; }

void RouteMirror::SetPort(uint32_t link_index, uint16_t port) {
  Parts& parts = *parts_;
  const auto other = parts.links.PortOf(link_index);
  if (other == port) return;
  if (other.has_value()) RemovePort(*other);
  RemovePort(port);
  parts.resolve_due = true;
  try {
    parts.links.SetPort(link_index, port);
    if (parts.links.Find(link_index) == nullptr) return;
    parts.ShowAddresses(link_index);
    parts.neighbors.Enter(link_index);
  } catch (const std::bad_alloc&) {
    parts.NoMemory();
  }
}

void RouteMirror::RemovePort(uint16_t port) {
  Parts& parts = *parts_;
  const auto index = parts.links.RemovePort(port);
  if (!index.has_value()) return;
  parts.resolve_due = true;
  try {
    parts.neighbors.Forget(*index, port);
    if (parts.tables.AddressesOf(port).empty()) return;
    parts.tables.SetAddresses(port, {});
    if (parts.options.addresses_changed != nullptr) {
      parts.options.addresses_changed(port, {});
    }
  } catch (const std::bad_alloc&) {
    parts.NoMemory();
  }
}

bool RouteMirror::Ask(const NeighborQuestion& question, uint64_t now) {
  return parts_->neighbors.Ask(question.port, question.address, now);
}

bool RouteMirror::Knows(uint16_t port, const Address& address) const {
  return parts_->neighbors.Knows(port, address);
}

RouteMirror::Statistics RouteMirror::statistics() const {
  const Parts& parts = *parts_;
  Statistics statistics = parts.counted;
  statistics.questions = parts.neighbors.questions();
  statistics.questions_refused = parts.neighbors.questions_refused();
  statistics.refreshed = parts.neighbors.refreshed();
  statistics.neighbors_refused = parts.neighbors.refused();
  if (statistics.last_error.empty()) {
    statistics.last_error = parts.neighbors.last_error();
  }
  statistics.routes = parts.routes->size();
  statistics.routes_skipped = parts.skipped;
  return statistics;
}

std::vector<Prefix> RouteMirror::Skipped(const Prefix& after,
                                         size_t count) const {
  std::vector<Prefix> list;
  if (count == 0) return list;
  const RouteStore& routes = *parts_->routes;
  routes.Each(after, routes.size(), [&](const Prefix& prefix, bool marked) {
    if (marked) list.push_back(prefix);
    return list.size() < count;
  });
  return list;
}

size_t RouteMirror::memory() const {
  const Parts& parts = *parts_;
  return parts.paths.memory() + parts.routes->memory() +
         (parts.fresh == nullptr ? 0 : parts.fresh->memory()) +
         parts.neighbors.memory() + parts.buffer.capacity();
}

}  // namespace sluice
