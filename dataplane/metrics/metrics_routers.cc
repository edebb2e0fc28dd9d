// Routers for Prometheus.
#include <array>
#include <string>
#include <string_view>

#include "dataplane/metrics/json_read.h"
#include "dataplane/metrics/metrics.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using Kind = PrometheusText::Kind;

struct RouterMember {
  const char* member;
  std::string_view name;
  Kind kind;
  std::string_view help;
};

constexpr std::array<RouterMember, 8> kOfRouters = {{
    {"routes", "sluice_router_routes", Kind::kGauge, "Routes it has."},
    {"max_routes", "sluice_router_max_routes", Kind::kGauge,
     "Routes it has at most."},
    {"neighbors", "sluice_router_neighbors", Kind::kGauge,
     "Neighbours it knows, or has asked for."},
    {"memory", "sluice_router_memory_bytes", Kind::kGauge,
     "Memory of its routes and neighbours."},
    {"questions", "sluice_router_neighbor_questions_total", Kind::kCounter,
     "Neighbours that the kernel was asked for, as packets waited."},
    {"dumps", "sluice_router_dumps_total", Kind::kCounter,
     "How often all was read of the kernel."},
    {"lost_events", "sluice_router_lost_events_total", Kind::kCounter,
     "How often because news of the kernel's were lost."},
    {"refused", "sluice_router_refused_total", Kind::kCounter,
     "Routes and neighbours beyond the limits."},
}};

constexpr std::array<RouterMember, 5> kOfRoutedPorts = {{
    {"to_host", "sluice_router_port_to_host_packets_total", Kind::kCounter,
     "Packets that the kernel got."},
    {"from_host", "sluice_router_port_from_host_packets_total",
     Kind::kCounter, "Packets that the kernel sent."},
    {"refused", "sluice_router_port_refused_packets_total", Kind::kCounter,
     "Packets that the kernel did not take."},
    {"lost", "sluice_router_port_lost_packets_total", Kind::kCounter,
     "Packets of the kernel's for which there was no room."},
    {"taken_away", "sluice_router_port_taken_away_total", Kind::kCounter,
     "How often the kernel's interface was taken away."},
}};

}  // namespace

void AppendRouterMetrics(const json& routers, PrometheusText* text) {
  for (const RouterMember& member : kOfRouters) {
    text->Begin(member.name, member.kind, member.help);
    for (const json& router : routers) {
      text->Sample({{"router", Text(router, "name")}},
                   Number(router, member.member));
    }
  }
  const auto each = [&](auto sample) {
    for (const json& router : routers) {
      for (const json& port : Member(router, "ports")) {
        sample(PrometheusText::Labels{{"router", Text(router, "name")},
                                      {"port", Text(port, "port")}},
               port);
      }
    }
  };
  text->Begin("sluice_router_port_present", Kind::kGauge,
              "Whether the kernel's interface is there.");
  each([&](const PrometheusText::Labels& labels, const json& port) {
    text->Sample(labels, uint64_t{Truth(port, "present") ? 1u : 0u});
  });
  for (const RouterMember& member : kOfRoutedPorts) {
    text->Begin(member.name, member.kind, member.help);
    each([&](const PrometheusText::Labels& labels, const json& port) {
      text->Sample(labels, Number(port, member.member));
    });
  }
  text->Begin("sluice_router_port_limited_packets_total", Kind::kCounter,
              "Packets for the kernel beyond what it may get, by kind.");
  each([&](PrometheusText::Labels labels, const json& port) {
    labels.emplace_back("kind", "");
    for (const char* kind : {"arp", "discovery", "other"}) {
      labels.back().second = kind;
      text->Sample(labels, Number(Member(port, "limited"), kind));
    }
  });
}

}  // namespace sluice
