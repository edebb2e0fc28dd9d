#include "dataplane/sluicectl/commands.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/command_table.h"
#include "packet/drop_reason.h"

namespace sluice {
namespace {

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(View(what));
}

const CommandForm& FormOf(Verb verb) {
  return *std::ranges::find(CommandForms(), verb, &CommandForm::verb);
}

// An option of the command itself, or a general one; `*at` is left at its last
// word.
absl::Status ReadOptionOf(const CommandForm& form,
                          std::span<const std::string> words, size_t* at,
                          Arguments* arguments) {
  const std::string& word = words[*at];
  const bool writes = form.verb == Verb::kCapture && word == "-w";
  const std::string name =
      writes ? "write" : word.substr(2, word.find('=') - 2);
  const std::span<const CommandOption> options = CommandOptions();
  const auto option =
      std::ranges::find_if(options, [&](const CommandOption& o) {
        return (writes || word.starts_with("--")) && o.IsOf(form.verb) &&
               o.name == name;
      });
  if (option == options.end()) {
    // Which states is asked with flags only.
    const bool of_states =
        name == "count" || std::ranges::find(kStateOptions, name) !=
                               kStateOptions.end();
    absl::Status general =
        of_states && word.starts_with("--")
            ? Wrong(absl::StrCat("unknown option --", name))
            : ReadOption(words, at, arguments);
    if (general.ok() || !word.starts_with("--") ||
        general.message().find("unknown option") == absl::string_view::npos) {
      return general;
    }
    // Its own options are nearer than everybody's.
    std::vector<std::string_view> own;
    for (const CommandOption& o : options) {
      if (o.IsOf(form.verb)) own.push_back(o.name);
    }
    const std::string_view nearest = Nearest(name, own);
    return nearest.empty() ? general
                           : Wrong(absl::StrCat("unknown option --", name,
                                                "; did you mean --",
                                                View(nearest), "?"));
  }
  std::string value;
  if (option->takes_value) {
    absl::StatusOr<std::string> given = ValueOf(words, at);
    if (!given.ok()) return given.status();
    value = *std::move(given);
  } else if (word.find('=') != std::string::npos) {
    return Wrong(absl::StrCat("--", name, " takes no value"));
  }
  // --dropped may have a reason behind it.
  if (form.verb == Verb::kCapture && name == "dropped" &&
      *at + 1 < words.size() && DropReasonNamed(words[*at + 1])) {
    arguments->command->reason = words[++*at];
  }
  const absl::Status set = option->set(std::move(value), &*arguments->command);
  if (set.ok()) return set;
  return Wrong(absl::StrCat("--", name, ": ", set.message()));
}

}  // namespace

bool HasNoVerb(std::string_view noun) {
  return std::ranges::any_of(CommandForms(), [noun](const CommandForm& form) {
    return form.noun == noun && form.word.empty();
  });
}

bool IsCommand(std::string_view word) {
  return std::ranges::any_of(CommandForms(), [word](const CommandForm& form) {
    return form.noun == word;
  });
}

std::string DidYouMeanCommand(std::string_view word) {
  constexpr std::array<std::string_view, 16> kNouns = {
      "capture", "explain", "filter",  "help",    "log",
      "metrics", "nic",     "port",    "restore", "router",
      "segment", "snapshot", "state",  "test",    "top",
      "trace"};
  if (std::ranges::find(kNouns, word) != kNouns.end()) {
    return absl::StrCat("; ", View(word), " comes first, before all options");
  }
  const std::string_view nearest = Nearest(word, kNouns);
  return nearest.empty()
             ? ""
             : absl::StrCat("; did you mean ", View(nearest), "?");
}

absl::StatusOr<std::string> ValueOf(std::span<const std::string> words,
                                    size_t* at) {
  const std::string& word = words[*at];
  const size_t equals = word.find('=');
  std::string value;
  if (equals != std::string::npos) {
    value = word.substr(equals + 1);
  } else if (*at + 1 < words.size()) {
    value = words[++*at];
  }
  if (value.empty()) {
    return Wrong(absl::StrCat("option requires an argument -- ",
                              word.substr(2, equals - 2)));
  }
  return value;
}

