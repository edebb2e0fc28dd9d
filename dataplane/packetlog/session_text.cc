#include "dataplane/packetlog/session_text.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"
#include "dataplane/base/text.h"
#include "dataplane/packetlog/pflog.h"

namespace sluice {
namespace {

// "2026-11-30T16:02:23.123Z".
std::string TimeText(uint64_t microseconds) {
  const auto seconds = static_cast<time_t>(microseconds / 1'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text;
  const size_t length =
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> rest;
  std::snprintf(rest.data(), rest.size(), ".%03uZ",
                static_cast<unsigned>(microseconds / 1000 % 1000));
  return std::string(text.data(), length) + rest.data();
}

// As pfctl prints ends; of protocols without ports the address alone.
std::string EndText(const FlowRecord& record, const Address& address,
                    uint16_t port) {
  const std::string text = ToString(address);
  if (record.port[0] == 0 && record.port[1] == 0) return text;
  return address.family == Family::kIpv6 ? absl::StrCat(text, "[", port, "]")
                                         : absl::StrCat(text, ":", port);
}

std::string HexId(uint64_t id) {
  return absl::StrCat(absl::Hex(id, absl::kZeroPad16));
}

// Names are of the control side's and of rulesets' choosing.
void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (byte < 0x20) {
      absl::StrAppend(out, "\\u00", absl::Hex(byte, absl::kZeroPad2));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

class JsonLine {
 public:
  explicit JsonLine(std::string* out) : out_(*out) { out_.push_back('{'); }
  void Text(std::string_view key, std::string_view value) {
    Key(key);
    AppendQuoted(value, &out_);
  }
  void Number(std::string_view key, uint64_t value) {
    Key(key);
    absl::StrAppend(&out_, value);
  }
  void Pair(std::string_view key, const std::array<uint64_t, 2>& values) {
    Key(key);
    absl::StrAppend(&out_, "[", values[0], ",", values[1], "]");
  }
  void End() { out_ += "}\n"; }

 private:
  void Key(std::string_view key) {
    if (out_.back() != '{') out_.push_back(',');
    absl::StrAppend(&out_, "\"", View(key), "\":");
  }
  std::string& out_;
};

void AppendJson(const FlowRecord& record, const SessionContext& context,
                std::string* out) {
  const bool ended = record.end != FlowEnd::kNone;
  JsonLine line(out);
  line.Text("time", TimeText(context.time));
  line.Text("event", ended ? "end" : "start");
  if (ended) line.Text("cause", FlowEndName(record.end));
  line.Text("id", HexId(record.id));
  if (record.parent != 0) line.Text("parent", HexId(record.parent));
  if (!context.filter.empty()) line.Text("filter", context.filter);
  line.Text("interface", context.interface);
  line.Text("direction",
            record.direction == Direction::kIn ? "in" : "out");
  if (record.vlan.IsSet()) line.Text("vlan", ToString(record.vlan));
  line.Number("protocol", record.proto);
  const auto ends = [&](const auto& address, const auto& port,
                        std::array<std::string_view, 4> keys) {
    line.Text(keys[0], ToString(address[0]));
    line.Number(keys[1], port[0]);
    line.Text(keys[2], ToString(address[1]));
    line.Number(keys[3], port[1]);
  };
  ends(record.address, record.port,
       {"source", "source_port", "destination", "destination_port"});
  if (record.is_translated()) {
    ends(record.translated, record.translated_port,
         {"translated_source", "translated_source_port",
          "translated_destination", "translated_destination_port"});
  }
  if (context.rule != kNoPflogRule) line.Number("rule", context.rule);
  if (!context.anchor.empty()) line.Text("anchor", context.anchor);
  if (ended) {
    line.Pair("packets", record.packets);
    line.Pair("bytes", record.bytes);
    line.Number("duration_ms", TicksUntil(record.now, record.created));
    line.Number("idle_ms", TicksUntil(record.now, record.last_seen));
  }
  line.End();
}

}  // namespace

std::string FlowText(const FlowRecord& record) {
  const bool ended = record.end != FlowEnd::kNone;
  std::string text = absl::StrCat(
      ended ? absl::StrCat("end ", View(FlowEndName(record.end))) : "start",
      " ", ProtocolName(record.proto), " ",
      EndText(record, record.address[0], record.port[0]));
  if (record.is_translated()) {
    absl::StrAppend(&text, " (",
                    EndText(record, record.translated[0],
                            record.translated_port[0]),
                    ")");
  }
  absl::StrAppend(&text, " > ",
                  EndText(record, record.address[1], record.port[1]));
  if (record.is_translated()) {
    absl::StrAppend(&text, " (",
                    EndText(record, record.translated[1],
                            record.translated_port[1]),
                    ")");
  }
  if (record.vlan.IsSet()) {
    absl::StrAppend(&text, " vlan ", ToString(record.vlan));
  }
  if (record.parent != 0) absl::StrAppend(&text, " child");
  if (ended) {
    absl::StrAppend(&text, " packets ", record.packets[0], "/",
                    record.packets[1], " bytes ", record.bytes[0], "/",
                    record.bytes[1]);
  }
  return text;
}

void AppendSession(const FlowRecord& record, const SessionContext& context,
                   SessionForm form, std::string* out) {
  if (form == SessionForm::kJson) return AppendJson(record, context, out);
  absl::StrAppend(out, TimeText(context.time), " ", FlowText(record));
  if (!context.filter.empty()) {
    absl::StrAppend(out, " filter ", PrintableName(context.filter));
  }
  absl::StrAppend(out, record.direction == Direction::kIn ? " in" : " out",
                  " on ", PrintableName(context.interface));
  if (context.rule != kNoPflogRule) {
    absl::StrAppend(out, " rule ", context.rule);
    if (!context.anchor.empty()) {
      absl::StrAppend(out, " of ", PrintableName(context.anchor));
    }
  }
  absl::StrAppend(out, " id ", HexId(record.id));
  if (record.parent != 0) absl::StrAppend(out, " of ", HexId(record.parent));
  out->push_back('\n');
}

}  // namespace sluice
