#include "dataplane/sluicectl/commands.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(View(what));
}

enum class Naming : uint8_t { kNone, kOptional, kRequired, kWords };

struct Form {
  std::string_view noun;
  std::string_view word;
  Verb verb;
  Naming naming;
};

constexpr std::array<Form, 19> kForms = {{
    {"filter", "create", Verb::kFilterCreate, Naming::kRequired},
    {"filter", "destroy", Verb::kFilterDestroy, Naming::kRequired},
    {"filter", "list", Verb::kFilterList, Naming::kNone},
    {"filter", "show", Verb::kFilterShow, Naming::kOptional},
    {"port", "add", Verb::kPortAdd, Naming::kRequired},
    {"port", "bind", Verb::kPortBind, Naming::kRequired},
    {"port", "bindings", Verb::kPortBindings, Naming::kRequired},
    {"port", "disable", Verb::kPortDisable, Naming::kRequired},
    {"port", "enable", Verb::kPortEnable, Naming::kRequired},
    {"port", "exclude", Verb::kPortExclude, Naming::kRequired},
    {"port", "include", Verb::kPortInclude, Naming::kRequired},
    {"port", "list", Verb::kPortList, Naming::kNone},
    {"port", "remove", Verb::kPortRemove, Naming::kRequired},
    {"port", "stats", Verb::kPortStats, Naming::kRequired},
    {"port", "unbind", Verb::kPortUnbind, Naming::kRequired},
    // A noun that needs no verb.
    {"metrics", "", Verb::kMetrics, Naming::kNone},
    {"explain", "", Verb::kExplain, Naming::kNone},
    {"trace", "", Verb::kTrace, Naming::kNone},
    {"log", "", Verb::kLog, Naming::kWords},
}};

const Form& FormOf(Verb verb) {
  return *std::ranges::find(kForms, verb, &Form::verb);
}

// ---- Values ----------------------------------------------------------------

absl::Status AppendList(const std::string& value,
                        std::vector<std::string>* list) {
  for (const absl::string_view word : absl::StrSplit(value, ',')) {
    if (word.empty()) return Wrong("a list has an empty word");
    list->emplace_back(word);
  }
  return absl::OkStatus();
}

absl::Status Choose(const std::string& value, std::string_view first,
                    std::string_view second, bool* is_second) {
  if (value != first && value != second) {
    return Wrong(
        absl::StrCat("'", value, "': say ", View(first), " or ", View(second)));
  }
  *is_second = value == second;
  return absl::OkStatus();
}

absl::Status SetNumber(const std::string& value,
                       std::optional<uint32_t>* number) {
  uint32_t read = 0;
  const char* const end = value.data() + value.size();
  const auto result = std::from_chars(value.data(), end, read);
  if (result.ec != std::errc() || result.ptr != end) {
    return Wrong(absl::StrCat("'", value, "' is not a number"));
  }
  *number = read;
  return absl::OkStatus();
}

// ---- Options ---------------------------------------------------------------

struct Option {
  std::string_view name;
  Verb verb;
  bool takes_value;
  // An error is of the value.
  absl::Status (*set)(std::string value, Command* command);
  // Another one that has it.
  std::optional<Verb> also = std::nullopt;

  bool IsOf(Verb which) const { return verb == which || also == which; }
};