absl::Status ReadCommand(std::span<const std::string> words, size_t* at,
                         Arguments* arguments) {
  const std::string& noun = words[(*at)++];
  std::string known;
  std::vector<std::string_view> verbs;
  const CommandForm* form = nullptr;
  for (const CommandForm& candidate : CommandForms()) {
    if (candidate.noun != noun) continue;
    verbs.push_back(candidate.word);
    absl::StrAppend(&known, known.empty() ? "" : ", ", View(candidate.word));
    if (candidate.word.empty() ||
        (*at < words.size() && candidate.word == words[*at])) {
      form = &candidate;
    }
  }
  if (form == nullptr) {
    if (*at < words.size() && words[*at] == "--help") {
      arguments->help = true;
      *at = words.size();
      return absl::OkStatus();
    }
    if (*at == words.size()) {
      return Wrong(absl::StrCat(noun, " needs a verb; there are ", known));
    }
    const std::string_view nearest = Nearest(words[*at], verbs);
    return Wrong(absl::StrCat(
        "unknown command: ", noun, " ", words[*at],
        nearest.empty() ? absl::StrCat("; there are ", known)
                        : absl::StrCat("; did you mean ", noun, " ",
                                       View(nearest), "?")));
  }
  if (!form->word.empty()) ++*at;
  Command& command = arguments->command.emplace();
  command.verb = form->verb;
  bool options_end = false;
  for (; *at < words.size(); ++*at) {
    const std::string& word = words[*at];
    if (!options_end && word == "--") {
      options_end = true;
    } else if (!options_end && word.size() > 1 && word[0] == '-') {
      absl::Status status = ReadOptionOf(*form, words, at, arguments);
      if (!status.ok()) return status;
    } else if (form->naming == Naming::kWords) {
      command.words.push_back(word);
    } else if (form->verb == Verb::kRouterRoutes && !command.name.empty() &&
               command.prefix.empty()) {
      command.prefix = word;
    } else if (form->naming == Naming::kNone || !command.name.empty()) {
      return Wrong(absl::StrCat("unknown command line argument: ", word));
    } else if (word.empty()) {
      return Wrong("a name cannot be empty");
    } else {
      command.name = word;
    }
  }
  return absl::OkStatus();
}

static absl::Status CheckPortAdd(const Command& c) {
  if (c.device.empty() && c.parent.empty() && c.vhost.empty()) {
    return Wrong("port add needs --device, or --parent and --vlan, or --vhost");
  }
  if (!c.device.empty() + !c.parent.empty() + !c.vhost.empty() > 1) {
    return Wrong(
        "a port has a --device or a --parent or a --vhost, not several");
  }
  if (c.vhost_client && c.vhost.empty()) {
    return Wrong("--vhost-client needs --vhost");
  }
  if (c.parent.empty() == c.vlan.has_value() ||
      (c.inner_vlan && !c.vlan)) {
    return Wrong("--parent and --vlan need each other, and --inner-vlan both");
  }
  if (c.queues && c.device.empty()) {
    return Wrong("--queues is for a port with a --device");
  }
  if (!c.wire.empty() && !c.segment.empty()) {
    return Wrong("a port is on a --wire or on a --segment, not on both");
  }
  if (!c.router.empty() && (!c.wire.empty() || !c.segment.empty())) {
    return Wrong("a port of a --router is on no --wire and no --segment");
  }
  if (!c.tap.empty() && c.router.empty()) {
    return Wrong("--tap needs --router: it is the kernel's interface for it");
  }
  return absl::OkStatus();
}

