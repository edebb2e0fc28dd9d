#include "dataplane/sluicectl/complete.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "dataplane/metrics/json_read.h"
#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/commands.h"
#include "dataplane/sluicectl/nic.h"
#include "dataplane/sluicectl/transfer.h"
#include "nlohmann/json.hpp"
#include "packet/drop_reason.h"

namespace sluice {
namespace {

using nlohmann::json;

// ---- The usage -------------------------------------------------------------

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

std::vector<std::string> WordsOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

// Without the brackets around it, and what it may be repeated by.
std::string Bare(std::string word) {
  while (!word.empty() && (word.front() == '[' || word.front() == '(')) {
    word.erase(0, 1);
  }
  return word.substr(0, word.find_first_of("[],)"));
}

UsageOption& OptionNamed(const std::string& name, UsageCommand* command) {
  for (UsageOption& option : command->options) {
    if (option.name == name) return option;
  }
  return command->options.emplace_back(UsageOption{.name = name, .values = {}});
}

void ReadOptions(const std::vector<std::string>& words, UsageCommand* command) {
  for (size_t i = 0; i < words.size(); ++i) {
    std::string name = Bare(words[i]);
    if (!name.starts_with("--") || name.size() < 3 ||
        !std::ranges::all_of(name, [](char c) { return IsLower(c) || c == '-'; })) {
      continue;
    }
    UsageOption& option = OptionNamed(name, command);
    const bool closed = words[i].ends_with(']');
    if (closed || i + 1 == words.size()) continue;
    const std::string& next = words[i + 1];
    // All of it in brackets of its own: it may be left out.
    const size_t end = next.find(']');
    const bool optional = next.front() == '[' && end != std::string::npos &&
                          next.find_first_not_of(']', end) == std::string::npos;
    if (next.front() == '-' || next.front() == '|' || optional ||
        next.starts_with("[-")) {
      continue;
    }
    const std::string value = Bare(next);
    // "closed|open", "min]" and the like are words of one place.
    std::istringstream parts(value);
    for (std::string part; std::getline(parts, part, '|');) {
      if (std::ranges::find(option.values, part) == option.values.end()) {
        option.values.push_back(part);
      }
    }
    if (option.values.empty()) option.values.push_back(value);
  }
}

bool IsVerb(const std::string& word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return IsLower(c) || c == '|' || c == '-';
  }) && IsLower(word.front());
}

// "filter destroy name | list | show [name]": a command for each part.
void ReadCommandUsage(const std::vector<std::string>& words,
                      std::vector<UsageCommand>* commands) {
  const std::string& noun = words.front();
  if (words.size() == 1 || !IsVerb(words[1]) || HasNoVerb(noun)) {
    UsageCommand command{.noun = noun, .verb = {}, .options = {}};
    ReadOptions(words, &command);
    commands->push_back(std::move(command));
    return;
  }
  std::vector<std::vector<std::string>> parts(1);
  int depth = 0;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "|" && depth == 0) {
      parts.emplace_back();
      continue;
    }
    depth += static_cast<int>(std::ranges::count(words[i], '[')) -
             static_cast<int>(std::ranges::count(words[i], ']'));
    parts.back().push_back(words[i]);
  }
  for (const std::vector<std::string>& part : parts) {
    if (part.empty()) continue;
    std::istringstream verbs(part.front());
    for (std::string verb; std::getline(verbs, verb, '|');) {
      UsageCommand command{.noun = noun, .verb = verb, .options = {}};
      ReadOptions(part, &command);
      commands->push_back(std::move(command));
    }
  }
}

void ReadUsage(std::string_view usage, std::vector<UsageCommand>* commands) {
  constexpr std::string_view kProgram = "sluicectl ";
  std::string paragraph;
  const auto end = [&] {
    const std::vector<std::string> words = WordsOf(std::exchange(paragraph, ""));
    if (words.empty()) return;
    if (words.front().starts_with("[") || words.front().starts_with("-")) {
      UsageCommand& flags =
          commands->emplace_back(UsageCommand{.noun = {}, .verb = {}, .options = {}});
      ReadOptions(words, &flags);
    } else if (words.front().find('|') == std::string::npos) {
      ReadCommandUsage(words, commands);
    }
  };
  std::istringstream lines{std::string(usage)};
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find(kProgram);
    if (at != std::string::npos && at <= 7 && line.find('`') > at) {
      end();
      paragraph = line.substr(at + kProgram.size());
    } else if (line.starts_with("        ")) {
      paragraph += " " + line;
    } else {
      end();
    }
  }
  end();
}

