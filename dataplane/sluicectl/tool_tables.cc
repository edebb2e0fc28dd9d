// What -T and -k do.
#include <netdb.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/control/methods/params.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "dataplane/sluicectl/tool.h"
#include "packet/address.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

using nlohmann::json;

// The network that the text is, or the addresses of the host that it names.
std::vector<Prefix> ResolveHost(const std::string& text, bool no_dns) {
  if (const std::optional<Prefix> prefix = ParsePrefix(text)) {
    return {prefix->Masked()};
  }
  std::vector<Prefix> prefixes;
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  if (no_dns) hints.ai_flags = AI_NUMERICHOST;
  addrinfo* list = nullptr;
  if (::getaddrinfo(text.c_str(), nullptr, &hints, &list) != 0) return {};
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    char name[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, name, sizeof name,
                      nullptr, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    if (const std::optional<Prefix> prefix = ParsePrefix(name)) {
      prefixes.push_back(*prefix);
    }
  }
  ::freeaddrinfo(list);
  return prefixes;
}

// "10.0.0.1:80", "2001:db8::1[80]", or an address alone.
bool SetEnd(const std::string& text, const char* name, json* params) {
  std::string address = text, port;
  if (text.ends_with(']')) {
    const size_t open = text.rfind('[');
    if (open == std::string::npos) return false;
    address = text.substr(0, open);
    port = text.substr(open + 1, text.size() - open - 2);
  } else if (const size_t colon = text.find(':');
             colon != std::string::npos && colon == text.rfind(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const std::optional<Prefix> prefix = ParsePrefix(address);
  if (!prefix) return false;
  (*params)[name] = ToString(*prefix);
  if (port.empty()) return address == text;
  uint16_t number = 0;
  const char* const end = port.data() + port.size();
  const auto [at, error] = std::from_chars(port.data(), end, number);
  if (error != std::errc() || at != end) return false;
  (*params)[std::string(name) + "_port"] = number;
  return true;
}

}  // namespace

// Of very many a text, which costs both sides a fraction of an array's memory.
json EntryTexts(const std::vector<TableEntry>& entries) {
  constexpr size_t kManyEntries = 65536;
  if (entries.size() > kManyEntries) {
    std::string lines;
    for (const TableEntry& entry : entries) {
      absl::StrAppend(&lines, ToString(entry), "\n");
    }
    return lines;
  }
  json texts = json::array();
  for (const TableEntry& entry : entries) texts.push_back(ToString(entry));
  return texts;
}

bool Tool::Kill() {
  const std::vector<std::string>& kill = arguments_.kill;
  json params;
  if (kill[0] == "label") {
    params["label"] = kill[1];
  } else if (kill[0] == "id") {
    const size_t slash = kill[1].find('/');
    params["id"] = kill[1].substr(0, slash);
    if (slash != std::string::npos) {
      params["creator"] = kill[1].substr(slash + 1);
    }
  } else if (kill[0] == "tag" || kill[0] == "helper") {
    params[kill[0]] = kill[1];
  } else if (kill[0] == "age") {
    uint32_t seconds = 0;
    if (!absl::SimpleAtoi(kill[1], &seconds)) {
      return Fail(absl::StrCat("-k age ", kill[1],
                               ": write seconds; older states are killed"));
    }
    params["min_age"] = seconds;
  } else if (kill[0] == "vlan") {
    if (!ParseVlan(kill[1])) {
      return Fail(absl::StrCat("-k vlan ", kill[1],
                               ": write a number, 42, or two as in 7.42, or 0 "
                               "for states in no VLAN"));
    }
    params["vlan"] = kill[1];
  } else if (kill[0] == "key") {
    return KillKey();
  } else if (kill[0] == "gateway") {
    return KillGateway();
  } else if (kill[0] == "nat") {
    return KillHosts({kill.begin() + 1, kill.end()}, /*translated=*/true);
  } else {
    return KillHosts(kill, /*translated=*/false);
  }
  uint64_t killed = 0;
  if (!KillMatching(std::move(params), &killed)) return false;
  output_.Put("kill", {{"killed", killed}});
  output_.Say(absl::StrCat("killed ", killed, " states"));
  return true;
}

// Of states that route-to and the like send to it.
bool Tool::KillGateway() {
  const std::vector<Prefix> gateways =
      ResolveHost(arguments_.kill[1], arguments_.no_dns);
  if (gateways.empty()) {
    return Fail(
        absl::StrCat(arguments_.kill[1], ": no address is known for it"));
  }
  uint64_t killed = 0;
  for (const Prefix& gateway : gateways) {
    if (!KillMatching({{"gateway", ToString(gateway)}}, &killed)) return false;
  }
  output_.Put("kill", {{"killed", killed}});
  output_.Say(absl::StrCat("killed ", killed, " states"));
  return true;
}

bool Tool::KillMatching(json params, uint64_t* killed) {
  if (!arguments_.interface.empty()) {
    params["interface"] = arguments_.interface;
  }
  std::vector<json> matches;  // the same ends, the other way
  if (arguments_.kill_match) {
    json query = params;
    for (;;) {
      const auto page = Ask("states.show", query);
      if (page == nullptr) return false;
      for (const json& state : Member(*page, "states")) {
        const json& ends = Member(state, "before");
        json other = {
            {"protocol", Number(state, "protocol")},
            {"source", Text(ends, "source")},
            {"destination", Text(ends, "destination")},
            {"direction", Text(state, "direction") == "in" ? "out" : "in"}};
        for (const char* port : {"source_port", "destination_port"}) {
          if (Has(ends, port)) other[port] = Number(ends, port);
        }
        other["vlan"] = Has(state, "vlan") ? Text(state, "vlan") : "0";
        matches.push_back(std::move(other));
      }
      std::string next = Text(*page, "next");
      if (next.empty()) break;
      query["cursor"] = std::move(next);
    }
  }
  const auto result = Ask("states.kill", std::move(params));
  if (result == nullptr) return false;
  *killed += Number(*result, "killed");
  for (json& match : matches) {
    const auto more = Ask("states.kill", std::move(match));
    if (more == nullptr) return false;
    *killed += Number(*more, "killed");
  }
  return true;
}

// "tcp 10.0.0.1:80 <- 10.0.0.101:1234", as -s states prints it. Behind an end
// that is translated stands what it was, "192.0.2.1:50001 (10.0.0.1:1234)",
// which is the one that says which state it is. "vlan 42" stands behind it all
// if the state is in one.
bool Tool::KillKey() {
  const std::string& text = arguments_.kill[1];
  const auto wrong = [&](const char* what) {
    return Fail(absl::StrCat(
        "-k key ", text, ": ", what,
        "; write as -s states does, 'tcp 10.0.0.1:80 <- 10.0.0.2:1234'"));
  };
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) {
    if (word.size() > 2 && word.front() == '(' && word.back() == ')' &&
        !words.empty()) {
      words.back() = word.substr(1, word.size() - 2);
    } else {
      words.push_back(std::move(word));
    }
  }
  std::string vlan = "0";
  if (words.size() == 6 && words[4] == "vlan") {
    vlan = words[5];
    words.resize(4);
  }
  if (words.size() != 4) {
    return wrong("not a protocol, an end, an arrow and an end");
  }
  if (!ParseVlan(vlan)) return wrong("a VLAN is a number, 42, or two, 7.42");
  const std::string& protocol = words[0];
  const std::string& left = words[1];
  const std::string& arrow = words[2];
  const std::string& right = words[3];
  if (arrow != "->" && arrow != "<-") return wrong("the arrow is -> or <-");
  json params;
  if (const protoent* entry = ::getprotobyname(protocol.c_str())) {
    params["protocol"] = entry->p_proto;
  } else if (uint8_t number = 0;
             std::from_chars(protocol.data(),
                             protocol.data() + protocol.size(), number)
                 .ptr == protocol.data() + protocol.size()) {
    params["protocol"] = number;
  } else {
    return wrong("the protocol is not known");
  }
  const bool out = arrow == "->";
  params["direction"] = out ? "out" : "in";
  params["vlan"] = vlan;
  if (!SetEnd(out ? left : right, "source", &params) ||
      !SetEnd(out ? right : left, "destination", &params)) {
    return wrong("an end is an address with a port, as 10.0.0.1:80 or "
                 "2001:db8::1[80]");
  }
  uint64_t killed = 0;
  if (!KillMatching(std::move(params), &killed)) return false;
  output_.Put("kill", {{"killed", killed}});
  output_.Say(absl::StrCat("killed ", killed, " states"));
  return true;
}

