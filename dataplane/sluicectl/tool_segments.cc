// The commands in words: segments.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

bool Tool::AddSegment() {
  const Command& c = *arguments_.command;
  json params = {{"segment", c.name}};
  if (!c.ports.empty()) params["ports"] = c.ports;
  if (c.block_non_ip) params["non_ip"] = "block";
  if (c.flood) {
    json flood = {{"unknown", false}, {"multicast", false},
                  {"broadcast", false}};
    for (const std::string& what : *c.flood) flood[what] = true;
    params["flood"] = std::move(flood);
  }
  if (c.macs) params["macs"] = *c.macs;
  if (c.macs_per_port) params["macs_per_port"] = *c.macs_per_port;
  if (c.age) params["age"] = *c.age;
  const auto result = Ask("segment.add", std::move(params));
  if (result == nullptr) return false;
  output_.Put("segment.add", *result);
  output_.Say(absl::StrCat("segment ", c.name, " added, ", c.ports.size(),
                           " ports"));
  return true;
}

bool Tool::ChangeSegment(const char* method, const char* done) {
  const Command& c = *arguments_.command;
  json params = {{"segment", c.name}};
  if (!c.port.empty()) params["port"] = c.port;
  if (!c.mac.empty()) params["mac"] = c.mac;
  const auto result = Ask(method, std::move(params));
  if (result == nullptr) return false;
  output_.Put(method, *result);
  const std::string what = !c.mac.empty()    ? " " + c.mac
                           : !c.port.empty() ? " port " + c.port
                                             : "";
  output_.Say(absl::StrCat("segment ", c.name, ":", what, " ", done));
  return true;
}

bool Tool::ShowMacs() {
  return List("segment.macs", {{"segment", arguments_.command->name}}, "macs",
              [this, titled = false](const json& mac, const json&) mutable {
                if (!std::exchange(titled, true)) {
                  output_.Print(FormatMacTitle());
                }
                output_.Print(FormatMacLine(mac));
              });
}

}  // namespace sluice
