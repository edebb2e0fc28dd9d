// The commands in words: filters and ports.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/import_answer.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

namespace {

// Between two looks at a restore.
constexpr std::chrono::milliseconds kLookInterval{20};

}  // namespace

bool Tool::RunCommand() {
  const Command& c = *arguments_.command;
  switch (c.verb) {
    case Verb::kFilterChange:
      return AlterFilter();
    case Verb::kFilterCreate:
      return CreateFilter();
    case Verb::kFilterDestroy:
      return ChangeFilter("filter.destroy", "destroyed");
    case Verb::kFilterList:
      return ListWithTitle("filter.list", "filters", FormatFilterTitle(),
                           FormatFilterLine);
    case Verb::kFilterShow:
      return ShowFilter();
    case Verb::kPortAdd:
      return AddPort();
    case Verb::kPortBind:
      return BindPort();
    case Verb::kPortBindings:
      return ShowPortBindings();
    case Verb::kPortUnbind:
      return ChangePort("port.unbind", "not bound any more");
    case Verb::kPortDisable:
      return ChangePort("port.disable", "disabled");
    case Verb::kPortEnable:
      return ChangePort("port.enable", "enabled");
    case Verb::kPortExclude:
      return ChangePort("port.exclude", "excluded");
    case Verb::kPortInclude:
      return ChangePort("port.include", "included");
    case Verb::kPortList:
      return ListWithTitle("port.list", "ports", FormatPortTitle(),
                           FormatPortLine);
    case Verb::kPortRemove:
      return ChangePort("port.remove", "removed");
    case Verb::kPortStats:
      return ShowPortStats();
    case Verb::kRouterList:
      return ListWithTitle("router.list", "routers", FormatRouterTitle(),
                           FormatRouterLine);
    case Verb::kRouterNeighbors:
      return ShowNeighbors();
    case Verb::kRouterRoutes:
      return ShowRoutes();
    case Verb::kRouterShow:
      return ShowRouter();
    case Verb::kSegmentAdd:
      return AddSegment();
    case Verb::kSegmentAttach:
      return ChangeSegment("segment.attach", "attached");
    case Verb::kSegmentDetach:
      return ChangeSegment("segment.detach", "detached");
    case Verb::kSegmentFix:
      return ChangeSegment("segment.fix", "fixed");
    case Verb::kSegmentFlush:
      return ChangeSegment("segment.flush", "addresses forgotten");
    case Verb::kSegmentFree:
      return ChangeSegment("segment.free", "freed");
    case Verb::kSegmentList:
      return ListWithTitle("segment.list", "segments", FormatSegmentTitle(),
                           FormatSegmentLine);
    case Verb::kSegmentMacs:
      return ShowMacs();
    case Verb::kSegmentRemove:
      return ChangeSegment("segment.remove", "removed");
    case Verb::kMetrics:
      return ShowMetrics();
    case Verb::kLog:
      return c.level.empty() ? FollowLog() : SetLogLevel();
    case Verb::kCapture:
      return CaptureFrames();
    case Verb::kTop:
      return ShowTop();
    case Verb::kTest:
      return TestPolicy();
    case Verb::kTrace:
      return TracePackets();
    case Verb::kExplain:
      return ExplainPacket();
  }
  return false;
}

bool Tool::ListWithTitle(const char* method, const char* name,
                         const std::string& title,
                         std::string (*format)(const json&)) {
  bool titled = false;
  return List(method, json::object(), name,
              [&](const json& element, const json&) {
                if (!std::exchange(titled, true)) output_.Print(title);
                output_.Print(format(element));
              });
}