// The words of a flag that the legend of the usage has: "-s  ether nat ...".
std::vector<std::string> WordsOfFlag(char flag) {
  const std::string usage(Usage());
  const size_t at = usage.find(std::string("\n  -") + flag + "  ");
  if (at == std::string::npos) return {};
  std::istringstream lines(usage.substr(at + 6));
  std::vector<std::string> words;
  std::string line;
  for (bool first = true; std::getline(lines, line); first = false) {
    if (!first && !line.starts_with("      ")) break;
    for (std::string& word : WordsOf(line.substr(0, line.find(':')))) {
      if (word.ends_with(',')) word.pop_back();
      words.push_back(std::move(word));
    }
    if (line.find(':') != std::string::npos) break;
  }
  return words;
}

// ---- Names of the daemon ---------------------------------------------------

class Names {
 public:
  Names(Caller* caller, std::string filter)
      : caller_(*caller), filter_(std::move(filter)) {}

  std::vector<std::string> Filters() {
    std::vector<std::string> names = List("filter.list", {}, "filters", "name");
    return names;
  }
  std::vector<std::string> Ports() {
    return List("port.list", {}, "ports", "name");
  }
  std::vector<std::string> Routers() {
    return List("router.list", {}, "routers", "name");
  }
  std::vector<std::string> Tables() {
    return List("tables.list", Of({{"exact", false}}), "tables", "name");
  }
  std::vector<std::string> Labels() {
    return List("labels.show", Of({{"exact", false}}), "labels", "label");
  }
  std::vector<std::string> Anchors() {
    return List("anchors.show", Of({{"below", true}}), "anchors", "");
  }

 private:
  json Of(json params) const {
    if (!filter_.empty()) params["filter"] = filter_;
    return params;
  }
  std::vector<std::string> List(const char* method, json params,
                                const char* list, const char* member) {
    if (params.is_null()) params = json::object();
    // As many as anybody would look through.
    constexpr size_t kMost = 2000;
    std::vector<std::string> names;
    while (names.size() < kMost) {
      CallError error;
      const auto page = caller_.Call(method, params, &error);
      if (page == nullptr) break;
      for (const json& element : Member(*page, list)) {
        std::string name = element.is_string() ? element.get<std::string>()
                                               : Text(element, member);
        if (!name.empty()) names.push_back(std::move(name));
      }
      std::string next = Text(*page, "next");
      if (next.empty()) break;
      params["cursor"] = std::move(next);
    }
    return names;
  }

  Caller& caller_;
  const std::string filter_;
};

std::vector<std::string> Reasons() {
  std::vector<std::string> names;
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    names.emplace_back(Name(static_cast<DropReason>(i)));
  }
  return names;
}

// ---- Where the cursor is ---------------------------------------------------

// What may follow one of pfctl's flags; nothing: it has no value.
std::optional<std::vector<std::string>> AfterFlag(
    const std::string& flag, std::span<const std::string> before,
    Names* names) {
  const char letter = flag.back();
  switch (letter) {
    case 's':
    case 'F':
    case 'T':
    case 'o':
      return WordsOfFlag(letter);
    case 'f':
      return std::vector<std::string>{std::string(kCompleteFiles)};
    case 'p':
      return std::vector<std::string>{std::string(kCompleteFiles)};
    case 't':
      return names->Tables();
    case 'a':
      return names->Anchors();
    case 'i':
      return names->Ports();
    case 'x':
      return std::vector<std::string>{
          "emerg", "alert", "crit", "err",  "warning", "notice",
          "info",  "debug", "none", "loud", "misc",    "urgent"};
    case 'k': {
      // The second says what the first one names.
      if (before.size() >= 2 && before[before.size() - 1] == "label" &&
          before[before.size() - 2] == "-k") {
        return names->Labels();
      }
      return std::vector<std::string>{"gateway", "id",  "key",
                                      "label",   "nat", "vlan"};
    }
    case 'D':
    case 'K':
    case 'R':
      return std::vector<std::string>{};
    default:
      return std::nullopt;
  }
}

