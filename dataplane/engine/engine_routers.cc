// Routers of the engine: the rings between workers and the kernel's side, the
// thread of that, and whether that gets on.
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/engine/engine.h"
#include "dataplane/ports/packet_pool.h"
#include "dataplane/router/tap.h"
#include "dataplane/workers/plane.h"

namespace sluice {
namespace {

// Packets of each worker on their way to the kernel, and of the kernel's on
// their way to it.
constexpr uint32_t kRouterRing = 1024;
// So long at one turn, milliseconds, and it is said.
constexpr uint64_t kLongTurn = 2000;

}  // namespace

void Engine::FreePool::operator()(rte_mempool* pool) const {
  rte_mempool_free(pool);
}

absl::Status Engine::MakeExchange() {
  if (options_.routers.empty()) return absl::OkStatus();
  // Its thread has a processor to share.
  router_pool_.reset(MakePacketPool("router", {.mbufs = kRouterMbufs,
                                               .data_room = options_.mbuf_data,
                                               .shared = true}));
  if (router_pool_ == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", kRouterMbufs,
                     " mbufs of what the kernel sends by ports of routers: ",
                     rte_strerror(rte_errno)));
  }
  exchange_ = std::make_unique<RouterExchange>(options_.workers, kRouterRing);
  return absl::OkStatus();
}

absl::Status Engine::MakeRouters() {
  if (options_.routers.empty()) return absl::OkStatus();
  routers_ = std::make_unique<RouterHost>(RouterHost::Options{
      .exchange = exchange_.get(),
      .pool = router_pool_.get(),
      .reclaimer = &*reclaimer_,
      .stalled = [plane = plane_.get()] {
        return plane->stalled.load(std::memory_order_acquire);
      }});
  for (const RouterConfig& router : options_.routers) {
    absl::StatusOr<std::shared_ptr<RoutingTables>> tables =
        routers_->AddRouter(router);
    if (!tables.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "router ", router.name, ": ", tables.status().message()));
    }
    ports_->SetTables(router.name, *std::move(tables));
  }
  return absl::OkStatus();
}

absl::Status Engine::StartRouters() {
  if (routers_ == nullptr) return absl::OkStatus();
  for (const auto& [name, router] : ports_->routers()) {
    for (const std::string& port : router.config.ports) {
      const PortSet::Entry& entry = *ports_->Find(port);
      const PortSet::Entry* const device = ports_->DeviceOf(entry);
      absl::StatusOr<std::unique_ptr<Tap>> tap = Tap::Make(
          {.name = entry.config.tap_name(),
           .netns = router.config.netns,
           .mac = device->device->link_address(),
           .mtu = entry.config.mtu});
      absl::Status status = tap.status();
      if (status.ok()) {
        status = routers_->AddPort(name, entry.number, port, *std::move(tap));
      }
      if (!status.ok()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "router ", name, ": port ", port, ": ", status.message()));
      }
      LogInfo("router {}: port {} is the kernel's interface {}{}", name, port,
              entry.config.tap_name(),
              router.config.netns.empty()
                  ? ""
                  : absl::StrCat(" in ", router.config.netns));
    }
  }
  routers_->Start();
  return absl::OkStatus();
}

void Engine::PollRouters(uint64_t now) {
  if (routers_ == nullptr) return;
  for (const auto& [name, router] : ports_->routers()) {
    for (const std::string& port : router.config.ports) {
      const PortSet::Entry& entry = *ports_->Find(port);
      const bool up = entry.enabled && ports_->IsUp(entry);
      const auto [at, fresh] = carriers_.try_emplace(entry.serial, true);
      if (at->second == up) continue;
      at->second = up;
      routers_->SetCarrier(entry.number, up);
    }
  }
  // What `(lan)`, `self` and `lan:network` mean changes with the kernel's.
  std::vector<FilterRegistry::InterfaceAddresses> all;
  for (auto& [number, addresses] : routers_->TakeAddresses()) {
    all.push_back({ports_->NameOf(number), std::move(addresses)});
  }
  const absl::Status set = filters_->SetInterfaceAddresses(all);
  // One may have been removed meanwhile.
  if (!set.ok() && !absl::IsNotFound(set)) {
    LogError("{}: rules do not know its addresses", std::string(set.message()));
  }
  const ThreadBeacon& beacon = routers_->beacon();
  const uint64_t work = beacon.work();
  if (work == 0 || work != router_work_) {
    router_work_ = work;
    router_work_since_ = now;
    router_slow_told_ = false;
  }
  if (router_end_told_) return;
  if (router_watch_.Look(beacon)) {
    router_end_told_ = true;
    LogCritical("the thread of routers is gone: packets are still routed, but "
                "nothing follows the kernel any more; restart sluiced");
  } else if (!router_slow_told_ && now - router_work_since_ > kLongTurn) {
    router_slow_told_ = true;
    LogError("the thread of routers has been at one piece of work for {} ms: "
             "packets are still routed, but nothing follows the kernel",
             now - router_work_since_);
  }
}

}  // namespace sluice