bool Tool::CreateFilter() {
  const Command& c = *arguments_.command;
  json params = {{"filter", c.name}, {"ports", c.ports}};
  const auto unmade = [this] { return Fail("the filter was not made"); };
  if (c.ruleset) {
    const auto ruleset = RulesetParams(*c.ruleset);
    if (ruleset == nullptr) return unmade();
    params["ruleset"] = std::move(*ruleset);
  }
  if (c.emergency) {
    const auto ruleset = RulesetParams(*c.emergency);
    if (ruleset == nullptr) return unmade();
    params["emergency"] = std::move(*ruleset);
  }
  if (c.fail_open) params["fail"] = "open";
  if (c.expect_restore) params["expect_restore"] = true;
  UniqueFd snapshot;
  if (!c.source.empty() && !AddSource(&params, &snapshot)) return unmade();
  if (!c.from_filter.empty()) params["from_filter"] = c.from_filter;
  if (c.give_up) params["restore_give_up"] = *c.give_up;
  if (c.hold_bypass) params["bypass_hold"] = *c.hold_bypass;
  const auto result =
      Ask("filter.create", std::move(params), snapshot.get());
  if (result == nullptr) return false;
  output_.Put("filter.create", *result);
  ShowWarnings(*result);
  output_.Say(absl::StrCat("filter ", c.name, " created, ",
                           Number(*result, "rules"), " rules"));
  return !snapshot.valid() || c.no_wait || WaitForRestore();
}

bool Tool::AddSource(json* params, UniqueFd* snapshot) {
  const std::string& source = arguments_.command->source;
  (*params)["source"] = source;
  std::error_code error;
  if (std::filesystem::is_directory(source, error)) return true;
  absl::StatusOr<UniqueFd> opened = OpenSnapshot(source, STDIN_FILENO);
  if (!opened.ok()) {
    return Fail(absl::StrCat(
        source, ": ", opened.status().message(),
        absl::IsNotFound(opened.status())
            ? absl::StrCat("; for a snapshot that comes later, give the "
                           "folder in which ",
                           arguments_.command->name, ".snap will be")
            : ""));
  }
  *snapshot = *std::move(opened);
  (*params)["snapshot"] = true;
  return true;
}

bool Tool::WaitForRestore() {
  const Command& c = *arguments_.command;
  for (;;) {
    const auto answer = Ask("restore.status", {{"filter", c.name}});
    if (answer == nullptr) return false;
    const json& list = Member(*answer, "restores");
    const json restore = list.empty() ? json::object() : list.front();
    if (!Truth(restore, "enabled")) {
      output_.Put("restore", restore);
      output_.Say("its ports are disabled: it is restored when one is enabled");
      return true;
    }
    const std::string state = Text(restore, "state");
    if (state == "EXPECT" || state == "QUEUED" || state == "VALIDATING" ||
        state == "COMMITTING") {
      std::this_thread::sleep_for(kLookInterval);
      continue;
    }
    const json& last = Member(restore, "last");
    output_.Put("restore", restore);
    const std::string said = ExplainImport(last, c.name, c.source);
    if (ExitStatusOfImport(Text(last, "code")) != 0) return Fail(said);
    output_.Say(said);
    return true;
  }
}

bool Tool::ChangeFilter(const char* method, const char* done) {
  const std::string& name = arguments_.command->name;
  const auto result = Ask(method, {{"filter", name}});
  if (result == nullptr) return false;
  output_.Put(method, *result);
  output_.Say(absl::StrCat("filter ", name, " ", done));
  return true;
}

bool Tool::AlterFilter() {
  const Command& c = *arguments_.command;
  json params = {{"filter", c.name}};
  if (!c.ports.empty()) params["ports"] = c.ports;
  if (c.fail_given) params["fail"] = c.fail_open ? "open" : "closed";
  if (c.hold_bypass) params["bypass_hold"] = *c.hold_bypass;
  const auto result = Ask("filter.change", std::move(params));
  if (result == nullptr) return false;
  output_.Put("filter.change", *result);
  output_.Say(absl::StrCat("filter ", c.name, " changed"));
  return true;
}

