#include "dataplane/sluicectl/tool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "dataplane/sluicectl/wording.h"
#include "pftable/policy/diagnostic.h"

namespace sluice {

using nlohmann::json;

Tool::Tool(const Arguments& arguments, Caller* caller, std::istream& in,
           std::ostream& out, std::ostream& err)
    : arguments_(arguments),
      caller_(caller),
      in_(in),
      output_(out, err, arguments.json, arguments.quiet),
      detail_{.verbose = arguments.verbose,
              .debug = arguments.debug,
              .dialect = arguments.dialect.value_or(Dialect::kOpenBsd)} {}

// The order is pfctl's: disable, show, clear, kill, tables, load, enable.
int Tool::Run() {
  const Arguments& a = arguments_;
  bool ok = true;
  if (!a.set.empty()) {
    ok = RunSet();
    if (!output_.Finish()) ok = false;
    return ok ? status_ : 1;
  }
  if (a.command) ok = RunCommand();
  if (a.disable && !a.no_action) {
    ok = SimpleCall("filter.disable", "pf disabled") && ok;
  }
  if (a.show) {
    ok = (*a.show == Show::kAll ? ShowAll() : ShowOne(*a.show)) && ok;
  }
  if (a.zero && !a.no_action) {
    ok = SimpleCall("rules.zero", "pf: rule counters cleared") && ok;
  }
  if (a.flush && !a.no_action) {
    ok = (*a.flush == Flush::kAll ? FlushAll() : FlushOne(*a.flush)) && ok;
  }
  if (!a.kill_sources.empty() && !a.no_action) ok = KillSources() && ok;
  if (!a.kill.empty() && !a.no_action) ok = Kill() && ok;
  if (a.table_action) {
    ok = RunTable() && ok;
  } else if (a.file && !a.command) {  // a command only reads it
    ok = (a.no_action                  ? Check()
          : a.diff || a.show_blocked ? Compare()
                                     : Load()) &&
         ok;
  }
  if (a.rollback && !a.no_action) ok = Rollback() && ok;
  if (a.confirm_commit && !a.no_action) {
    ok = SimpleCall("ruleset.confirm", "the ruleset is confirmed") && ok;
  }
  if (a.enable && !a.no_action) {
    ok = SimpleCall("filter.enable", "pf enabled") && ok;
  }
  if (!a.debug_level.empty() && !a.no_action) ok = SetDebug() && ok;
  if (!output_.Finish()) ok = false;
  return ok ? status_ : 1;
}

std::unique_ptr<json> Tool::Ask(const std::string& method, json params,
                                int descriptor) {
  CallError error;
  if (!arguments_.filter.empty()) params["filter"] = arguments_.filter;
  std::unique_ptr<json> result =
      descriptor < 0
          ? caller_->Call(method, std::move(params), &error)
          : caller_->CallWithDescriptor(method, std::move(params), descriptor,
                                        &error);
  if (result != nullptr) return result;
  error_code_ = error.code;
  if (!output_.json()) error.message = InWordsOfTheTool(method, error.message);
  if (!error.diagnostics.empty()) {
    output_.Complain(FormatDiagnostics(error.diagnostics));
  }
  Fail(error.message);
  if (output_.json()) {
    json diagnostics = json::array();
    for (const Diagnostic& d : error.diagnostics) {
      diagnostics.push_back(ToJson(d));
    }
    output_.Put("error", {{"code", error.code},
                          {"message", error.message},
                          {"data", std::move(diagnostics)}});
  }
  return nullptr;
}

bool Tool::Fail(const std::string& message) {
  output_.Complain(absl::StrCat("sluicectl: ", message, "\n"));
  return false;
}

void Tool::Done(const std::string& what) {
  output_.Say(absl::StrCat(what, arguments_.no_action ? " (dummy)." : "."));
}

bool Tool::SimpleCall(const char* method, const char* done) {
  const auto result = Ask(method, json::object());
  if (result == nullptr) return false;
  output_.Put(method, *result);
  output_.Say(done);
  return true;
}

bool Tool::List(
    const std::string& method, json params, const std::string& name,
    const std::function<void(const json& element, const json& page)>& print,
    std::optional<uint64_t> most) {
  uint64_t left = most.value_or(UINT64_MAX);
  bool started = false;
  for (;;) {
    const auto page = Ask(method, params);
    if (page == nullptr) {
      if (started) output_.EndList();
      return false;
    }
    if (!started) output_.BeginList(name);
    started = true;
    for (const json& element : Member(*page, name.c_str())) {
      if (left-- == 0) {
        output_.EndList();
        return true;
      }
      output_.Element(element);
      if (!output_.json()) print(element, *page);
    }
    std::string next = Text(*page, "next");
    if (next.empty() || left == 0) {
      output_.EndList();
      return true;
    }
    params["cursor"] = std::move(next);
  }
}

// ---- Rulesets --------------------------------------------------------------

std::unique_ptr<json> Tool::RulesetParams(const std::string& path) {
  return RulesetParams(arguments_, path);
}

std::unique_ptr<json> Tool::RulesetParams(const Arguments& arguments,
                                          const std::string& path) {
  absl::StatusOr<HostFacts> facts = ReadFacts(arguments);
  if (!facts.ok()) {
    Fail(facts.status().ToString());
    return nullptr;
  }
  // This pass looks which files there are, and asks the resolver, which the
  // daemon never does. No name of a port is the name of a host.
  facts->KeepResolved();
  CallError unimportant;
  if (const auto ports =
          caller_->Call("port.list", json::object(), &unimportant)) {
    for (const json& port : Member(*ports, "ports")) {
      std::string name = Text(port, "name");
      if (facts->FindInterface(name) != nullptr) continue;
      InterfaceFacts interface;
      interface.name = std::move(name);
      facts->AddInterface(std::move(interface));
    }
  }
  absl::StatusOr<RulesetFile> ruleset =
      ReadRuleset(path, arguments, *facts, in_);
  if (!ruleset.ok()) {
    Fail(std::string(ruleset.status().message()));
    return nullptr;
  }
  if (ruleset->incomplete) {
    output_.Complain(FormatDiagnostics(ruleset->parsed.diagnostics));
    return nullptr;
  }
  json files = json::array();
  for (SourceFile& file : ruleset->files) {
    files.push_back({{"name", file.name}, {"text", std::move(file.text)}});
  }
  auto params = std::make_unique<json>(
      json{{"name", ruleset->name},
           {"text", std::move(ruleset->text)},
           {"files", std::move(files)}});
  if (!arguments.macros.empty()) {
    json& macros = (*params)["macros"] = json::object();
    for (const auto& [name, value] : arguments.macros) macros[name] = value;
  }
  SayResolved(*facts);
  for (const auto& [name, addresses] : facts->resolved()) {
    if (addresses.empty()) continue;
    json& list = (*params)["hosts"][name] = json::array();
    for (const Address& address : addresses) list.push_back(ToString(address));
  }
  if (arguments.dialect) {
    (*params)["dialect"] =
        *arguments.dialect == Dialect::kOpenBsd ? "openbsd" : "freebsd";
  }
  if (arguments.optimization) {
    (*params)["optimization"] = std::string(Name(*arguments.optimization));
  }
  if (arguments.merge_options) (*params)["merge_options"] = true;
  if (!arguments.anchor.empty()) (*params)["anchor"] = arguments.anchor;
  if (arguments.parts) {
    const PrintParts& parts = *arguments.parts;
    (*params)["parts"] = {{"options", parts.options},
                          {"tables", parts.tables},
                          {"queues", parts.queues},
                          {"ether", parts.ether},
                          {"translation", parts.translation},
                          {"filter", parts.filter}};
  }
  if (!arguments.without.empty()) (*params)["without"] = arguments.without;
  return params;
}

void Tool::SayResolved(const HostFacts& facts) {
  if (arguments_.verbose == 0) return;
  for (const auto& [name, addresses] : facts.resolved()) {
    if (addresses.empty()) continue;
    std::string line = name + ":";
    for (const Address& address : addresses) line += " " + ToString(address);
    output_.Complain(line + "\n");
  }
}

void Tool::ShowWarnings(const json& result) {
  std::vector<Diagnostic> warnings;
  for (const json& d : Member(result, "diagnostics")) {
    warnings.push_back({.severity = Severity::kWarning,
                        .file = Text(d, "file"),
                        .line = static_cast<uint32_t>(Number(d, "line")),
                        .column = static_cast<uint32_t>(Number(d, "column")),
                        .message = Text(d, "message"),
                        .source_line = Text(d, "source_line"),
                        .hint = Text(d, "hint")});
  }
  output_.Complain(FormatDiagnostics(warnings));
}

bool Tool::Load() {
  const auto unchanged = [this] {
    return Fail("nothing was loaded, the old rules stay in force");
  };
  const auto params = RulesetParams(*arguments_.file);
  if (params == nullptr) return unchanged();
  if (arguments_.confirm) (*params)["confirm_within"] = *arguments_.confirm;
  if (arguments_.verbose > 0) (*params)["lint"] = true;
  if (arguments_.only_if) (*params)["only_if"] = *arguments_.only_if;
  if (arguments_.kill_blocked) (*params)["blocked"] = "kill";
  if (arguments_.verbose > 0) {
    (*params)["print"] = arguments_.verbose;
    if (arguments_.flip_port_names) (*params)["flip_port_names"] = true;
  }
  const auto result = Ask("ruleset.load", std::move(*params));
  if (result == nullptr) {
    // The daemon's own words for a ruleset with errors say so already, and
    // without an answer nobody knows.
    const bool refused =
        error_code_ != 0 &&
        error_code_ != static_cast<int32_t>(RpcError::kRuleset);
    return refused ? unchanged() : false;
  }
  output_.Put("load", *result);
  ShowWarnings(*result);
  if (arguments_.confirm) {
    output_.Say(absl::StrCat("unless --confirm-commit follows within ",
                             *arguments_.confirm,
                             " seconds, the rules before come back"));
  }
  if (arguments_.kill_blocked) {
    output_.Say(absl::StrCat(Number(Member(*result, "blocked"), "killed"),
                             " states killed that these rules block"));
  }
  // What the daemon has made of it, and not what this machine would.
  output_.Print(Text(*result, "text"));
  return true;
}

bool Tool::Rollback() {
  const auto result =
      Ask("ruleset.rollback", {{"back", *arguments_.rollback}});
  if (result == nullptr) return false;
  output_.Put("rollback", *result);
  output_.Say(absl::StrCat("the ruleset of ", *arguments_.rollback,
                           *arguments_.rollback == 1 ? " commit" : " commits",
                           " ago is in force again, ",
                           Number(*result, "rules"), " rules, generation ",
                           Number(*result, "generation")));
  return true;
}

bool Tool::SetDebug() {
  const auto result = Ask("debug.set", {{"level", arguments_.debug_level}});
  if (result == nullptr) return false;
  output_.Put("debug.set", *result);
  output_.Say(absl::StrCat("debug level set to '", arguments_.debug_level,
                           "'"));
  return true;
}

// ---- Removing --------------------------------------------------------------

bool Tool::SayRemoving() {
  if (!arguments_.below) return true;
  const auto result = Anchors(arguments_.anchor, /*below=*/true);
  if (result == nullptr) return false;
  std::string text =
      absl::StrCat("Removing:\n  ",
                   arguments_.anchor.empty() ? "/" : arguments_.anchor, "\n");
  for (const json& path : Member(*result, "anchors")) {
    if (path.is_string()) {
      absl::StrAppend(&text, "  ", path.get<std::string>(), "\n");
    }
  }
  output_.Print(text);
  return true;
}

bool Tool::FlushRules(bool reset_options, std::string_view only) {
  json params = json::object();
  if (!only.empty()) {
    for (const std::string_view kind : {"ether", "translation", "filter"}) {
      if (kind != only) params["keep_" + std::string(kind)] = true;
    }
  }
  if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
  if (arguments_.below) params["below"] = true;
  if (reset_options) params["options"] = true;
  const auto result = Ask("ruleset.flush", std::move(params));
  if (result == nullptr) return false;
  output_.Put("ruleset.flush", *result);
  if (!arguments_.below) {
    output_.Say(only == "ether"         ? "Ethernet rules cleared"
                : only == "translation" ? "nat cleared"
                                        : "rules cleared");
  }
  return true;
}

bool Tool::FlushTables() {
  json params = json::object();
  if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
  if (arguments_.below) params["below"] = true;
  const auto result = Ask("tables.flush", std::move(params));
  if (result == nullptr) return false;
  output_.Put("tables.flush", *result);
  if (!arguments_.below) {
    Done(absl::StrCat(Number(*result, "tables_deleted"), " tables deleted"));
  }
  return true;
}

bool Tool::FlushOne(Flush flush) {
  switch (flush) {
    case Flush::kEther:
      return SayRemoving() && FlushRules(/*reset_options=*/false, "ether");
    case Flush::kNat:
      return SayRemoving() &&
             FlushRules(/*reset_options=*/false, "translation");
    case Flush::kRules:
      return SayRemoving() && FlushRules(/*reset_options=*/false, "filter");
    case Flush::kInfo:
      return SimpleCall("info.clear", "pf: statistics cleared");
    case Flush::kStates: {
      json params = json::object();
      if (!arguments_.interface.empty()) {
        params["interface"] = arguments_.interface;
      }
      const auto result = Ask("states.flush", std::move(params));
      if (result == nullptr) return false;
      output_.Put("states.flush", *result);
      output_.Say(absl::StrCat(Number(*result, "killed"), " states cleared"));
      return true;
    }
    case Flush::kSources: {
      const auto result = Ask("sources.flush", json::object());
      if (result == nullptr) return false;
      output_.Put("sources.flush", *result);
      output_.Say("source tracking entries cleared");
      return true;
    }
    case Flush::kReset: {
      const auto result = Ask("ruleset.flush", {{"options_only", true}});
      if (result == nullptr) return false;
      output_.Put("ruleset.flush", *result);
      output_.Say("pf: interface flags reset");
      return true;
    }
    default:
      return SayRemoving() && FlushTables();
  }
}

// Of an anchor, its rules and tables; of the main ruleset all that there is.
bool Tool::FlushAll() {
  const bool main = arguments_.anchor.empty();
  bool ok = SayRemoving();
  // In the order of each pfctl.
  const bool tables_first = detail_.dialect == Dialect::kOpenBsd;
  if (tables_first) ok = ok && FlushTables();
  ok = ok && FlushRules(/*reset_options=*/main);
  if (!tables_first) ok = ok && FlushTables();
  if (!main) return ok;
  for (Flush flush : {Flush::kStates, Flush::kSources, Flush::kInfo}) {
    ok = FlushOne(flush) && ok;
  }
  output_.Say("pf: interface flags reset");
  return ok;
}

}  // namespace sluice