const std::array<Option, 41> kOptions = {{
    {"ports", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->ports);
     }},
    {"ruleset", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->ruleset = std::move(value);
       return absl::OkStatus();
     }},
    {"expect-restore", Verb::kFilterCreate, false,
     [](std::string, Command* c) {
       c->expect_restore = true;
       return absl::OkStatus();
     }},
    {"source", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       // A folder is the daemon's to look at, who has another working one.
       std::error_code error;
       c->source = std::filesystem::absolute(value, error).string();
       return error ? Wrong(error.message()) : absl::OkStatus();
     }},
    {"no-wait", Verb::kFilterCreate, false,
     [](std::string, Command* c) {
       c->no_wait = true;
       return absl::OkStatus();
     }},
    {"from-filter", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->from_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"restore-give-up", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->give_up);
     }},
    {"fail", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return Choose(value, "closed", "open", &c->fail_open);
     }},
    {"emergency", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->emergency = std::move(value);
       return absl::OkStatus();
     }},
    {"hold-bypass", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return Choose(value, "no", "yes", &c->hold_bypass.emplace());
     }},
    {"device", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->device = std::move(value);
       return absl::OkStatus();
     }},
    {"wire", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->wire = std::move(value);
       return absl::OkStatus();
     }},
    {"groups", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->groups);
     }},
    {"addresses", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->addresses);
     }},
    {"queues", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->queues);
     }},
    {"mtu", Verb::kPortAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->mtu); }},
    {"non-ip", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return Choose(value, "pass", "block", &c->block_non_ip);
     }},
    {"disabled", Verb::kPortAdd, false,
     [](std::string, Command* c) {
       c->disabled = true;
       return absl::OkStatus();
     }},
    {"bindings", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->bindings);
     },
     Verb::kPortBind},
    {"learn-bindings", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->learn);
     },
     Verb::kPortBind},
    {"in", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->in = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"proto", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->proto = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"from", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->from = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"to", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->to = std::move(value);
       return absl::OkStatus();
     },
     Verb::kTrace},
    {"flags", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->flags = std::move(value);
       return absl::OkStatus();
     }},
    {"tag", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->tag = std::move(value);
       return absl::OkStatus();
     }},
    {"icmp-type", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->icmp_type);
     }},
    {"icmp-code", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->icmp_code);
     }},
    {"tos", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->tos);
     }},
    {"length", Verb::kExplain, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->length);
     }},
    {"fragment", Verb::kExplain, false,
     [](std::string, Command* c) {
       c->fragment = true;
       return absl::OkStatus();
     }},
    {"ip-options", Verb::kExplain, false,
     [](std::string, Command* c) {
       c->ip_options = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kTrace, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"passed", Verb::kTrace, false,
     [](std::string, Command* c) {
       if (c->fate == false) return Wrong("--dropped was given, too");
       c->fate = true;
       return absl::OkStatus();
     }},
    {"dropped", Verb::kTrace, false,
     [](std::string, Command* c) {
       if (c->fate == true) return Wrong("--passed was given, too");
       c->fate = false;
       return absl::OkStatus();
     }},
    {"reason", Verb::kTrace, true,
     [](std::string value, Command* c) {
       c->reason = std::move(value);
       return absl::OkStatus();
     }},
    {"sample", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->sample);
     }},
    {"count", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->count);
     },
     Verb::kLog},
    {"for", Verb::kTrace, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     },
     Verb::kLog},
    // There is no other way to look at it.
    {"follow", Verb::kLog, false,
     [](std::string, Command*) { return absl::OkStatus(); }},
    {"write", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->write = std::move(value);
       return absl::OkStatus();
     }},
}};

// An option of the command itself, or a general one; `*at` is left at its last
// word.
absl::Status ReadOptionOf(const Form& form, std::span<const std::string> words,
                          size_t* at, Arguments* arguments) {
  const std::string& word = words[*at];
  const std::string name = word.substr(2, word.find('=') - 2);
  const auto option = std::ranges::find_if(kOptions, [&](const Option& o) {
    return word.starts_with("--") && o.IsOf(form.verb) && o.name == name;
  });
  if (option == kOptions.end()) return ReadOption(words, at, arguments);
  std::string value;
  if (option->takes_value) {
    absl::StatusOr<std::string> given = ValueOf(words, at);
    if (!given.ok()) return given.status();
    value = *std::move(given);
  } else if (word.find('=') != std::string::npos) {
    return Wrong(absl::StrCat("--", name, " takes no value"));
  }
  const absl::Status set = option->set(std::move(value), &*arguments->command);
  if (set.ok()) return set;
  return Wrong(absl::StrCat("--", name, ": ", set.message()));
}

}  // namespace

bool IsCommand(std::string_view word) {
  return std::ranges::find(kForms, word, &Form::noun) != kForms.end();
}

std::string DidYouMeanCommand(std::string_view word) {
  constexpr std::array<std::string_view, 10> kNouns = {
      "explain", "filter",   "log",   "metrics", "nic",  "port",
      "restore", "snapshot", "state",   "trace"};
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
  const Form* form = nullptr;
  for (const Form& candidate : kForms) {
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

absl::Status CheckCommand(const Arguments& a) {
  const Command& c = *a.command;
  const Form& form = FormOf(c.verb);
  const std::string words = absl::StrCat(
      View(form.noun), form.word.empty() ? "" : " ", View(form.word));
  const bool explains = c.verb == Verb::kExplain;
  if ((a.file && !explains) || a.show || a.flush || a.table_action || !a.table.empty() ||
      !a.kill.empty() || !a.anchor.empty() || !a.interface.empty() ||
      !a.facts.empty() || a.no_action || a.enable || a.disable || a.zero ||
      a.flip_port_names || a.confirm || a.only_if || a.rollback ||
      a.confirm_commit) {
    return Wrong(absl::StrCat(words, " goes with ", explains ? "-f, " : "",
                              "-D, -N, -p, -q, --dialect, --json and "
                              "--socket only"));
  }
  if (!a.filter.empty()) {
    return Wrong("--filter goes with flags: a command names its filter itself");
  }
  if (form.naming == Naming::kRequired && c.name.empty()) {
    return Wrong(absl::StrCat(words, " needs a name"));
  }
  const bool has_ruleset = c.ruleset || c.emergency || a.file;
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
  if (explains && (c.in.empty() || c.proto.empty() || c.from.empty() ||
                   c.to.empty())) {
    return Wrong("explain needs --in, --proto, --from and --to");
  }
  if (c.verb == Verb::kPortAdd && c.device.empty()) {
    return Wrong("port add needs --device");
  }
  return absl::OkStatus();
}

}  // namespace sluice
