// trace: packets as they pass, and with -v why.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/interrupts.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/packet_words.h"
#include "dataplane/sluicectl/tool.h"
#include "packet/address.h"
#include "pftable/policy/names.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kBetweenLooks{100};

// "NETWORK", "ADDRESS:PORT", "[ADDRESS]:PORT", ":PORT".
bool TracedEnd(const std::string& text, const char* network, const char* port,
               json* params) {
  std::string host, number;
  if (!SplitEnd(text, &host, &number)) return false;
  if (!host.empty()) {
    if (!ParsePrefix(host)) return false;
    (*params)[network] = host;
  }
  if (number.empty()) return !host.empty();
  const std::optional<uint32_t> value = ReadNumber(number, UINT16_MAX);
  if (!value) return false;
  (*params)[port] = *value;
  return true;
}

std::string End(const json& packet, const char* address, const char* port) {
  const std::string host = Text(packet, address);
  if (!Has(packet, port)) return host;
  const bool v6 = host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":",
                      Number(packet, port));
}

// What rules.explain takes of it.
json PacketOf(const json& traced) {
  json packet = json::object();
  for (const char* name :
       {"source", "destination", "protocol", "source_port", "destination_port",
        "tcp_flags", "icmp_type", "icmp_code", "tos", "ttl", "length",
        "fragment", "ip_options"}) {
    if (Has(traced, name)) packet[name] = traced[name];
  }
  return packet;
}

}  // namespace

std::string FormatTraced(const json& packet) {
  std::string text = absl::StrCat(FormatClock(Number(packet, "time_us")), " ",
                                  Text(packet, "port"), " ");
  if (Has(packet, "way")) absl::StrAppend(&text, Text(packet, "way"), " ");
  if (Has(packet, "what")) {
    absl::StrAppend(&text, Text(packet, "what"));
  } else {
    absl::StrAppend(&text, ProtocolName(Number(packet, "protocol")), " ",
                    End(packet, "source", "source_port"), " > ",
                    End(packet, "destination", "destination_port"));
    if (Has(packet, "tcp_flags")) {
      const std::string flags =
          TcpFlagsText(static_cast<uint8_t>(Number(packet, "tcp_flags")));
      absl::StrAppend(&text, " ", flags.empty() ? "." : flags);
    }
    if (Has(packet, "icmp_type")) {
      absl::StrAppend(&text, " type ", Number(packet, "icmp_type"), " code ",
                      Number(packet, "icmp_code"));
    }
    if (Truth(packet, "fragment")) absl::StrAppend(&text, " fragment");
    if (Truth(packet, "ip_options")) absl::StrAppend(&text, " options");
    absl::StrAppend(&text, " length ", Number(packet, "length"));
  }
  absl::StrAppend(&text, ": ",
                  Truth(packet, "answer") ? "answered" : Text(packet, "fate"));
  if (Has(packet, "reason")) {
    absl::StrAppend(&text, ", ", Text(packet, "reason"));
  }
  if (Has(packet, "judged")) {
    absl::StrAppend(&text, ", last judged ", Text(packet, "judged"));
  }
  if (Has(packet, "rule")) {
    absl::StrAppend(&text, ", rule ");
    if (Has(packet, "anchor")) {
      absl::StrAppend(&text, Text(packet, "anchor"), "@");
    }
    absl::StrAppend(&text, Number(packet, "rule"));
  }
  absl::StrAppend(&text, "\n");
  return text;
}

bool Tool::ShowTraced(const json& packet, const json& ports) {
  json told = packet;
  json ends = json::array();
  if (arguments_.verbose > 0 && !Has(packet, "what")) {
    for (const json& port : ports) {
      if (Text(port, "name") != Text(packet, "port")) continue;
      if (!ExplainPath(ports, port, PacketOf(packet), nullptr, "", &ends)) {
        return false;
      }
      break;
    }
    told["explain"] = ends;
  }
  output_.Element(told);
  if (output_.json()) return true;
  std::string text = FormatTraced(packet);
  for (const json& end : ends) text += FormatExplanation(end);
  output_.Print(text);
  return true;
}

bool Tool::TracePackets() {
  const Command& c = *arguments_.command;
  json params = json::object();
  if (!c.in.empty()) params["port"] = c.in;
  if (!c.trace_filter.empty()) params["filter"] = c.trace_filter;
  if (!c.proto.empty()) {
    const std::optional<uint32_t> proto = ReadProtocol(c.proto);
    if (!proto) return Fail(UnknownProtocol(c.proto));
    params["protocol"] = *proto;
  }
  constexpr const char* kEnds =
      "': say NETWORK, ADDRESS:PORT, [ADDRESS]:PORT or :PORT";
  if (!c.from.empty() && !TracedEnd(c.from, "source", "source_port", &params)) {
    return Fail(absl::StrCat("--from: '", c.from, kEnds));
  }
  if (!c.to.empty() &&
      !TracedEnd(c.to, "destination", "destination_port", &params)) {
    return Fail(absl::StrCat("--to: '", c.to, kEnds));
  }
  if (c.fate) params["fate"] = *c.fate ? "passed" : "dropped";
  if (!c.reason.empty()) params["reason"] = c.reason;
  if (c.sample) params["sample"] = *c.sample;
  json ports = json::array();
  if (arguments_.verbose > 0 && !Collect("port.list", "ports", &ports)) {
    return false;
  }
  const auto opened = Ask("trace.open", std::move(params));
  if (opened == nullptr) return false;
  output_.BeginList("trace");
  const bool ok = Watch(
      "trace", {{"trace", Number(*opened, "trace")}}, [&](const json& packet) {
        return ShowTraced(packet, ports) ? Seen::kShown : Seen::kFailed;
      });
  output_.EndList();
  return ok;
}

bool Tool::Watch(const std::string& what, const json& session,
                 const std::function<Seen(const json& packet)>& show,
                 uint64_t* lost_in_all) {
  const Command& c = *arguments_.command;
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::seconds(c.seconds.value_or(0));
  uint64_t shown = 0;
  uint64_t lost = 0;
  const auto enough = [&] { return c.count && shown >= *c.count; };
  bool ok = true;
  // Who left it open would have packets noted for nobody.
  const Interrupts interrupts;
  // What has come until the end is shown, too.
  for (bool last = false; ok && !enough() && !last;) {
    last = interrupts.came() ||
           (c.seconds && std::chrono::steady_clock::now() >= end);
    const auto slice = Ask(what + ".read", session);
    if (slice == nullptr) return false;
    const json& packets = Member(*slice, "packets");
    for (const json& packet : packets) {
      if (enough() || !ok) break;
      const Seen seen = show(packet);
      if (seen == Seen::kShown) ++shown;
      ok = seen != Seen::kFailed;
    }
    lost = Number(*slice, "lost");
    output_.Flush();
    if (packets.empty() && !last) std::this_thread::sleep_for(kBetweenLooks);
  }
  ok = Ask(what + ".close", session) != nullptr && ok;
  if (lost_in_all != nullptr) *lost_in_all = lost;
  if (lost > 0) {
    output_.Say(absl::StrCat(lost, " more came faster than they were read"));
  }
  return ok;
}

}  // namespace sluice
