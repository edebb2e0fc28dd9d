#include "dataplane/sluicectl/arguments.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/commands.h"

namespace sluice {
namespace {

template <typename Value>
struct Word {
  std::string_view word;
  Value value;
};

// In pfctl's order: where an abbreviation fits several, the first is meant.
constexpr std::array<Word<Show>, 18> kShows = {{
    {"ether", Show::kEther},
    {"nat", Show::kNat},
    {"rules", Show::kRules},
    {"states", Show::kStates},
    {"Sources", Show::kSources},
    {"info", Show::kInfo},
    {"Interfaces", Show::kInterfaces},
    {"labels", Show::kLabels},
    {"timeouts", Show::kTimeouts},
    {"memory", Show::kMemory},
    {"Tables", Show::kTables},
    {"osfp", Show::kFingerprints},
    {"commits", Show::kCommits},
    {"Anchors", Show::kAnchors},
    {"Running", Show::kRunning},
    {"LimiterStates", Show::kLimiterStates},
    {"LimiterSrcs", Show::kLimiterSources},
    {"all", Show::kAll},
}};
constexpr std::array<Word<Flush>, 9> kFlushes = {{
    {"ethernet", Flush::kEther},
    {"nat", Flush::kNat},
    {"rules", Flush::kRules},
    {"states", Flush::kStates},
    {"Sources", Flush::kSources},
    {"info", Flush::kInfo},
    {"Tables", Flush::kTables},
    {"Reset", Flush::kReset},
    {"all", Flush::kAll},
}};
constexpr std::array<Word<TableAction>, 11> kTableActions = {{
    {"kill", TableAction::kKill},
    {"flush", TableAction::kFlush},
    {"add", TableAction::kAdd},
    {"load", TableAction::kLoad},
    {"delete", TableAction::kDelete},
    {"replace", TableAction::kReplace},
    {"show", TableAction::kShow},
    {"test", TableAction::kTest},
    {"zero", TableAction::kZero},
    {"expire", TableAction::kExpire},
    {"reset", TableAction::kReset},
}};

constexpr std::array<std::string_view, 8> kLongWithValue = {
    "confirm",  "dialect",  "facts",  "filter",
    "only-if", "rollback", "socket", "without"};
constexpr std::array<Word<RulesetOptimization>, 3> kOptimizations = {{
    {"none", RulesetOptimization::kNone},
    {"basic", RulesetOptimization::kBasic},
    {"profile", RulesetOptimization::kProfile},
}};

constexpr std::string_view kWithValue = "aDFfiKkopsTtx";

// Which flags have a value depends on whose they are.
bool HasValue(char flag, Dialect dialect) {
  if (flag == 'R') return dialect == Dialect::kOpenBsd;
  return kWithValue.find(flag) != std::string_view::npos;
}

// What --dialect says, wherever it stands among the flags.
Dialect DialectOf(std::span<const std::string> words) {
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "--dialect=freebsd" ||
        (words[i] == "--dialect" && i + 1 < words.size() &&
         words[i + 1] == "freebsd")) {
      return Dialect::kFreeBsd;
    }
  }
  return Dialect::kOpenBsd;
}

template <typename Value, size_t kSize>
std::optional<Value> Lookup(const std::array<Word<Value>, kSize>& words,
                            std::string_view text) {
  for (const Word<Value>& word : words) {
    if (!text.empty() && word.word.starts_with(text)) return word.value;
  }
  return std::nullopt;
}

absl::Status Unknown(std::string_view kind, const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("Unknown ", View(kind), " modifier '", text, "'"));
}

absl::Status SetMacro(const std::string& text, Arguments* arguments) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("-D ", text, ": write -D macro=value"));
  }
  arguments->macros.emplace_back(text.substr(0, equals),
                                 text.substr(equals + 1));
  return absl::OkStatus();
}

void SetAnchor(std::string path, Arguments* a) {
  if (path.ends_with('*')) {
    path.pop_back();
    a->below = true;
    if (path.ends_with('/')) {
      path.pop_back();
      a->children = true;
    }
  }
  a->anchor = path.starts_with('/') ? path.substr(1) : std::move(path);
}

