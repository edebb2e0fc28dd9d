// Methods on segments: segment.*.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

// As in sluice.toml (docs/configuration.md).
constexpr uint64_t kMinMacs = 8;
constexpr uint64_t kMaxAge = 86400;
constexpr size_t kSegmentsAPage = 64;
constexpr size_t kMacsAPage = 1024;
constexpr size_t kMacText = 17;

void LogSegment(const Call& call, std::string_view segment,
                std::string_view what) {
  LogWarning("control: uid {} pid {}: segment {} {}", call.peer().uid,
             call.peer().pid, segment, what);
}

std::string ReadSegmentName(Params& params) {
  std::string name;
  params.Name("segment", kMaxPortName, &name, Params::Need::kRequired);
  return name;
}

json ToJson(const SegmentListing& segment) {
  const SegmentSpec& spec = segment.spec;
  json flood = json::array();
  if (spec.flood_unknown) flood.push_back("unknown");
  if (spec.flood_multicast) flood.push_back("multicast");
  if (spec.flood_broadcast) flood.push_back("broadcast");
  return {{"name", spec.name},
          {"ports", spec.ports},
          {"non_ip", spec.pass_non_ip ? "pass" : "block"},
          {"flood", std::move(flood)},
          {"macs_per_port", spec.macs_per_port},
          {"age", spec.age},
          {"macs", segment.known},
          {"capacity", segment.capacity},
          {"learnt", segment.learnt},
          {"moved", segment.moved},
          {"aged", segment.aged},
          {"refused",
           {{"full", segment.refused_full},
            {"limit", segment.refused_limit},
            {"fixed", segment.refused_fixed}}}};
}

Action ParseListSegments(Params& params) {
  std::string cursor;
  size_t limit = kSegmentsAPage;
  params.Name("cursor", kMaxPortName, &cursor);
  params.PageSize("limit", kSegmentsAPage, &limit);
  return [cursor, limit](std::shared_ptr<Call> call) {
    std::vector<SegmentListing> segments =
        call->directory().Segments(cursor, limit + 1);
    const bool more = segments.size() > limit;
    if (more) segments.resize(limit);
    json list = json::array();
    for (const SegmentListing& segment : segments) {
      list.push_back(ToJson(segment));
    }
    json result = {{"segments", std::move(list)}};
    if (more) result["next"] = segments.back().spec.name;
    call->Result(std::move(result));
  };
}

Action ParseMacs(Params& params) {
  std::string cursor;
  size_t limit = kMacsAPage;
  std::string name = ReadSegmentName(params);
  params.Name("cursor", kMacText, &cursor);
  params.PageSize("limit", kMacsAPage, &limit);
  return [name, cursor, limit](std::shared_ptr<Call> call) {
    absl::StatusOr<std::vector<MacListing>> macs =
        call->directory().SegmentMacs(name, cursor, limit + 1);
    if (!macs.ok()) return call->Error(macs.status());
    const bool more = macs->size() > limit;
    if (more) macs->resize(limit);
    json list = json::array();
    for (const MacListing& mac : *macs) {
      list.push_back({{"mac", mac.mac},
                      {"port", mac.port},
                      {"fixed", mac.fixed},
                      {"age_ms", mac.age}});
    }
    json result = {{"macs", std::move(list)}};
    if (more) result["next"] = macs->back().mac;
    call->Result(std::move(result));
  };
}

Action ParseAddSegment(Params& params) {
  SegmentSpec spec;
  std::optional<uint64_t> macs, macs_per_port, age;
  bool block_non_ip = false;
  spec.name = ReadSegmentName(params);
  params.Names("ports", kMaxPorts, kMaxPortName, &spec.ports);
  params.Choice("non_ip", "pass", "block", &block_non_ip);
  params.Object("flood", [&](Params& flood) {
    flood.Bool("unknown", &spec.flood_unknown);
    flood.Bool("multicast", &spec.flood_multicast);
    flood.Bool("broadcast", &spec.flood_broadcast);
  });
  params.Number("macs", kMinMacs, kMaxSegmentMacs, &macs);
  params.Number("macs_per_port", 0, kMaxSegmentMacs, &macs_per_port);
  params.Number("age", 1, kMaxAge, &age);
  spec.pass_non_ip = !block_non_ip;
  if (macs) spec.macs = static_cast<uint32_t>(*macs);
  if (macs_per_port) {
    spec.macs_per_port = static_cast<uint32_t>(*macs_per_port);
  }
  if (age) spec.age = static_cast<uint32_t>(*age);
  return [spec = std::move(spec)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().AddSegment(spec);
    if (status.ok()) LogSegment(*call, spec.name, "added");
    call->StatusOnly(status);
  };
}

Action ParseRemoveSegment(Params& params) {
  return [name = ReadSegmentName(params)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().RemoveSegment(name);
    if (status.ok()) LogSegment(*call, name, "removed");
    call->StatusOnly(status);
  };
}

template <bool kAttach>
Action ParseMembership(Params& params) {
  std::string port;
  std::string name = ReadSegmentName(params);
  params.Name("port", kMaxPortName, &port, Params::Need::kRequired);
  return [name, port](std::shared_ptr<Call> call) {
    FilterDirectory& directory = call->directory();
    const absl::Status status = kAttach ? directory.AttachPort(name, port)
                                        : directory.DetachPort(name, port);
    if (status.ok()) {
      LogSegment(*call, name,
                 port + (kAttach ? " attached" : " detached"));
    }
    call->StatusOnly(status);
  };
}

template <bool kFix>
Action ParseFix(Params& params) {
  std::string mac, port;
  std::string name = ReadSegmentName(params);
  params.Name("mac", kMacText, &mac, Params::Need::kRequired);
  if (kFix) params.Name("port", kMaxPortName, &port, Params::Need::kRequired);
  return [name, mac, port](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().FixMac(name, mac, port);
    if (status.ok()) {
      LogSegment(*call, name, mac + (kFix ? " fixed" : " freed"));
    }
    call->StatusOnly(status);
  };
}

Action ParseForget(Params& params) {
  return [name = ReadSegmentName(params)](std::shared_ptr<Call> call) {
    const absl::Status status = call->directory().ForgetMacs(name);
    if (status.ok()) LogSegment(*call, name, "forgets its addresses");
    call->StatusOnly(status);
  };
}

}  // namespace

const std::vector<Method> kSegmentMethods = {
    {"segment.add", ParseAddSegment, Access::kAdmin, /*asks_filter=*/false},
    {"segment.attach", ParseMembership<true>, Access::kAdmin,
     /*asks_filter=*/false},
    {"segment.detach", ParseMembership<false>, Access::kAdmin,
     /*asks_filter=*/false},
    {"segment.fix", ParseFix<true>, Access::kAdmin, /*asks_filter=*/false},
    {"segment.flush", ParseForget, Access::kAdmin, /*asks_filter=*/false},
    {"segment.free", ParseFix<false>, Access::kAdmin, /*asks_filter=*/false},
    {"segment.list", ParseListSegments, Access::kRead, /*asks_filter=*/false},
    {"segment.macs", ParseMacs, Access::kRead, /*asks_filter=*/false},
    {"segment.remove", ParseRemoveSegment, Access::kAdmin,
     /*asks_filter=*/false},
};

}  // namespace sluice
