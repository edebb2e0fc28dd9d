// explain: which state or rule would decide a packet, at both ends of a wire or
// on its way through a router.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/capture_frame.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/packet_words.h"
#include "dataplane/sluicectl/tool.h"
#include "packet/packet.h"
#include "pftable/policy/names.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kNear = 20;      // with -v
constexpr size_t kMostNear = 1000;  // with -vv
// After so many moves to another port of the router it is in a loop.
constexpr size_t kMostMoves = 3;

// "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT".
bool ReadEnd(const std::string& text, const char* address, const char* port,
             json* packet) {
  std::string host, number;
  if (!SplitEnd(text, &host, &number)) return false;
  if (!ParseAddress(host)) return false;
  (*packet)[address] = host;
  if (number.empty()) return true;
  const std::optional<uint32_t> value = ReadNumber(number, UINT16_MAX);
  if (!value) return false;
  (*packet)[port] = *value;
  return true;
}

// The packet as rules.explain takes it; an error is what is wrong.
std::string ReadPacket(const Command& c, json* packet) {
  const std::optional<uint32_t> proto = ReadProtocol(c.proto);
  if (!proto) {
    return UnknownProtocol(c.proto);
  }
  (*packet)["protocol"] = *proto;
  if (!ReadEnd(c.from, "source", "source_port", packet)) {
    return absl::StrCat("--from: '", c.from, "': say ADDRESS:PORT, or "
                        "[ADDRESS]:PORT for IPv6");
  }
  if (!ReadEnd(c.to, "destination", "destination_port", packet)) {
    return absl::StrCat("--to: '", c.to, "': say ADDRESS:PORT, or "
                        "[ADDRESS]:PORT for IPv6");
  }
  if (proto == protocol::kTcp) {
    const std::optional<uint8_t> flags =
        ParseTcpFlags(c.flags.empty() ? "S" : std::string_view(c.flags));
    if (!flags) {
      return absl::StrCat("--flags: '", c.flags, "': letters of FSRPAUEW");
    }
    (*packet)["tcp_flags"] = *flags;
  } else if (!c.flags.empty()) {
    return "--flags is for --proto tcp";
  }
  if (proto == protocol::kIcmp || proto == protocol::kIcmp6) {
    // An echo request.
    (*packet)["icmp_type"] =
        c.icmp_type.value_or(proto == protocol::kIcmp ? 8 : 128);
    (*packet)["icmp_code"] = c.icmp_code.value_or(0);
  } else if (c.icmp_type || c.icmp_code) {
    return "--icmp-type and --icmp-code are for --proto icmp and icmp6";
  }
  if (c.tos) (*packet)["tos"] = *c.tos;
  if (c.ttl) (*packet)["ttl"] = *c.ttl;
  (*packet)["length"] = c.length.value_or(60);
  if (c.fragment) (*packet)["fragment"] = true;
  if (c.ip_options) (*packet)["ip_options"] = true;
  return "";
}

// How states.show asks for the state that the packet belongs to; `forward`: it
// goes as the one did that made the state.
json StateParams(const json& packet, const std::string& direction,
                 bool forward) {
  const bool in = direction == "in";
  json params = {{"protocol", packet["protocol"]},
                 {"direction", in == forward ? "in" : "out"},
                 {"source", packet[forward ? "source" : "destination"]},
                 {"destination", packet[forward ? "destination" : "source"]}};
  for (const auto& [end, other] :
       {std::pair("source_port", "destination_port"),
        std::pair("destination_port", "source_port")}) {
    const char* const mine = forward ? end : other;
    if (packet.contains(mine)) params[end] = packet[mine];
  }
  return params;
}

const json* FindPort(const json& ports, const std::string& name) {
  for (const json& port : ports) {
    if (Text(port, "name") == name) return &port;
  }
  return nullptr;
}

bool GoesOn(const json& end) {
  return Truth(end, "passes") || Has(end, "states");
}

// Where a router sends it; empty: nowhere, or to the kernel.
std::string LeavesBy(const json& way) {
  return Has(way, "reason") ? std::string() : Text(way, "port");
}

}  // namespace