absl::Status SetWithValue(char flag, std::string value, Arguments* a) {
  // Nothing has an empty name but the main ruleset, which is no anchor.
  if (value.empty() && flag != 'a') {
    return absl::InvalidArgumentError(
        absl::StrCat("-", std::string(1, flag), " \"\": the value is empty"));
  }
  switch (flag) {
    case 'a':
      SetAnchor(std::move(value), a);
      break;
    case 'D':
      return SetMacro(value, a);
    case 'F':
      a->flush = Lookup(kFlushes, value);
      if (!a->flush) return Unknown("flush", value);
      break;
    case 'f':
      a->file = std::move(value);
      break;
    case 'i':
      a->interface = std::move(value);
      break;
    case 'K':
      if (a->kill_sources.size() == 2) {
        return absl::InvalidArgumentError("can only specify -K twice");
      }
      a->kill_sources.push_back(std::move(value));
      break;
    case 'k':
      // Behind `nat`, as without it, two hosts.
      if (a->kill.size() == (!a->kill.empty() && a->kill[0] == "nat" ? 3 : 2)) {
        return absl::InvalidArgumentError("can only specify -k twice");
      }
      a->kill.push_back(std::move(value));
      break;
    case 'o':
      a->optimization = Lookup(kOptimizations, value);
      if (!a->optimization) return Unknown("optimization", value);
      break;
    case 'p':
      a->socket = std::move(value);
      break;
    case 'R': {
      uint32_t number = 0;
      const auto [end, error] = std::from_chars(
          value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("-R ", value, ": write the number of a rule"));
      }
      a->rule_number = number;
      break;
    }
    case 's':
      a->show = Lookup(kShows, value);
      if (!a->show) return Unknown("show", value);
      break;
    case 'T':
      a->table_action = Lookup(kTableActions, value);
      if (!a->table_action) return Unknown("table command", value);
      break;
    case 'x':
      a->debug_level = std::move(value);
      break;
    default:
      a->table = std::move(value);
      break;
  }
  return absl::OkStatus();
}

PrintParts& OnlyParts(Arguments* a) {
  if (!a->parts) a->parts = PrintParts::Nothing();
  return *a->parts;
}

// Flags that FreeBSD's pfctl has and OpenBSD's has not, or has otherwise.
bool SetFreeBsd(char flag, Arguments* a) {
  switch (flag) {
    case 'A':
      OnlyParts(a).queues = true;
      return true;
    case 'm':
      a->merge_options = true;
      return true;
    case 'N':
      OnlyParts(a).translation = true;
      return true;
    case 'O':
      OnlyParts(a).options = true;
      return true;
    case 'R':
      OnlyParts(a).filter = true;
      return true;
    case 'S':
      a->no_dns = true;
      return true;
    default:
      return false;
  }
}

absl::Status SetPlain(char flag, Dialect dialect, Arguments* a) {
  if (dialect == Dialect::kFreeBsd && SetFreeBsd(flag, a)) {
    return absl::OkStatus();
  }
  switch (flag) {
    case 'd':
      a->disable = true;
      break;
    case 'e':
      a->enable = true;
      break;
    case 'g':
      a->debug = true;
      break;
    case 'M':
      a->kill_match = true;
      break;
    case 'h':
      a->help = true;
      break;
    case 'N':
      a->no_dns = true;
      break;
    case 'n':
      a->no_action = true;
      break;
    case 'P':
      a->flip_port_names = true;
      break;
    case 'q':
      a->quiet = true;
      break;
    case 'r':
      // Names for addresses: accepted, and addresses are printed.
      break;
    case 'v':
      if (a->verbose < 2) ++a->verbose;
      break;
    case 'z':
      a->zero = true;
      break;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown option -- ", std::string(1, flag),
          std::string_view("AmO").find(flag) != std::string_view::npos
              ? ": it is FreeBSD's, with --dialect freebsd"
              : ""));
  }
  return absl::OkStatus();
}

absl::Status SetLong(std::string_view name, Arguments* a) {
  if (name == "json") {
    a->json = true;
  } else if (name == "confirm-commit") {
    a->confirm_commit = true;
  } else if (name == "count") {
    a->states.count = true;
  } else if (name == "diff") {
    a->diff = true;
  } else if (name == "kill-blocked") {
    a->kill_blocked = true;
  } else if (name == "show-blocked") {
    a->show_blocked = true;
  } else if (name == "language-only") {
    a->language_only = true;
  } else if (name == "help") {
    a->help = true;
  } else if (name == "version") {
    a->version = true;
  } else {
    const std::string_view nearest =
        name.find('=') != name.npos ? "" : Nearest(name, GeneralOptions());
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown option --", View(name), nearest.empty() ? "" : "; did you mean --",
        View(nearest), nearest.empty() ? "" : "?"));
  }
  return absl::OkStatus();
}

template <typename Number>
absl::Status SetLongNumber(std::string_view name, const std::string& value,
                           uint64_t least, uint64_t most,
                           std::optional<Number>* out) {
  uint64_t number = 0;
  const char* const last = value.data() + value.size();
  const auto [end, error] = std::from_chars(value.data(), last, number);
  if (error != std::errc() || end != last || number < least || number > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", View(name), " ", value, ": a number from ", least,
                     " to ", most));
  }
  *out = static_cast<Number>(number);
  return absl::OkStatus();
}

std::vector<std::string_view> SplitAtCommas(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    if (!part.empty()) parts.push_back(part);
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return parts;
}

// What was given is of one filter of several.
void EndPart(Arguments* a) {
  a->set.push_back({.filter = std::exchange(a->filter, {}),
                    .anchor = std::exchange(a->anchor, {}),
                    .file = std::exchange(a->file, std::nullopt),
                    .only_if = std::exchange(a->only_if, std::nullopt),
                    .table = std::exchange(a->table, {}),
                    .table_action =
                        std::exchange(a->table_action, std::nullopt)});
}

