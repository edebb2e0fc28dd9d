#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/transfer.h"

namespace sluice {
namespace {

struct CommandWords {
  std::string_view noun;
  std::string_view verb;
  TransferCommand command;
};
constexpr std::array<CommandWords, 6> kCommands = {{
    {"state", "export", TransferCommand::kStateExport},
    {"state", "import", TransferCommand::kStateImport},
    {"snapshot", "show", TransferCommand::kSnapshotShow},
    {"snapshot", "verify", TransferCommand::kSnapshotVerify},
    {"restore", "status", TransferCommand::kRestoreStatus},
    {"restore", "metrics", TransferCommand::kRestoreMetrics},
}};

// Long options with a value.
constexpr std::array<std::string_view, 5> kWithValue = {
    "--filter", "--socket", "--replace", "--orphans", "--from-filter"};

bool TakesValue(std::string_view word) {
  return word == "-p" ||
         std::ranges::find(kWithValue, word) != kWithValue.end();
}

absl::Status SetValue(std::string_view option, const std::string& value,
                      TransferArguments* arguments) {
  const auto wrong = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(
        View(option), ": ", value, " ", View(what)));
  };
  if (value.empty()) return wrong("is empty");
  if (option == "-p" || option == "--socket") {
    arguments->socket = value;
  } else if (option == "--filter") {
    arguments->filter = value;
  } else if (option == "--from-filter") {
    arguments->from_filter = value;
  } else if (option == "--replace") {
    uint64_t generation = 0;
    const auto [end, error] = std::from_chars(
        value.data(), value.data() + value.size(), generation);
    if (error != std::errc() || end != value.data() + value.size()) {
      return wrong("is no generation: `filter show` has it");
    }
    arguments->replace = generation;
  } else {
    if (value != "keep" && value != "drop") return wrong("is not keep or drop");
    arguments->drop_orphans = value == "drop";
  }
  return absl::OkStatus();
}

// What the command has no use for.
absl::Status Check(const TransferArguments& a) {
  const bool imports = a.command == TransferCommand::kStateImport;
  const bool snapshot = a.command == TransferCommand::kSnapshotShow ||
                        a.command == TransferCommand::kSnapshotVerify;
  if ((imports || snapshot) && a.file.empty()) {
    return absl::InvalidArgumentError("a FILE is missing, or - for standard "
                                      "input");
  }
  if (!imports && (a.replace || a.drop_orphans || a.policy ||
                   !a.from_filter.empty())) {
    return absl::InvalidArgumentError(
        "--replace, --orphans, --policy and --from-filter belong to `state "
        "import`");
  }
  if (!a.filter.empty() &&
      (snapshot || a.command == TransferCommand::kRestoreMetrics)) {
    return absl::InvalidArgumentError("--filter has no meaning here");
  }
  return absl::OkStatus();
}

}  // namespace

bool IsTransferCommand(std::span<const std::string> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (TakesValue(words[i])) {
      ++i;
    } else if (!words[i].starts_with("-")) {
      return std::ranges::any_of(kCommands, [&](const CommandWords& command) {
        return command.noun == words[i];
      });
    }
  }
  return false;
}

absl::StatusOr<TransferArguments> ParseTransferArguments(
    std::span<const std::string> words) {
  TransferArguments a;
  std::vector<std::string> names;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const size_t equals = word.find('=');
    if (word.starts_with("--") && equals != std::string::npos &&
        TakesValue(word.substr(0, equals))) {
      if (absl::Status status = SetValue(word.substr(0, equals),
                                         word.substr(equals + 1), &a);
          !status.ok()) {
        return status;
      }
    } else if (TakesValue(word)) {
      if (i + 1 == words.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(word, " needs a value"));
      }
      if (absl::Status status = SetValue(word, words[++i], &a); !status.ok()) {
        return status;
      }
    } else if (word == "--policy") {
      a.policy = true;
    } else if (word == "--json") {
      a.json = true;
    } else if (word == "-q") {
      a.quiet = true;
    } else if (word == "-h" || word == "--help") {
      a.help = true;
    } else if (word.size() > 1 && word.starts_with("-")) {
      return absl::InvalidArgumentError(absl::StrCat("unknown option ", word));
    } else {
      names.push_back(word);
    }
  }
  if (a.help) return a;
  const auto found =
      std::ranges::find_if(kCommands, [&](const CommandWords& command) {
        return names.size() > 1 && command.noun == names[0] &&
               command.verb == names[1];
      });
  if (found == kCommands.end()) {
    std::vector<std::string_view> verbs;
    for (const CommandWords& command : kCommands) {
      if (command.noun == names[0]) verbs.push_back(command.verb);
    }
    const std::string_view nearest =
        names.size() > 1 ? Nearest(names[1], verbs) : std::string_view();
    std::string known;
    for (const std::string_view verb : verbs) {
      absl::StrAppend(&known, known.empty() ? "" : ", ", View(verb));
    }
    return absl::InvalidArgumentError(
        names.size() == 1
            ? absl::StrCat(names[0], " needs a verb; there are ", known)
            : absl::StrCat("unknown command: ", names[0], " ", names[1],
                           nearest.empty()
                               ? absl::StrCat("; there are ", known)
                               : absl::StrCat("; did you mean ", names[0],
                                              " ", View(nearest), "?")));
  }
  a.command = found->command;
  if (names.size() > 2) a.file = names[2];
  const bool has_file = a.command == TransferCommand::kStateImport ||
                        a.command == TransferCommand::kSnapshotShow ||
                        a.command == TransferCommand::kSnapshotVerify;
  if (names.size() > (has_file ? 3u : 2u)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown command line argument: ", names.back()));
  }
  if (absl::Status status = Check(a); !status.ok()) return status;
  return a;
}

std::string_view TransferUsage() {
  return "usage: sluicectl state export [--filter F] > FILE\n"
         "       sluicectl state import [--filter F] [--replace GENERATION]\n"
         "                 [--orphans keep|drop] [--policy] "
         "[--from-filter F] FILE|-\n"
         "       sluicectl snapshot show|verify [--json] FILE|-\n"
         "       sluicectl restore status [--filter F]\n"
         "       sluicectl restore metrics\n"
         "       general: -p SOCKET, --socket SOCKET, --json, -q\n"
         "exit status of state import: 0 restored, or applied before;\n"
         "1 refused or failed; 3 conflict; 4 busy, try again; 5 cancelled\n";
}

std::string TransferUsageFor(std::span<const std::string> words) {
  std::string usage;
  for (const CommandWords& command : kCommands) {
    if (std::ranges::find(words, command.noun) == words.end()) continue;
    const bool verb_given =
        std::ranges::find(words, command.verb) != words.end();
    // The lines that begin with the command, and what they go on with.
    const std::string begin = absl::StrCat(
        "sluicectl ", View(command.noun), " ",
        command.noun == "snapshot" ? "show|verify" : View(command.verb));
    bool taken = false;
    std::string lines;
    for (std::string_view rest = TransferUsage(); !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\n') + 1);
      rest.remove_prefix(line.size());
      if (line.find("sluicectl ") != std::string_view::npos) {
        taken = line.find(begin) != std::string_view::npos;
      } else if (!line.starts_with("                 ")) {
        taken = false;
      }
      if (taken) lines += line;
    }
    if (verb_given) {
      usage = lines;
      break;
    }
    if (usage.find(lines) == std::string::npos) usage += lines;
  }
  if (!usage.empty()) usage.replace(0, 7, "usage: ");
  return usage;
}

}  // namespace sluice