bool Tool::ExplainAt(const json& port, const char* direction,
                     const std::string& received_on, const json& packet,
                     const json* ruleset, std::string* tag, json* ends) {
  json end = {{"direction", direction},
              {"port", Text(port, "name")},
              {"filter", Text(port, "filter")}};
  if (Truth(port, "excluded")) {
    end["excluded"] = true;
    end["passes"] = true;
    ends->push_back(std::move(end));
    return true;
  }
  const json& proto = packet["protocol"];
  const bool has_ports = proto == protocol::kTcp || proto == protocol::kUdp ||
                         proto == protocol::kSctp;
  json states = json::array();
  for (const bool forward : {true, false}) {
    if (ruleset != nullptr || !has_ports) break;
    json params = StateParams(packet, direction, forward);
    params["filter"] = Text(port, "filter");
    for (bool more = true; more && states.empty();) {
      const auto page = Ask("states.show", params);
      if (page == nullptr) return false;
      for (const json& state : Member(*page, "states")) {
        states.push_back(state);
      }
      more = Has(*page, "next");
      if (more) params["cursor"] = Text(*page, "next");
    }
  }
  json params = packet;
  params["filter"] = Text(port, "filter");
  params["direction"] = direction;
  params["interface"] = Text(port, "name");
  if (direction == std::string("out")) {
    params["received_on"] = received_on;
  }
  if (!tag->empty()) params["tag"] = *tag;
  if (arguments_.verbose > 0) {
    params["near"] = arguments_.verbose > 1 ? kMostNear : kNear;
  }
  if (ruleset != nullptr) params["ruleset"] = *ruleset;
  const auto result =
      Ask(ruleset != nullptr ? "ruleset.explain" : "rules.explain",
          std::move(params));
  if (result == nullptr) return false;
  end.update(*result);
  if (!states.empty()) {
    *tag = Text(states[0], "tag");
    end["states"] = std::move(states);
  } else {
    *tag = Text(end, "tag");
  }
  if (!GoesOn(end)) {
    end.erase("way");
    end.erase("copy");
  }
  ends->push_back(std::move(end));
  return true;
}

bool Tool::ExplainPath(const json& ports, const json& arrival, json packet,
                       const json* ruleset, std::string tag, json* ends) {
  const std::string name = Text(arrival, "name");
  if (!ExplainAt(arrival, "in", "", packet, ruleset, &tag, ends)) return false;
  if (!GoesOn(ends->back())) return true;
  TakeTranslated(ends->back(), &packet);
  if (!Has(ends->back(), "way")) {
    const json* const out = FindPort(ports, Text(arrival, "wire"));
    return out == nullptr ||
           ExplainAt(*out, "out", name, packet, ruleset, &tag, ends);
  }
  for (size_t moves = 0;; ++moves) {
    const json& way = Member(ends->back(), "way");
    const json* const out = FindPort(ports, LeavesBy(way));
    if (out == nullptr) return true;
    if (moves > 0 && Text(*out, "name") == Text(ends->back(), "port")) {
      return true;  // to another next hop there
    }
    // At the other port the new state decides, unless it is bound to this one.
    if (moves > 0 && Truth(ends->back(), "keeps_state")) return true;
    if (moves > kMostMoves) {
      ends->back()["way"]["reason"] = "no-route";
      return true;
    }
    json asked = packet;
    asked["next_hop"] = way["next_hop"];
    if (!ExplainAt(*out, "out", name, asked, ruleset, &tag, ends)) return false;
    if (!GoesOn(ends->back())) return true;
    TakeTranslated(ends->back(), &packet);
  }
}

bool Tool::ExplainPacket() {
  const Command& c = *arguments_.command;
  json packet = json::object();
  if (!c.capture.empty()) {
    absl::StatusOr<std::vector<uint8_t>> frame = ReadFrame(c.capture);
    if (!frame.ok()) {
      return Fail(absl::StrCat("--pcap: ", frame.status().message()));
    }
    absl::StatusOr<json> read = PacketOf(*frame);
    if (!read.ok()) {
      return Fail(absl::StrCat("--pcap: ", read.status().message()));
    }
    packet = *std::move(read);
  } else if (std::string wrong = ReadPacket(c, &packet); !wrong.empty()) {
    return Fail(wrong);
  }
  std::unique_ptr<json> ruleset;
  if (arguments_.file) {
    ruleset = RulesetParams(*arguments_.file);
    if (ruleset == nullptr) return false;
  }
  json ports = json::array();
  if (!Collect("port.list", "ports", &ports)) return false;
  const json* const in = FindPort(ports, c.in);
  if (in == nullptr) {
    return Fail(absl::StrCat("--in: there is no port '", c.in,
                             "'; port list shows those there are"));
  }
  json ends = json::array();
  if (!ExplainPath(ports, *in, packet, ruleset.get(), c.tag, &ends)) {
    return false;
  }
  output_.BeginList("explain");
  for (const json& end : ends) {
    output_.Element(end);
    if (!output_.json()) output_.Print(FormatExplanation(end));
  }
  output_.EndList();
  return true;
}

}  // namespace sluice