absl::Status SetLongWithValue(std::string_view name, std::string value,
                              Arguments* a) {
  if (name == "confirm") {
    return SetLongNumber(name, value, 1, 86400, &a->confirm);
  }
  if (name == "only-if") {
    return SetLongNumber(name, value, 0, UINT64_MAX, &a->only_if);
  }
  if (name == "rollback") {
    return SetLongNumber(name, value, 1, 1000, &a->rollback);
  }
  if (name == "dialect") {
    if (value == "openbsd") {
      a->dialect = Dialect::kOpenBsd;
    } else if (value == "freebsd") {
      a->dialect = Dialect::kFreeBsd;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "--dialect ", value, ": the dialects are openbsd and freebsd"));
    }
  } else if (name == "facts") {
    a->facts = std::move(value);
  } else if (name == "filter") {
    if (!a->filter.empty()) EndPart(a);
    a->filter = std::move(value);
  } else if (name == "without") {
    for (const std::string_view one : SplitAtCommas(value)) {
      a->without.emplace_back(one);
    }
  } else {
    a->socket = std::move(value);
  }
  return absl::OkStatus();
}

// One long option; `*at` is left at its last word.
absl::Status ReadLong(std::span<const std::string> words, size_t* at,
                      Arguments* arguments) {
  const std::string& word = words[*at];
  const size_t equals = word.find('=');
  const std::string name =
      word.substr(2, equals == std::string::npos ? equals : equals - 2);
  const bool of_states =
      std::ranges::find(kStateOptions, name) != kStateOptions.end();
  if (!of_states &&
      std::ranges::find(kLongWithValue, name) == kLongWithValue.end()) {
    return SetLong(word.substr(2), arguments);
  }
  absl::StatusOr<std::string> value = ValueOf(words, at);
  if (!value.ok()) return value.status();
  return of_states
             ? SetStateOption(name, *std::move(value), &arguments->states)
             : SetLongWithValue(name, *std::move(value), arguments);
}

// One word of joined flags; `*at` is left at the last word that belongs to it.
absl::Status ReadShort(std::span<const std::string> words, size_t* at,
                       Arguments* arguments) {
  const std::string& word = words[*at];
  const Dialect dialect = DialectOf(words);
  for (size_t i = 1; i < word.size(); ++i) {
    const char flag = word[i];
    if (!HasValue(flag, dialect)) {
      absl::Status set = SetPlain(flag, dialect, arguments);
      if (!set.ok()) return set;
      continue;
    }
    std::string value = word.substr(i + 1);
    if (value.empty()) {
      if (*at + 1 == words.size()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "option requires an argument -- ", std::string(1, flag)));
      }
      value = words[++*at];
    }
    return SetWithValue(flag, std::move(value), arguments);
  }
  return absl::OkStatus();
}

// Reads the flags from `words[*at]` on, up to the first other word.
absl::Status ReadFlags(std::span<const std::string> words, size_t* at,
                       Arguments* arguments) {
  for (; *at < words.size(); ++*at) {
    const std::string& word = words[*at];
    // As BSD's getopt does: the flags end at the first other word.
    if (word.size() < 2 || word[0] != '-') return absl::OkStatus();
    if (word == "--") {
      ++*at;
      return absl::OkStatus();
    }
    const absl::Status status = word.starts_with("--")
                                    ? ReadLong(words, at, arguments)
                                    : ReadShort(words, at, arguments);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string_view> GeneralOptions() {
  std::vector<std::string_view> all = {
      "json", "confirm-commit", "count",         "diff",   "kill-blocked",
      "help", "show-blocked",   "language-only", "version"};
  all.insert(all.end(), kLongWithValue.begin(), kLongWithValue.end());
  all.insert(all.end(), kStateOptions.begin(), kStateOptions.end());
  return all;
}

absl::StatusOr<Arguments> ParseArguments(std::span<const std::string> words) {
  Arguments arguments;
  size_t at = 0;
  if (absl::Status status = ReadFlags(words, &at, &arguments); !status.ok()) {
    return status;
  }
  if (at < words.size() && !arguments.table_action && IsCommand(words[at])) {
    absl::Status status = ReadCommand(words, &at, &arguments);
    if (!status.ok()) return status;
  }
  arguments.operands.assign(words.begin() + static_cast<std::ptrdiff_t>(at),
                            words.end());
  if (!arguments.set.empty()) EndPart(&arguments);
  if (arguments.table_action == TableAction::kLoad) {
    OnlyParts(&arguments).tables = true;
  }
  if (absl::Status status = CheckTogether(arguments); !status.ok()) return status;
  // It is a kind of load, not an edit of a table.
  if (arguments.table_action == TableAction::kLoad) {
    arguments.table_action.reset();
  }
  return arguments;
}

absl::Status ReadOption(std::span<const std::string> words, size_t* at,
                        Arguments* arguments) {
  return words[*at].starts_with("--") ? ReadLong(words, at, arguments)
                                      : ReadShort(words, at, arguments);
}

}  // namespace sluice
