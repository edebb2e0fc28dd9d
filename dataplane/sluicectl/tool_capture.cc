// capture: frames as they arrive and leave, with what became of them.
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/packet_filter.h"
#include "dataplane/sluicectl/packet_words.h"
#include "dataplane/sluicectl/pcapng.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr uint32_t kWhole = 65535;

// "passed, last judged out, rule 3": of what leaves, why it could.
std::string VerdictOf(const json& packet) {
  if (Truth(packet, "answer")) return "the firewall's answer";
  std::string text = Text(packet, "fate");
  if (Has(packet, "reason")) {
    absl::StrAppend(&text, ", ", Text(packet, "reason"));
  }
  if (Has(packet, "judged")) {
    absl::StrAppend(&text, ", last judged ", Text(packet, "judged"));
  }
  if (Has(packet, "rule")) {
    absl::StrAppend(&text, ", rule ", Text(packet, "anchor"), "@",
                    Number(packet, "rule"));
  }
  return text;
}

}  // namespace

bool Tool::CaptureFrames() {
  const Command& c = *arguments_.command;
  std::vector<std::string> words = c.words;
  json params = json::object();
  if (!c.trace_filter.empty()) {
    params["filter"] = c.trace_filter;
  } else {
    params["port"] = words.front();
    words.erase(words.begin());
  }
  json frames = json::object();
  // What is dropped has only come.
  const bool both = !c.arriving && !c.leaving && !c.dropped;
  frames["arriving"] = both || c.arriving || c.dropped;
  frames["leaving"] = both || c.leaving;
  const uint32_t snap_length = c.snap_length.value_or(kWhole);
  frames["snap_length"] = snap_length;
  if (!words.empty()) {
    absl::StatusOr<std::vector<uint32_t>> program =
        CompileFrameFilter(absl::StrJoin(words, " "));
    if (!program.ok()) return Fail(std::string(program.status().message()));
    frames["program"] = *program;
  }
  params["frames"] = std::move(frames);
  if (c.dropped) params["fate"] = "dropped";
  if (!c.reason.empty()) params["reason"] = c.reason;
  const auto opened = Ask("trace.open", std::move(params));
  if (opened == nullptr) return false;
  std::optional<PcapngWriter> writer;
  const json session = {{"trace", Number(*opened, "trace")}};
  if (!c.write.empty()) {
    absl::StatusOr<PcapngWriter> made =
        PcapngWriter::Open(c.write, snap_length);
    if (!made.ok()) {
      Ask("trace.close", session);
      return Fail(absl::StrCat("--write: ", made.status().message()));
    }
    writer.emplace(*std::move(made));
  } else {
    output_.BeginList("capture");
  }
  uint64_t lost = 0;
  const auto show = [&](const json& packet) {
    if (writer) {
      const std::string bytes = FromHex(Text(packet, "frame"));
      const bool written = writer->Write(
          {.interface = Text(packet, "port"),
           .leaves = Text(packet, "way") == "out",
           .time_us = static_cast<int64_t>(Number(packet, "time_us")),
           .length = static_cast<uint32_t>(Number(packet, "frame_length")),
           .bytes = bytes,
           .comment = VerdictOf(packet)});
      if (written) return Seen::kShown;
      Fail(absl::StrCat("--write: ", c.write, " cannot be written"));
      return Seen::kFailed;
    }
    output_.Element(packet);
    if (!output_.json()) {
      output_.Print(FormatTraced(packet));
    }
    return Seen::kShown;
  };
  const bool ok = Watch("trace", session, show, &lost);
  if (!writer) {
    output_.EndList();
    return ok;
  }
  if (writer->Finish(lost, int64_t{1'000'000} * std::time(nullptr))) return ok;
  return Fail(absl::StrCat("--write: ", c.write, " cannot be written"));
}

}  // namespace sluice
