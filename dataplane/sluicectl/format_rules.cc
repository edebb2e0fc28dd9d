// Rules, labels and states.
#include <netdb.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr uint64_t kTcp = 6;

// "10.0.0.1:80", "2001:db8::1[80]"; without a port the address alone.
std::string Endpoint(const json& endpoints, const char* address,
                     const char* port) {
  std::string text = Text(endpoints, address);
  const uint64_t number = Number(endpoints, port);
  if (number == 0) return text;
  const bool is_ipv6 = text.find(':') != std::string::npos;
  absl::StrAppend(&text, is_ipv6 ? "[" : ":", number, is_ipv6 ? "]" : "");
  return text;
}

// One end of a state: as it is after translation, and before if that differs.
std::string Side(const json& state, const char* address, const char* port) {
  const json& before = Member(state, "before");
  const std::string first = Endpoint(before, address, port);
  if (!Has(state, "after")) return first;
  const std::string last = Endpoint(Member(state, "after"), address, port);
  return first == last ? first : absl::StrCat(last, " (", first, ")");
}

// A flow that a helper waits for; its source's port may be any.
std::string Expected(const json& flow) {
  return absl::StrCat(Number(flow, "source_port") != 0
                          ? Endpoint(flow, "source", "source_port")
                          : Text(flow, "source"),
                      " -> ", Endpoint(flow, "destination",
                                       "destination_port"));
}

// Behind what it belongs to, if there is one.
std::string Vlan(const json& of) {
  return Has(of, "vlan") ? absl::StrCat(" vlan ", Text(of, "vlan")) : "";
}

// Whether packets go on in the other family (af-to).
bool Crosses(const json& state) {
  const auto is_ipv6 = [](const std::string& address) {
    return address.find(':') != std::string::npos;
  };
  return Has(state, "after") &&
         is_ipv6(Text(Member(state, "after"), "source")) !=
             is_ipv6(Text(Member(state, "before"), "source"));
}

std::string Window(const json& peer) {
  const auto low = static_cast<uint32_t>(Number(peer, "sequence_low"));
  const auto high = static_cast<uint32_t>(Number(peer, "sequence_high"));
  std::string text = absl::StrCat("[", low, " + ", high - low, "]");
  if (const uint64_t shift = Number(peer, "sequence_difference"); shift != 0) {
    absl::StrAppend(&text, "(+", shift, ")");
  }
  return text;
}

std::string Duration(uint64_t seconds) {
  return absl::StrFormat("%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60,
                         seconds % 60);
}

}  // namespace

std::string ProtocolName(uint64_t number) {
  // The ones of a state table, whether or not the system has a list.
  switch (number) {
    case 1:
      return "icmp";
    case kTcp:
      return "tcp";
    case 17:
      return "udp";
    case 58:
      return "ipv6-icmp";
    case 132:
      return "sctp";
    default:
      break;
  }
  const protoent* entry = ::getprotobynumber(static_cast<int>(number));
  return entry == nullptr ? absl::StrCat(number) : entry->p_name;
}

std::string FormatRule(const json& rule, const Detail& detail, uint64_t uid,
                       uint64_t pid) {
  std::string text;
  if (detail.verbose > 1)
    absl::StrAppend(&text, "@", Number(rule, "number"), " ");
  absl::StrAppend(&text, Text(rule, "text"), "\n");
  if (detail.verbose == 0) return text;
  const json& in = Member(rule, "in");
  const json& out = Member(rule, "out");
  absl::StrAppendFormat(
      &text,
      "  [ Evaluations: %-8d  Packets: %-8d  Bytes: %-10d  States: %-6d]\n",
      Number(rule, "evaluations"),
      Number(in, "packets") + Number(out, "packets"),
      Number(in, "bytes") + Number(out, "bytes"), Number(rule, "states"));
  absl::StrAppendFormat(&text,
                        "  [ Inserted: uid %d pid %d State Creations: %-6d]\n",
                        uid, pid, Number(rule, "state_creations"));
  // Not pf's: only where there is something to say.
  const uint64_t mismatches = Number(rule, "state_mismatches");
  if (detail.verbose > 1 && mismatches != 0) {
    absl::StrAppendFormat(&text, "  [ State Mismatches: %-6d]\n", mismatches);
  }
  return text;
}

std::string FormatLabel(const json& label) {
  const json& in = Member(label, "in");
  const json& out = Member(label, "out");
  return absl::StrFormat("%s %d %d %d %d %d %d %d %d\n", Text(label, "label"),
                         Number(label, "evaluations"),
                         Number(in, "packets") + Number(out, "packets"),
                         Number(in, "bytes") + Number(out, "bytes"),
                         Number(in, "packets"), Number(in, "bytes"),
                         Number(out, "packets"), Number(out, "bytes"),
                         Number(label, "state_creations"));
}

