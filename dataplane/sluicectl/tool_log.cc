// log: packets of `log` rules as they are written.
#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/packet_filter.h"
#include "dataplane/sluicectl/packet_words.h"
#include "dataplane/sluicectl/tool.h"
#include "packet/packet.h"

namespace sluice {

using nlohmann::json;

namespace {

// "udp 192.0.2.1:53 > 198.51.100.7:1024" of what begins with an IP header, as
// far as the bytes go.
std::string FormatIp(std::string_view packet) {
  const auto byte = [&](size_t at) {
    return static_cast<uint8_t>(at < packet.size() ? packet[at] : 0);
  };
  const bool v6 = byte(0) >> 4 == 6;
  const size_t address = v6 ? 8 : 12;
  const size_t bytes = v6 ? 16 : 4;
  if (packet.size() < address + 2 * bytes) return "cut short";
  const uint8_t proto = byte(v6 ? 6 : 9);
  const size_t header = v6 ? 40 : (byte(0) & 0xf) * size_t{4};
  const bool first = v6 || ((byte(6) & 0x1f) == 0 && byte(7) == 0);
  const bool ports = first && packet.size() >= header + 4 &&
                     (proto == protocol::kTcp || proto == protocol::kUdp ||
                      proto == protocol::kSctp);
  const auto end = [&](size_t which) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(v6 ? AF_INET6 : AF_INET,
                packet.data() + address + which * bytes, text.data(),
                text.size());
    std::string said = text.data();
    if (!ports) return said;
    const size_t at = header + 2 * which;
    const int port = byte(at) << 8 | byte(at + 1);
    return v6 ? absl::StrCat("[", said, "]:", port)
              : absl::StrCat(said, ":", port);
  };
  return absl::StrCat(ProtocolName(proto), " ", end(0), " > ", end(1),
                      first ? "" : " fragment");
}

std::string FormatLogged(const json& packet, std::string_view ip) {
  const auto rule = [&](const char* name) {
    return Has(packet, name) ? absl::StrCat(Number(packet, name))
                             : std::string("-");
  };
  std::string text =
      absl::StrCat(FormatClock(Number(packet, "time_us")), " rule ",
                   rule("rule"));
  if (Has(packet, "subrule")) {
    absl::StrAppend(&text, ".", Text(packet, "anchor"), ".", rule("subrule"));
  }
  const uint64_t pflog = Number(packet, "pflog");
  absl::StrAppend(&text, "(", Text(packet, "reason"), "): ",
                  Text(packet, "action"), " ", Text(packet, "direction"),
                  " on ", Text(packet, "interface"), ": ", FormatIp(ip),
                  " length ", Number(packet, "length"),
                  pflog == 0 ? "" : absl::StrCat(" pflog", pflog), "\n");
  return text;
}

}  // namespace

bool Tool::FollowLog() {
  const Command& c = *arguments_.command;
  std::optional<PacketFilter> filter;
  if (!c.words.empty()) {
    absl::StatusOr<PacketFilter> compiled =
        PacketFilter::Compile(absl::StrJoin(c.words, " "));
    if (!compiled.ok()) return Fail(std::string(compiled.status().message()));
    filter.emplace(*std::move(compiled));
  }
  std::optional<PflogWriter> writer;
  if (!c.write.empty()) {
    absl::StatusOr<PflogWriter> opened = PflogWriter::Open(c.write);
    if (!opened.ok()) {
      return Fail(absl::StrCat("--write: ", opened.status().message()));
    }
    writer.emplace(*std::move(opened));
  }
  const auto opened = Ask("log.open", json::object());
  if (opened == nullptr) return false;
  const auto show = [&](const json& packet) {
    const std::string record = FromHex(Text(packet, "record"));
    const uint64_t header = Number(packet, "header");
    if (record.size() < header) return Seen::kLeftOut;
    const std::string_view ip = std::string_view(record).substr(header);
    const auto length = static_cast<uint32_t>(Number(packet, "length"));
    if (filter && !filter->Matches(ip, length)) return Seen::kLeftOut;
    if (writer) {
      if (writer->Write(Number(packet, "time_us"), record,
                        static_cast<uint32_t>(header + length))) {
        return Seen::kShown;
      }
      Fail(absl::StrCat("--write: ", c.write, " cannot be written"));
      return Seen::kFailed;
    }
    output_.Element(packet);
    if (!output_.json()) output_.Print(FormatLogged(packet, ip));
    return Seen::kShown;
  };
  if (!writer) output_.BeginList("log");
  const bool ok =
      Watch("log", {{"follower", Number(*opened, "follower")}}, show);
  if (!writer) output_.EndList();
  return ok;
}

}  // namespace sluice
