// Packets as they pass: trace.*. A trace is opened, read again and again, and
// closed, by whoever asked for it or because he reads no more.
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kTracedAPage = 256;
constexpr size_t kMaxReason = 32;
constexpr uint64_t kMostSample = 1'000'000;
constexpr uint64_t kMaxSnapLength = 65535;
constexpr size_t kMaxFilterSteps = 1024;

// False: it is not what it has to be.
bool ReadFrames(Params& params, FrameQuery* query) {
  std::optional<uint64_t> snap_length;
  std::vector<uint64_t> steps;
  params.Bool("arriving", &query->arriving);
  params.Bool("leaving", &query->leaving);
  params.Number("snap_length", 1, kMaxSnapLength, &snap_length);
  // One list of numbers, four a step.
  params.Numbers("program", 4 * kMaxFilterSteps, UINT32_MAX, &steps);
  query->snap_length =
      static_cast<uint32_t>(snap_length.value_or(kMaxSnapLength));
  for (size_t i = 0; i + 3 < steps.size(); i += 4) {
    if (steps[i] > UINT16_MAX || steps[i + 1] > UINT8_MAX ||
        steps[i + 2] > UINT8_MAX) {
      return false;
    }
    auto& step = query->program.emplace_back();
    for (size_t k = 0; k < 4; ++k) {
      step[k] = static_cast<uint32_t>(steps[i + k]);
    }
  }
  return steps.size() % 4 == 0 && (query->arriving || query->leaving);
}

Action ParseTraceOpen(Params& params) {
  TraceQuery query;
  std::optional<uint64_t> source_port, destination_port, protocol, sample;
  std::string fate;
  params.Name("filter", kMaxFilterName, &query.filter);
  params.Name("port", kMaxPortName, &query.port);
  params.Prefix("source", &query.source);
  params.Prefix("destination", &query.destination);
  params.Number("source_port", UINT16_MAX, &source_port);
  params.Number("destination_port", UINT16_MAX, &destination_port);
  params.Number("protocol", UINT8_MAX, &protocol);
  params.Number("sample", 1, kMostSample, &sample);
  params.String("fate", kMaxReason, &fate);
  params.String("reason", kMaxReason, &query.reason);
  query.source_port = Narrow<uint16_t>(source_port);
  query.destination_port = Narrow<uint16_t>(destination_port);
  query.protocol = Narrow<uint8_t>(protocol);
  query.sample = static_cast<uint32_t>(sample.value_or(1));
  if (!fate.empty()) query.passed = fate == "passed";
  std::string wrong;
  if (!fate.empty() && fate != "passed" && fate != "dropped") {
    wrong = "\"fate\" is \"passed\" or \"dropped\"";
  }
  params.Object("frames", [&](Params& inner) {
    if (!ReadFrames(inner, &query.frames.emplace())) {
      wrong = "\"frames\": \"program\" is a list of steps of four numbers, "
              "and \"arriving\" or \"leaving\" has to be";
    }
  });
  return [query = std::move(query),
          wrong = std::move(wrong)](std::shared_ptr<Call> call) {
    if (!wrong.empty()) return call->Error(RpcError::kInvalidParams, wrong);
    const absl::StatusOr<uint64_t> trace =
        call->directory().Traces().OpenTrace(query);
    if (!trace.ok()) return call->Error(trace.status());
    call->Result({{"trace", *trace}});
  };
}

json ToJson(const TracedPacket& traced) {
  json told = {{"time_us", traced.time_us}, {"port", traced.port}};
  const PacketInfo& packet = traced.packet;
  if (packet.kind == Kind::kIp) {
    told["source"] =
        ToString(Address::FromBytes(packet.family, packet.source.data()));
    told["destination"] =
        ToString(Address::FromBytes(packet.family, packet.destination.data()));
    told["protocol"] = packet.proto;
    told["length"] = packet.ip_length;
    told["tos"] = packet.tos;
    told["ttl"] = packet.ttl;
    if (packet.has(kFragment)) {
      told["fragment"] = true;
    } else if (packet.proto == protocol::kIcmp ||
               packet.proto == protocol::kIcmp6) {
      told["icmp_type"] = packet.icmp_type;
      told["icmp_code"] = packet.icmp_code;
    } else if (packet.proto == protocol::kTcp ||
               packet.proto == protocol::kUdp ||
               packet.proto == protocol::kSctp) {
      told["source_port"] = packet.source_port.host();
      told["destination_port"] = packet.destination_port.host();
    }
    if (packet.proto == protocol::kTcp && !packet.has(kFragment)) {
      told["tcp_flags"] = packet.tcp_flags;
    }
    if (packet.has(kIpOptions)) told["ip_options"] = true;
  } else {
    told["what"] = packet.kind == Kind::kMalformed ? "malformed" : "not IP";
  }
  told["fate"] = traced.passed ? "passed" : traced.held ? "held" : "dropped";
  if (!traced.reason.empty()) told["reason"] = traced.reason;
  if (traced.judged) {
    told["judged"] = *traced.judged == Direction::kIn ? "in" : "out";
  }
  if (traced.rule) told["rule"] = *traced.rule;
  if (!traced.anchor.empty()) told["anchor"] = traced.anchor;
  if (traced.frame) {
    told["way"] = traced.frame->leaving ? "out" : "in";
    if (traced.frame->answer) told["answer"] = true;
    told["frame_length"] = traced.frame->length;
    told["frame"] = Hex(std::span(
        reinterpret_cast<const uint8_t*>(traced.frame->bytes.data()),
        traced.frame->bytes.size()));
  }
  return told;
}

Action ParseTraceRead(Params& params) {
  std::optional<uint64_t> trace;
  size_t limit = kTracedAPage;
  params.Number("trace", UINT64_MAX, &trace);
  params.PageSize("limit", kTracedAPage, &limit);
  return [trace = trace.value_or(0), limit](std::shared_ptr<Call> call) {
    const absl::StatusOr<TraceSlice> slice =
        call->directory().Traces().ReadTrace(trace, limit);
    if (!slice.ok()) return call->Error(slice.status());
    json packets = json::array();
    for (const TracedPacket& packet : slice->packets) {
      packets.push_back(ToJson(packet));
    }
    call->Result({{"packets", std::move(packets)},
                  {"matched", slice->matched},
                  {"lost", slice->lost}});
  };
}

Action ParseTraceClose(Params& params) {
  std::optional<uint64_t> trace;
  params.Number("trace", UINT64_MAX, &trace);
  return [trace = trace.value_or(0)](std::shared_ptr<Call> call) {
    call->StatusOnly(call->directory().Traces().CloseTrace(trace));
  };
}

}  // namespace

const std::vector<Method> kTraceMethods = {
    {"trace.close", ParseTraceClose, Access::kOperate, /*asks_filter=*/false},
    {"trace.open", ParseTraceOpen, Access::kOperate, /*asks_filter=*/false},
    {"trace.read", ParseTraceRead, Access::kWatch, /*asks_filter=*/false},
};

}  // namespace sluice