// Words that stand for something in the usage.
bool IsPlaceholder(const std::string& value) {
  static const std::set<std::string> known = {
      "address", "bytes",  "device",  "expression", "file",     "folder",
      "group",   "host",   "i",       "l",          "macro=value", "min",
      "n",       "name",   "network", "number",     "p",        "path",
      "port",    "protocol", "reason", "seconds",   "t",        "tag",
      "module",  "value",   "generation", "-max", "FSRPAUEW",  "driver"};
  return known.contains(value) ||
         std::ranges::none_of(value, IsLower);
}

std::vector<std::string> AfterOption(const UsageOption& option, Names* names) {
  const std::string_view name = std::string_view(option.name).substr(2);
  if (name == "filter" || name == "from-filter") return names->Filters();
  if (name == "label") return names->Labels();
  if (name == "router") return names->Routers();
  if (name == "ports" || name == "wire" || name == "in" ||
      name == "interface") {
    return names->Ports();
  }
  if (name == "reason") return Reasons();
  if (name == "level") {
    return {"critical", "debug", "error", "info", "off", "trace", "warning"};
  }
  if (name == "proto") return {"esp", "icmp", "icmp6", "sctp", "tcp", "udp"};
  std::vector<std::string> values;
  for (const std::string& value : option.values) {
    if (value == "file" || value == "path" || value == "folder" ||
        value == "FILE" || value == "PATH" || value.starts_with("file.")) {
      return {std::string(kCompleteFiles)};
    }
    // Of several words each is itself, but for kinds of hosts.
    const bool words = option.values.size() > 1 && value != "host" &&
                       value != "network";
    if (words || !IsPlaceholder(value)) values.push_back(value);
  }
  return values;
}

const UsageCommand* FindCommand(const std::string& noun,
                                const std::string& verb) {
  for (const UsageCommand& command : UsageCommands()) {
    if (command.noun == noun && command.verb == verb) return &command;
  }
  return nullptr;
}

struct Cursor {
  std::string noun, verb;
  std::string filter;
  bool has_name = false;  // behind the verb
  const UsageOption* pending = nullptr;  // whose value is awaited
  std::string flag;                      // the same of a flag
};

const UsageOption* FindOption(const Cursor& cursor, const std::string& word) {
  for (const UsageCommand* command :
       {FindCommand(cursor.noun, cursor.verb), FindCommand("", "")}) {
    if (command == nullptr) continue;
    for (const UsageOption& option : command->options) {
      if (option.name == word) return &option;
    }
  }
  return nullptr;
}

bool IsNoun(const std::string& word) {
  return std::ranges::any_of(
      UsageCommands(), [&](const UsageCommand& c) { return c.noun == word; });
}

Cursor Follow(std::span<const std::string> before) {
  Cursor cursor;
  for (const std::string& word : before) {
    if (cursor.pending != nullptr) {
      if (cursor.pending->name == "--filter") cursor.filter = word;
      cursor.pending = nullptr;
    } else if (!cursor.flag.empty()) {
      cursor.flag.clear();
    } else if (word.starts_with("--")) {
      const UsageOption* const option = FindOption(cursor, word);
      if (option != nullptr && !option->values.empty()) cursor.pending = option;
    } else if (word.size() > 1 && word.front() == '-') {
      // The value of joined flags may be in the same word.
      constexpr std::string_view kWithValue = "aDFfiKkopRsTtx";
      const size_t at = word.find_first_of(kWithValue, 1);
      if (at != std::string::npos && at + 1 == word.size()) {
        cursor.flag = std::string("-") + word[at];
      }
    } else if (cursor.noun.empty() && IsNoun(word)) {
      cursor.noun = word;
    } else if (!cursor.noun.empty() && cursor.verb.empty() &&
               FindCommand(cursor.noun, word) != nullptr) {
      cursor.verb = word;
    } else {
      cursor.has_name = true;
    }
  }
  return cursor;
}

