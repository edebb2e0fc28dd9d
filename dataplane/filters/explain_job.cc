#include "dataplane/filters/explain_job.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/api/explain_answer.h"
#include "dataplane/filters/policy_source.h"
#include "dataplane/filters/route_words.h"
#include "dataplane/forward/explain_way.h"
#include "dataplane/router/router_host.h"
#include "packet/drop_reason.h"
#include "pftable/compile/enforce.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/engine/route_view.h"

namespace sluice {
namespace {

// The routes of a port that somebody else writes meanwhile.
class HeldRoutes final : public RouteView {
 public:
  HeldRoutes(const RouterHost& routers, std::string router, uint16_t port)
      : routers_(routers), router_(std::move(router)), port_(port) {}

  bool HasRoute(const Address& address) const override {
    bool has = false;
    routers_.Read(router_, [&](const RoutingTables& tables) {
      has = tables.HasRoute(address);
    });
    return has;
  }
  bool LeadsBack(const Address& address) const override {
    bool leads = false;
    routers_.Read(router_, [&](const RoutingTables& tables) {
      leads = tables.LeadsTo(address, port_);
    });
    return leads;
  }

 private:
  const RouterHost& routers_;
  const std::string router_;
  const uint16_t port_;
};

// The ports of the router that a port belongs to, as they were when it was
// asked.
struct RouterAsked {
  std::string router;  // empty: it has none
  uint16_t port = kNoPort;
  bool is_port = false;  // it is one at all
  std::vector<WayPort> ports;
  std::vector<std::string> names;  // of them

  void Find(const FilterEnvironment& environment, const std::string& name) {
    const PortSet::Entry* const entry = environment.ports->Find(name);
    is_port = entry != nullptr;
    if (!is_port || entry->router.empty() || environment.routers == nullptr) {
      return;
    }
    router = entry->router;
    port = entry->number;
    for (const auto& [other, of] : environment.ports->entries()) {
      if (of.router != router || of.number == kNoPort) continue;
      ports.push_back({.number = of.number, .interface = of.interface.id});
      names.push_back(other);
    }
  }
};

class ExplainJob final : public BuildJob<ExplainResult> {
 public:
  ExplainJob(std::shared_ptr<FilterCore> core, ExplainRequest request)
      : core_(std::move(core)), request_(std::move(request)) {
    asked_.Find(core_->environment, request_.interface);
  }

  void Build() override { status_ = Run(); }

  absl::StatusOr<ExplainResult> Publish() override {
    status_.Update(core_->CheckAlive());
    if (!status_.ok()) return status_;
    return std::move(result_);
  }

 private:
  absl::Status Run() {
    result_ = {};
    const FilterEnvironment& environment = core_->environment;
    facts_ = environment.ports->facts();
    if (!request_.ruleset) {
      const std::shared_ptr<const Generation> generation =
          core_->store.generation();
      result_.generation = generation->number;
      return Ask(*generation, core_->store.tags());
    }
    ParseResult parsed =
        ParseRequest(*request_.ruleset, environment.dialect, *facts_);
    result_.diagnostics = std::move(parsed.diagnostics);
    for (Diagnostic& d :
         CheckEnforced(&parsed.policy, request_.ruleset->without,
                       kEngineCapabilities)) {
      result_.diagnostics.push_back(std::move(d));
    }
    for (const Diagnostic& d : result_.diagnostics) {
      if (d.severity == Severity::kError) return absl::OkStatus();
    }
    ImmediateReclaimer reclaimer;
    PolicyStore store({.workers = 1,
                       .rule_slots = environment.store.rule_slots,
                       .table_slots = environment.store.table_slots,
                       .classifier = false},
                      environment.interfaces, &reclaimer);
    const absl::Status loaded = store.Load(std::move(parsed.policy));
    if (!loaded.ok()) {
      for (Diagnostic& d : DiagnosticsOf(loaded, request_.ruleset->name)) {
        result_.diagnostics.push_back(std::move(d));
      }
      return absl::OkStatus();
    }
    return Ask(*store.generation(), store.tags());
  }

  absl::Status Ask(const Generation& generation, const TagRegistry& tags) {
    const FilterEnvironment& environment = core_->environment;
    std::optional<HeldRoutes> routes;
    if (!asked_.router.empty()) {
      routes.emplace(*environment.routers, asked_.router, asked_.port);
    }
    const absl::Status answered = AnswerExplain(
        generation, *environment.interfaces, tags, *facts_, request_,
        static_cast<Tick>(core_->SinceStart()), routes ? &*routes : nullptr,
        &result_);
    if (!answered.ok()) return answered;
    if (routes) {
      environment.routers->Read(
          asked_.router,
          [&](const RoutingTables& tables) { FindWay(tables); });
    } else if (result_.route && asked_.is_port) {
      // Nothing is routed there.
      result_.passes = false;
      result_.keeps_state = false;
      result_.reason = std::string(Name(DropReason::kNoRoute));
      result_.translated.reset();
    }
    return absl::OkStatus();
  }

  void FindWay(const RoutingTables& tables) {
    const PacketInfo& packet =
        result_.translated ? *result_.translated : request_.packet;
    const WayRequest request{
        .packet = packet,
        .arrival = asked_.port,
        .ports = asked_.ports,
        .route = result_.route ? &*result_.route : nullptr,
        .crosses = packet.family != request_.packet.family};
    const bool in = request_.direction == Direction::kIn;
    const bool copies =
        result_.route && result_.route->kind == RouteKind::kDupTo;
    if (copies) {
      result_.copy = ListingOf(WayOfCopy(tables, request, in), "dup-to", packet);
    }
    const bool by_rule = result_.route && !copies;
    if (in) {
      result_.way = ListingOf(WayIn(tables, request),
                              by_rule ? "route-to" : "routes", packet);
    } else if (by_rule) {
      result_.way = ListingOf(WayMoved(tables, request), "route-to", packet);
    } else if (request_.next_hop &&
               *request_.next_hop == request_.packet.destination_address() &&
               *request_.next_hop != packet.destination_address()) {
      result_.way = ListingOf(WayFollowed(tables, request, asked_.port),
                              "routes", packet);
    }
  }

  ExplainedWayListing ListingOf(const ExplainedWay& way, const char* by,
                                const PacketInfo& packet) const {
    ExplainedWayListing listing = {.router = asked_.router,
                                   .by = by,
                                   .type = WordOf(way.answer.type)};
    if (way.prefix) listing.prefix = ToString(*way.prefix);
    if (way.drop) listing.reason = std::string(Name(*way.drop));
    if (way.answer.type != RouteType::kForward) return listing;
    for (size_t i = 0; i < asked_.ports.size(); ++i) {
      if (asked_.ports[i].number == way.answer.port) {
        listing.port = asked_.names[i];
      }
    }
    listing.next_hop = ToString(way.answer.next_hop);
    listing.gateway = way.answer.next_hop != packet.destination_address();
    listing.neighbor = WordOf(way.neighbor);
    if (way.neighbor == NeighborState::kKnown) {
      listing.mac = LinkAddressText(way.mac);
    }
    return listing;
  }

  const std::shared_ptr<FilterCore> core_;
  const ExplainRequest request_;
  RouterAsked asked_;
  std::shared_ptr<const HostFacts> facts_;
  absl::Status status_;
  ExplainResult result_;
};

}  // namespace

std::unique_ptr<BuildJob<ExplainResult>> MakeExplainJob(
    std::shared_ptr<FilterCore> core, ExplainRequest request) {
  return std::make_unique<ExplainJob>(std::move(core), std::move(request));
}

}  // namespace sluice
