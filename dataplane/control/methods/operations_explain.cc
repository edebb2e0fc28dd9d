// What the rules say of a packet, and why: rules.explain of those in force,
// ruleset.explain of others, which is more work for the daemon.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"
#include "dataplane/control/methods/ruleset_call.h"
#include "packet/frame_view.h"
#include "packet/parse.h"
#include "packet/syn_signature.h"

namespace sluice {
namespace {

constexpr uint64_t kMostNear = 1000;
constexpr size_t kMaxTag = 63;
constexpr uint64_t kTtl = 64;  // unless it is said

template <typename T>
T OrZero(const std::optional<uint64_t>& number) {
  return static_cast<T>(number.value_or(0));
}

int Nibble(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

// What a captured frame has beside what is told of it. False: it is none.
bool ReadFrame(const std::string& hex, ExplainRequest* request) {
  std::vector<uint8_t> bytes(hex.size() / 2);
  if (hex.size() % 2 != 0) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int high = Nibble(hex[2 * i]);
    const int low = Nibble(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  const FrameView view(bytes);
  PacketInfo frame{};
  ParsePacket(view.mbuf(), {.verify_checksums = false}, &frame);
  if (frame.kind != Kind::kIp) return false;
  SynSignature syn;
  if (ReadSyn(view.mbuf(), frame, &syn)) request->syn = syn;
  PacketInfo& packet = request->packet;
  packet.flags |= frame.flags;
  packet.ttl = frame.ttl;
  packet.window = frame.window;
  packet.l4_length = frame.l4_length;
  packet.l4_header_length = frame.l4_header_length;
  return true;
}

// The packet of "source", "destination", "protocol" and what its protocol has.
PacketInfo ReadPacket(Params& params, std::string* error) {
  PacketInfo packet{};
  std::optional<Prefix> source, destination;
  std::optional<uint64_t> protocol, source_port, destination_port, flags, type,
      code, tos, length, ttl;
  bool fragment = false, options = false;
  params.Prefix("source", &source);
  params.Prefix("destination", &destination);
  params.Number("protocol", UINT8_MAX, &protocol);
  params.Number("source_port", UINT16_MAX, &source_port);
  params.Number("destination_port", UINT16_MAX, &destination_port);
  params.Number("tcp_flags", UINT8_MAX, &flags);
  params.Number("icmp_type", UINT8_MAX, &type);
  params.Number("icmp_code", UINT8_MAX, &code);
  params.Number("tos", UINT8_MAX, &tos);
  params.Number("length", UINT16_MAX, &length);
  params.Number("ttl", UINT8_MAX, &ttl);
  params.Bool("fragment", &fragment);
  params.Bool("ip_options", &options);
  if (!source || !destination || !protocol) {
    *error = "parameters \"source\", \"destination\" and \"protocol\" are "
             "needed";
    return packet;
  }
  const Family family = source->address.family;
  if (destination->address.family != family ||
      source->length != AddressBits(family) ||
      destination->length != AddressBits(family)) {
    *error = "\"source\" and \"destination\" must be addresses of one family";
    return packet;
  }
  packet.kind = Kind::kIp;
  packet.family = family;
  packet.source = source->address.bytes;
  packet.destination = destination->address.bytes;
  packet.proto = OrZero<uint8_t>(protocol);
  packet.tos = OrZero<uint8_t>(tos);
  packet.ip_length = OrZero<uint16_t>(length);
  packet.ttl = static_cast<uint8_t>(ttl.value_or(kTtl));
  if (options) packet.flags |= kIpOptions;
  if (fragment) {
    packet.flags |= kFragment;
    return packet;  // the rest is not in it
  }
  packet.source_port = Be16(OrZero<uint16_t>(source_port));
  packet.destination_port = Be16(OrZero<uint16_t>(destination_port));
  packet.tcp_flags = OrZero<uint8_t>(flags);
  packet.icmp_type = OrZero<uint8_t>(type);
  packet.icmp_code = OrZero<uint8_t>(code);
  return packet;
}

Action Explain(Params& params, bool with_ruleset) {
  ExplainRequest request;
  std::optional<Direction> direction;
  std::optional<uint64_t> near;
  std::string error;
  params.Direction("direction", &direction);
  params.Name("interface", kMaxPortName, &request.interface,
              Params::Need::kRequired);
  params.Name("received_on", kMaxPortName, &request.received_on);
  params.String("tag", kMaxTag, &request.tag);
  params.Number("near", kMostNear, &near);
  std::optional<Prefix> next_hop;
  params.Prefix("next_hop", &next_hop);
  if (next_hop) request.next_hop = next_hop->address;
  request.packet = ReadPacket(params, &error);
  std::string frame;
  params.String("frame", 2 * FrameView::kMostBytes, &frame);
  if (!frame.empty() && error.empty() && !ReadFrame(frame, &request)) {
    error = "parameter \"frame\" is no Ethernet frame with IP, in hexadecimal";
  }
  request.direction = direction.value_or(Direction::kIn);
  request.near = OrZero<size_t>(near);
  if (with_ruleset &&
      !params.Object("ruleset", [&](Params& inner) {
        ReadLoadRequest(inner, &request.ruleset.emplace());
      }) &&
      error.empty()) {
    error = "parameter \"ruleset\" is needed";
  }
  return [request = std::move(request),
          error = std::move(error)](std::shared_ptr<Call> call) mutable {
    if (!error.empty()) return call->Error(RpcError::kInvalidParams, error);
    Call::RunJob<ExplainResult>(
        call,
        [request = std::move(request)](
            Call& c) mutable -> std::unique_ptr<BuildJob<ExplainResult>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Rules().BeginExplain(std::move(request));
        },
        [](Call& c, absl::StatusOr<ExplainResult> result) {
          if (!result.ok()) return c.Error(result.status());
          for (const Diagnostic& d : result->diagnostics) {
            if (d.severity != Severity::kError) continue;
            return c.Error(RpcError::kRuleset, "the ruleset has errors",
                           result->diagnostics);
          }
          c.Result(ToJson(*result));
        });
  };
}

Action ParseExplain(Params& params) {
  return Explain(params, /*with_ruleset=*/false);
}
Action ParseExplainRuleset(Params& params) {
  return Explain(params, /*with_ruleset=*/true);
}

}  // namespace

const std::vector<Method> kExplainMethods = {
    {"rules.explain", ParseExplain, Access::kRead},
    {"ruleset.explain", ParseExplainRuleset, Access::kOperate},
};

}  // namespace sluice