bool Tool::KillSources() {
  std::vector<std::vector<Prefix>> ends;
  for (const std::string& host : arguments_.kill_sources) {
    ends.push_back(ResolveHost(host, arguments_.no_dns));
    if (ends.back().empty()) {
      return Fail(absl::StrCat(host, ": no address is known for it"));
    }
  }
  uint64_t killed = 0;
  size_t destinations = 0;
  const auto ask = [&](json params) {
    const auto result = Ask("sources.kill", std::move(params));
    if (result != nullptr) killed += Number(*result, "killed");
    return result != nullptr;
  };
  for (const Prefix& source : ends[0]) {
    if (ends.size() == 1) {
      if (!ask({{"source", ToString(source)}})) return false;
      continue;
    }
    destinations = 0;
    for (const Prefix& target : ends[1]) {
      if (target.address.family != source.address.family) continue;
      ++destinations;
      if (!ask({{"source", ToString(source)}, {"target", ToString(target)}})) {
        return false;
      }
    }
  }
  output_.Put("kill_sources", {{"killed", killed}});
  output_.Say(absl::StrCat("killed ", killed, " src nodes from ",
                           ends[0].size(), " sources and ", destinations,
                           " destinations"));
  return true;
}

bool Tool::KillHosts(const std::vector<std::string>& hosts, bool translated) {
  std::vector<std::vector<Prefix>> ends;
  for (const std::string& host : hosts) {
    ends.push_back(ResolveHost(host, arguments_.no_dns));
    if (ends.back().empty()) {
      return Fail(absl::StrCat(host, ": no address is known for it"));
    }
  }
  uint64_t killed = 0;
  size_t destinations = 0;
  for (const Prefix& source : ends[0]) {
    json params = {{"source", ToString(source)}};
    if (translated) params["translated"] = true;
    if (ends.size() == 1) {
      if (!KillMatching(std::move(params), &killed)) return false;
      continue;
    }
    destinations = 0;
    for (const Prefix& destination : ends[1]) {
      if (destination.address.family != source.address.family) continue;
      ++destinations;
      params["destination"] = ToString(destination);
      if (!KillMatching(params, &killed)) return false;
    }
  }
  output_.Put("kill", {{"killed", killed}});
  output_.Say(absl::StrCat("killed ", killed, " states from ", ends[0].size(),
                           " sources and ", destinations, " destinations"));
  return true;
}