absl::Status CheckCommand(const Arguments& a) {
  const Command& c = *a.command;
  const CommandForm& form = FormOf(c.verb);
  const std::string words = absl::StrCat(
      View(form.noun), form.word.empty() ? "" : " ", View(form.word));
  const bool explains = c.verb == Verb::kExplain;
  const bool tests = c.verb == Verb::kTest;
  const bool reads = explains || tests;
  if ((a.file && !reads) || a.show || a.flush || a.table_action ||
      !a.table.empty() || !a.kill.empty() || !a.anchor.empty() ||
      !a.interface.empty() || (!a.facts.empty() && !tests) ||
      a.no_action || a.enable || a.disable || a.zero ||
      a.flip_port_names || a.confirm || a.only_if || a.rollback ||
      a.confirm_commit || a.states.any()) {
    return Wrong(absl::StrCat(words, " goes with ", reads ? "-f, " : "",
                              tests ? "--facts, " : "",
                              "-D, -N, -p, -q, --dialect, --json and "
                              "--socket only"));
  }
  if (!a.filter.empty()) {
    return Wrong("--filter goes with flags: a command names its filter itself");
  }
  if (form.naming == Naming::kRequired && c.name.empty()) {
    return Wrong(absl::StrCat(words, " needs a name"));
  }
  // The statements of a test have macros, too.
  const bool has_ruleset = c.ruleset || c.emergency || a.file || tests;
  if (!has_ruleset && (!a.macros.empty() || a.dialect)) {
    return Wrong("-D and --dialect need a ruleset");
  }
  if (c.verb == Verb::kFilterCreate) {
    if (c.ports.empty()) return Wrong("filter create needs --ports");
    if (!c.source.empty() && !c.expect_restore) {
      return Wrong("--source needs --expect-restore");
    }
    if (c.no_wait && c.source.empty()) {
      return Wrong("--no-wait is for --source: nothing else is waited for");
    }
    if (!c.from_filter.empty() && c.source.empty()) {
      return Wrong("--from-filter says whose snapshot --source is");
    }
    if (c.give_up && !c.expect_restore) {
      return Wrong("--restore-give-up needs --expect-restore");
    }
    if (c.fail_open && !c.emergency) {
      return Wrong(
          "--fail open needs --emergency: the ruleset that holds when a "
          "restore has failed");
    }
    if (c.emergency && !c.fail_open) {
      return Wrong("--emergency needs --fail open");
    }
    if (c.ruleset == "-" && c.emergency == "-") {
      return Wrong("only one ruleset can come from standard input");
    }
  }
  if (c.verb == Verb::kFilterChange && c.ports.empty() && !c.fail_given &&
      !c.hold_bypass) {
    return Wrong("filter change needs --ports, --fail or --hold-bypass");
  }
  if (!c.module.empty() && c.level.empty()) {
    return Wrong("--module needs --level");
  }
  if (!c.level.empty() &&
      (!c.words.empty() || !c.write.empty() || c.count || c.seconds)) {
    return Wrong("--level changes what is logged, and follows nothing");
  }
  const bool described = !c.proto.empty() || !c.from.empty() ||
                         !c.to.empty() || !c.flags.empty() || c.icmp_type ||
                         c.icmp_code || c.tos || c.ttl || c.length ||
                         c.fragment || c.ip_options;
  if (explains && !c.capture.empty() && described) {
    return Wrong("--pcap has the packet: only --in and --tag go with it");
  }
  if (explains && (c.in.empty() ||
                   (c.capture.empty() && (c.proto.empty() || c.from.empty() ||
                                          c.to.empty())))) {
    return Wrong("explain needs --in, and --proto, --from and --to or --pcap");
  }
  if (c.verb == Verb::kTop && c.seconds &&
      (*c.seconds == 0 || *c.seconds > 3600)) {
    return Wrong("--interval: a number from 1 to 3600");
  }
  if (c.verb == Verb::kCapture) {
    if (c.words.empty() && c.trace_filter.empty()) {
      return Wrong("capture needs a port, or --filter");
    }
    if (c.dropped && (c.arriving || c.leaving)) {
      return Wrong("what is dropped has arrived: --dropped goes without --in "
                   "and --out");
    }
    if (!c.write.empty() && a.json) {
      return Wrong("--json and --write contradict each other");
    }
    if (c.snap_length && (*c.snap_length == 0 || *c.snap_length > 65535)) {
      return Wrong("--snaplen: a number from 1 to 65535");
    }
  }
  if (tests && a.file && !c.trace_filter.empty()) {
    return Wrong("test asks the rules of -f or a filter's, not both");
  }
  if (tests && a.file == "-" && c.name == "-") {
    return Wrong("only one of test's files can come from standard input");
  }
  if (c.verb == Verb::kPortAdd) return CheckPortAdd(c);
  const bool needs_port = c.verb == Verb::kSegmentAttach ||
                          c.verb == Verb::kSegmentDetach ||
                          c.verb == Verb::kSegmentFix;
  if (needs_port && c.port.empty()) {
    return Wrong(absl::StrCat(words, " needs --port"));
  }
  const bool needs_mac =
      c.verb == Verb::kSegmentFix || c.verb == Verb::kSegmentFree;
  if (needs_mac && c.mac.empty()) {
    return Wrong(absl::StrCat(words, " needs --mac"));
  }
  return absl::OkStatus();
}

}  // namespace sluice