std::string FormatState(const json& state, const Detail& detail) {
  const bool out = Text(state, "direction") == "out";
  const uint64_t protocol = Number(state, "protocol");
  const std::string source = Side(state, "source", "source_port");
  const std::string destination =
      Side(state, "destination", "destination_port");
  const json& source_peer = Member(state, "source");
  const json& destination_peer = Member(state, "destination");
  // The nearer end first: the source of what goes out, the destination of
  // what comes in, but for what goes on in the other family.
  const bool onward = out || Crosses(state);
  const json& near = out ? source_peer : destination_peer;
  const json& far = out ? destination_peer : source_peer;
  std::string text =
      absl::StrCat(Text(state, "interface"), " ", ProtocolName(protocol), " ",
                   onward ? source : destination, onward ? " -> " : " <- ",
                   onward ? destination : source, Vlan(state), "       ",
                   Text(near, "state"), ":", Text(far, "state"), "\n");
  if (detail.verbose > 0) {
    if (protocol == kTcp) {
      const uint64_t near_scale = Number(near, "window_scale");
      const uint64_t far_scale = Number(far, "window_scale");
      const bool scaled = near_scale != 0 && far_scale != 0;
      absl::StrAppend(&text, "   ", Window(near));
      if (scaled) absl::StrAppend(&text, " wscale ", near_scale);
      absl::StrAppend(&text, "  ", Window(far));
      if (scaled) absl::StrAppend(&text, " wscale ", far_scale);
      absl::StrAppend(&text, "\n");
    }
    const json& forward = Member(state, "forward");
    const json& backward = Member(state, "backward");
    absl::StrAppendFormat(
        &text, "   age %s, expires in %s, %d:%d pkts, %d:%d bytes",
        Duration(Number(state, "age")), Duration(Number(state, "expires")),
        Number(forward, "packets"), Number(backward, "packets"),
        Number(forward, "bytes"), Number(backward, "bytes"));
    if (Has(state, "rule")) {
      absl::StrAppend(&text, ", rule ", Number(state, "rule"));
    }
    if (Truth(state, "sloppy")) absl::StrAppend(&text, ", sloppy");
    if (Has(state, "tag")) absl::StrAppend(&text, ", tag ", Text(state, "tag"));
    absl::StrAppend(&text, "\n");
    for (const json& flow : Member(state, "expected")) {
      absl::StrAppend(&text, "   expects ", Expected(flow), " for ",
                      Duration(Number(flow, "expires")), "\n");
    }
  }
  if (detail.verbose > 1) {
    absl::StrAppend(&text, "   id: ", Text(state, "id"),
                    " creatorid: ", Text(state, "creator"));
    if (Has(state, "route")) {
      const json& route = Member(state, "route");
      absl::StrAppend(&text, " ", Text(route, "kind"), ": ",
                      Text(route, "gateway"));
      if (Has(route, "interface")) {
        absl::StrAppend(&text, "@", Text(route, "interface"));
      }
    }
    if (Has(state, "parent")) {
      absl::StrAppend(&text, " parent: ", Text(state, "parent"));
    }
    if (Truth(state, "no_sync")) absl::StrAppend(&text, " (no-sync)");
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string FormatSource(const json& source, const Detail& detail) {
  const uint64_t rate = Number(source, "rate");
  std::string text = absl::StrFormat(
      "%s -> %s%s ( states %d, connections %d, rate %d.%d/%ds )\n",
      Text(source, "source"), Text(source, "target"), Vlan(source),
      Number(source, "states"), Number(source, "connections"), rate / 1000,
      rate % 1000 / 100, Number(source, "rate_seconds"));
  if (detail.verbose > 0) {
    absl::StrAppend(&text, "   age ", Duration(Number(source, "age")));
    if (Number(source, "states") == 0) {
      absl::StrAppend(&text, ", expires in ",
                      Duration(Number(source, "expires")));
    }
    absl::StrAppendFormat(&text, ", %d pkts, %d bytes",
                          Number(source, "packets"), Number(source, "bytes"));
    if (Has(source, "rule")) {
      const std::string use = Text(source, "use");
      absl::StrAppend(&text, ", ", use == "route" ? "filter" : use, " rule ",
                      Number(source, "rule"));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string LimiterTitle(bool by_source) {
  if (by_source) {
    return absl::StrFormat("%3s %8s/%-8s %5s %5s/%-5s %8s %8s %8s %8s\n", "ID",
                           "USE", "ADDRS", "LIMIT", "RATE", "SECS", "ADMIT",
                           "ADDRLIM", "HARDLIM", "RATELIM");
  }
  return absl::StrFormat("%3s %8s/%-8s %5s/%-5s %8s %8s %8s\n", "ID", "USE",
                         "LIMIT", "RATE", "SECS", "ADMIT", "HARDLIM",
                         "RATELIM");
}

std::string FormatLimiter(const json& limiter) {
  const uint64_t seconds = Number(limiter, "rate_seconds");
  const std::string rate =
      seconds == 0 ? absl::StrFormat("%5s/%-5s", "nil", "nil")
                   : absl::StrFormat("%5d/%-5d", Number(limiter, "rate"),
                                     seconds);
  if (Text(limiter, "kind") == "source") {
    return absl::StrFormat("%3d %8d/%-8d %5d %s %8d %8d %8d %8d\n",
                           Number(limiter, "id"), Number(limiter, "sources"),
                           Number(limiter, "entries"),
                           Number(limiter, "limit"), rate,
                           Number(limiter, "admitted"),
                           Number(limiter, "addrlimited"),
                           Number(limiter, "hardlimited"),
                           Number(limiter, "ratelimited"));
  }
  return absl::StrFormat("%3d %8d/%-8d %s %8d %8d %8d\n",
                         Number(limiter, "id"), Number(limiter, "states"),
                         Number(limiter, "limit"), rate,
                         Number(limiter, "admitted"),
                         Number(limiter, "hardlimited"),
                         Number(limiter, "ratelimited"));
}

}  // namespace sluice