bool Tool::RunTable() {
  switch (*arguments_.table_action) {
    case TableAction::kShow:
      return ShowTable();
    case TableAction::kTest:
      return TestTable();
    default:
      return EditTable();
  }
}

bool Tool::ShowTable() {
  json params = {{"table", arguments_.table}};
  if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
  return List("table.show", std::move(params), "addresses",
              [this](const json& address, const json&) {
                output_.Print(FormatTableAddress(address, detail_));
              });
}

bool Tool::TestTable() {
  absl::StatusOr<std::vector<TableEntry>> entries =
      ReadEntries(arguments_, in_);
  if (!entries.ok()) return Fail(std::string(entries.status().message()));
  json addresses = json::array();
  size_t matched = 0;
  output_.BeginList("results");
  // By no more than the daemon tests at a time.
  constexpr size_t kAtATime = 1024;
  for (size_t i = 0; i < entries->size(); ++i) {
    const TableEntry& entry = (*entries)[i];
    if (entry.negated || !entry.prefix.IsHost()) {
      output_.EndList();
      return Fail(absl::StrCat(ToString(entry),
                               ": only addresses of hosts can be tested"));
    }
    addresses.push_back(ToString(entry.prefix));
    if (addresses.size() < kAtATime && i + 1 < entries->size()) continue;
    json params = {{"table", arguments_.table},
                   {"addresses", std::move(addresses)}};
    addresses = json::array();
    if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
    const auto page = Ask("table.test", std::move(params));
    if (page == nullptr) {
      output_.EndList();
      return false;
    }
    for (const json& result : Member(*page, "results")) {
      if (Truth(result, "match")) ++matched;
      output_.Element(result);
      output_.Print(FormatTableTest(result, detail_));
    }
  }
  output_.EndList();
  Done(absl::StrCat(matched, "/", entries->size(), " addresses match"));
  if (matched < entries->size()) status_ = 2;
  return true;
}