// Options, verbs, names: what begins a word.
std::vector<std::string> Beginnings(const Cursor& cursor,
                                    const std::string& current, Names* names) {
  std::vector<std::string> all;
  if (current.starts_with("-")) {
    for (const UsageCommand* command :
         {FindCommand(cursor.noun, cursor.verb), FindCommand("", "")}) {
      // Behind a command few of the flags' options mean anything.
      if (command == nullptr ||
          (command->noun.empty() && !cursor.noun.empty())) {
        continue;
      }
      for (const UsageOption& option : command->options) {
        all.push_back(option.name);
      }
    }
    for (const char* general : {"--json", "--socket", "--help"}) {
      all.emplace_back(general);
    }
    return all;
  }
  if (cursor.noun.empty()) {
    for (const UsageCommand& command : UsageCommands()) {
      if (!command.noun.empty()) all.push_back(command.noun);
    }
    all.emplace_back("help");
    return all;
  }
  if (cursor.verb.empty() && FindCommand(cursor.noun, "") == nullptr) {
    for (const UsageCommand& command : UsageCommands()) {
      if (command.noun == cursor.noun) all.push_back(command.verb);
    }
    return all;
  }
  if (cursor.has_name) return {};
  if (cursor.noun == "filter" && cursor.verb != "create" &&
      cursor.verb != "list") {
    return names->Filters();
  }
  if (cursor.noun == "port" && cursor.verb != "add" && cursor.verb != "list") {
    return names->Ports();
  }
  if (cursor.noun == "capture") return names->Ports();
  if (cursor.noun == "router" && cursor.verb != "list") return names->Routers();
  if (cursor.noun == "state" || cursor.noun == "snapshot" ||
      cursor.noun == "test") {
    return {std::string(kCompleteFiles)};
  }
  return {};
}

}  // namespace

const std::vector<UsageCommand>& UsageCommands() {
  static const auto* const commands = [] {
    auto* all = new std::vector<UsageCommand>;
    for (const std::string_view usage :
         {Usage(), std::string_view(TransferUsage()), NicUsage()}) {
      ReadUsage(usage, all);
    }
    // The summary of the first one names nic without its options.
    std::map<std::pair<std::string, std::string>, UsageCommand> merged;
    for (UsageCommand& command : *all) {
      UsageCommand& into = merged[{command.noun, command.verb}];
      into.noun = command.noun;
      into.verb = command.verb;
      for (const UsageOption& option : command.options) {
        UsageOption& same = OptionNamed(option.name, &into);
        if (same.values.empty()) same.values = option.values;
      }
    }
    all->clear();
    for (auto& [key, command] : merged) all->push_back(std::move(command));
    return all;
  }();
  return *commands;
}

std::vector<std::string> Complete(std::span<const std::string> words,
                                  Caller* caller) {
  std::string current = words.empty() ? "" : words.back();
  std::span<const std::string> before =
      words.empty() ? words : words.first(words.size() - 1);
  // `help VERB`: as the commands themselves.
  if (!before.empty() && before.front() == "help") before = before.subspan(1);
  const Cursor cursor = Follow(before);
  Names names(caller, cursor.filter);
  std::vector<std::string> candidates;
  std::string prefix;
  const size_t equals = current.find('=');
  if (cursor.pending != nullptr) {
    candidates = AfterOption(*cursor.pending, &names);
  } else if (!cursor.flag.empty()) {
    candidates = AfterFlag(cursor.flag, before.first(before.size() - 1), &names)
                     .value_or(std::vector<std::string>());
  } else if (current.starts_with("--") && equals != std::string::npos) {
    const UsageOption* const option =
        FindOption(cursor, current.substr(0, equals));
    if (option == nullptr || option->values.empty()) return {};
    prefix = current.substr(0, equals + 1);
    current.erase(0, equals + 1);
    candidates = AfterOption(*option, &names);
  } else {
    candidates = Beginnings(cursor, current, &names);
  }
  // Lists: what is before the last comma stays.
  if (cursor.pending != nullptr && cursor.pending->name == "--ports") {
    const size_t comma = current.rfind(',');
    if (comma != std::string::npos) {
      prefix = current.substr(0, comma + 1);
      current.erase(0, comma + 1);
    }
  }
  std::set<std::string> fitting;
  for (const std::string& candidate : candidates) {
    if (candidate == kCompleteFiles) return {candidate};
    if (candidate.starts_with(current)) fitting.insert(prefix + candidate);
  }
  return {fitting.begin(), fitting.end()};
}

}  // namespace sluice