bool Tool::SetLogLevel() {
  const Command& c = *arguments_.command;
  json params = {{"level", c.level}};
  if (!c.module.empty()) params["module"] = c.module;
  const auto result = Ask("log.level", std::move(params));
  if (result == nullptr) return false;
  output_.Put("log.level", *result);
  output_.Say(absl::StrCat("log level set to ", c.level,
                           c.module.empty() ? "" : " for ", c.module));
  return true;
}

bool Tool::ShowFilter() {
  const std::string& name = arguments_.command->name;
  json params = json::object();
  if (!name.empty()) params["filter"] = name;
  const auto result = Ask("filter.show", std::move(params));
  if (result == nullptr) return false;
  output_.Put("filter", *result);
  output_.Print(FormatFilter(*result));
  return true;
}

bool Tool::AddPort() {
  const Command& c = *arguments_.command;
  json params = {{"port", c.name}};
  if (!c.device.empty()) params["device"] = c.device;
  if (!c.vhost.empty()) params["vhost"] = c.vhost;
  if (c.vhost_client) params["vhost_client"] = true;
  if (!c.parent.empty()) params["parent"] = c.parent;
  if (c.vlan) params["vlan"] = *c.vlan;
  if (c.inner_vlan) params["inner_vlan"] = *c.inner_vlan;
  if (!c.segment.empty()) params["segment"] = c.segment;
  if (!c.router.empty()) params["router"] = c.router;
  if (!c.tap.empty()) params["tap"] = c.tap;
  if (!c.wire.empty()) params["wire"] = c.wire;
  if (!c.groups.empty()) params["groups"] = c.groups;
  if (!c.addresses.empty()) params["addresses"] = c.addresses;
  if (c.queues) params["queues"] = *c.queues;
  if (c.mtu) params["mtu"] = *c.mtu;
  if (c.block_non_ip) params["non_ip"] = "block";
  if (c.disabled) params["disabled"] = true;
  if (!c.bindings.empty()) params["bindings"] = c.bindings;
  if (c.learn) params["learn"] = *c.learn;
  const auto result = Ask("port.add", std::move(params));
  if (result == nullptr) return false;
  output_.Put("port.add", *result);
  if (!c.parent.empty()) {
    output_.Say(absl::StrCat("port ", c.name, " added, VLAN ",
                             VlanText(*result), " of ", c.parent));
    return true;
  }
  output_.Say(absl::StrCat("port ", c.name, " added, ", Text(*result, "device"),
                           " (", Text(*result, "driver"), ")"));
  return true;
}

bool Tool::ChangePort(const char* method, const char* done) {
  const std::string& name = arguments_.command->name;
  const auto result = Ask(method, {{"port", name}});
  if (result == nullptr) return false;
  output_.Put(method, *result);
  output_.Say(absl::StrCat("port ", name, " ", done));
  return true;
}

bool Tool::BindPort() {
  const Command& c = *arguments_.command;
  json params = {{"port", c.name}};
  if (!c.bindings.empty()) params["bindings"] = c.bindings;
  if (c.learn) params["learn"] = *c.learn;
  const auto result = Ask("port.bind", std::move(params));
  if (result == nullptr) return false;
  output_.Put("port.bind", *result);
  output_.Say(absl::StrCat("port ", c.name, " bound"));
  return true;
}

bool Tool::ShowPortBindings() {
  const std::string& name = arguments_.command->name;
  const auto result = Ask("port.bindings", {{"port", name}});
  if (result == nullptr) return false;
  output_.Put("port.bindings", *result);
  output_.Print(FormatPortBindings(name, *result));
  return true;
}

bool Tool::ShowPortStats() {
  const std::string& name = arguments_.command->name;
  const auto result = Ask("port.stats", {{"port", name}});
  if (result == nullptr) return false;
  output_.Put("port.stats", *result);
  output_.Print(absl::StrCat("port ", name, "\n"));
  for (const json& counter : Member(*result, "counters")) {
    output_.Print(FormatPortCounter(counter));
  }
  return true;
}

}  // namespace sluice