bool Tool::EditTable() {
  const TableAction action = *arguments_.table_action;
  json params = {{"table", arguments_.table}};
  if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
  if (arguments_.no_action) params["dry_run"] = true;
  size_t total = 0;
  const bool takes_entries = action == TableAction::kAdd ||
                             action == TableAction::kDelete ||
                             action == TableAction::kReplace ||
                             (action == TableAction::kZero &&
                              (!arguments_.operands.empty() ||
                               arguments_.file.has_value()));
  if (takes_entries) {
    absl::StatusOr<std::vector<TableEntry>> entries =
        ReadEntries(arguments_, in_);
    if (!entries.ok()) return Fail(std::string(entries.status().message()));
    total = entries->size();
    params["addresses"] = EntryTexts(*entries);
    if (arguments_.verbose > 0) params["feedback"] = true;
  } else if (action == TableAction::kExpire) {
    const std::vector<std::string>& words = arguments_.operands;
    uint32_t age = 0;
    const char* const end =
        words.empty() ? nullptr : words[0].data() + words[0].size();
    if (words.size() != 1 || arguments_.file ||
        std::from_chars(words[0].data(), end, age).ptr != end) {
      return Fail("-T expire wants a number of seconds");
    }
    params["age"] = age;
    if (arguments_.verbose > 0) params["feedback"] = true;
  } else if (!arguments_.operands.empty() || arguments_.file) {
    return Fail("this table command takes no addresses");
  } else if (action == TableAction::kReset && arguments_.verbose > 0) {
    params["feedback"] = true;
  }
  static const auto* const methods = new std::map<TableAction, const char*>{
      {TableAction::kAdd, "table.add"},
      {TableAction::kDelete, "table.delete"},
      {TableAction::kReplace, "table.replace"},
      {TableAction::kFlush, "table.flush"},
      {TableAction::kKill, "table.kill"},
      {TableAction::kZero, "table.zero"},
      {TableAction::kExpire, "table.expire"},
      {TableAction::kReset, "table.reset"},
  };
  const auto result = Ask(methods->at(action), std::move(params));
  if (result == nullptr) return false;
  output_.Put("table", *result);
  const uint64_t added = Number(*result, "added");
  const uint64_t deleted = Number(*result, "deleted");
  const uint64_t changed = Number(*result, "changed");
  if (Truth(*result, "table_created")) Done("1 table created");
  switch (action) {
    case TableAction::kAdd:
      Done(absl::StrCat(added, "/", total, " addresses added"));
      break;
    case TableAction::kDelete:
      Done(absl::StrCat(deleted, "/", total, " addresses deleted"));
      break;
    case TableAction::kReplace:
      if (added > 0) Done(absl::StrCat(added, " addresses added"));
      if (deleted > 0) Done(absl::StrCat(deleted, " addresses deleted"));
      if (changed > 0) Done(absl::StrCat(changed, " addresses changed"));
      if (added + deleted + changed == 0) Done("no changes");
      break;
    case TableAction::kFlush:
      Done(absl::StrCat(deleted, " addresses deleted"));
      break;
    case TableAction::kKill:
      Done(absl::StrCat(Number(*result, "tables_deleted"), " table deleted"));
      break;
    case TableAction::kExpire:
      Done(absl::StrCat(deleted, "/", deleted, " addresses expired"));
      break;
    case TableAction::kReset:
      Done(absl::StrCat(Number(*result, "addresses_zeroed"), "/",
                        Number(*result, "addresses"), " stats cleared"));
      break;
    default:
      if (takes_entries) {
        Done(absl::StrCat(Number(*result, "addresses_zeroed"), "/", total,
                          " addresses cleared"));
        break;
      }
      Done(absl::StrCat(Number(*result, "tables_zeroed"),
                        " table/stats cleared"));
      break;
  }
  for (const json& change : Member(*result, "changes")) {
    if (arguments_.verbose < 2 && Text(change, "change") == "none") continue;
    output_.Print(FormatTableChange(change));
  }
  return true;
}

}  // namespace sluice
