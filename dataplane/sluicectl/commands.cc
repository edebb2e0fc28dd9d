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
#include "packet/drop_reason.h"

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

constexpr std::array<Form, 32> kForms = {{
    {"filter", "change", Verb::kFilterChange, Naming::kRequired},
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
    {"segment", "add", Verb::kSegmentAdd, Naming::kRequired},
    {"segment", "attach", Verb::kSegmentAttach, Naming::kRequired},
    {"segment", "detach", Verb::kSegmentDetach, Naming::kRequired},
    {"segment", "fix", Verb::kSegmentFix, Naming::kRequired},
    {"segment", "flush", Verb::kSegmentFlush, Naming::kRequired},
    {"segment", "free", Verb::kSegmentFree, Naming::kRequired},
    {"segment", "list", Verb::kSegmentList, Naming::kNone},
    {"segment", "macs", Verb::kSegmentMacs, Naming::kRequired},
    {"segment", "remove", Verb::kSegmentRemove, Naming::kRequired},
    // A noun that needs no verb.
    {"metrics", "", Verb::kMetrics, Naming::kNone},
    {"explain", "", Verb::kExplain, Naming::kNone},
    {"trace", "", Verb::kTrace, Naming::kNone},
    {"log", "", Verb::kLog, Naming::kWords},
    {"capture", "", Verb::kCapture, Naming::kWords},
    {"top", "", Verb::kTop, Naming::kOptional},
    {"test", "", Verb::kTest, Naming::kRequired},
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
  // Others that have it.
  std::optional<Verb> also = std::nullopt;
  std::optional<Verb> and_also = std::nullopt;

  bool IsOf(Verb which) const {
    return verb == which || also == which || and_also == which;
  }
};

const std::array<Option, 70> kOptions = {{
    {"ports", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->ports);
     },
     Verb::kFilterChange},
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
       c->fail_given = true;
       return Choose(value, "closed", "open", &c->fail_open);
     },
     Verb::kFilterChange},
    {"emergency", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       c->emergency = std::move(value);
       return absl::OkStatus();
     }},
    {"hold-bypass", Verb::kFilterCreate, true,
     [](std::string value, Command* c) {
       return Choose(value, "no", "yes", &c->hold_bypass.emplace());
     },
     Verb::kFilterChange},
    {"ports", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       return AppendList(value, &c->ports);
     }},
    {"flood", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       c->flood.emplace();
       if (value == "none") return absl::OkStatus();
       if (absl::Status s = AppendList(value, &*c->flood); !s.ok()) return s;
       for (const std::string& what : *c->flood) {
         if (what == "unknown" || what == "multicast" || what == "broadcast") {
           continue;
         }
         return Wrong(absl::StrCat(
             "'", what, "': say none, or any of unknown,multicast,broadcast"));
       }
       return absl::OkStatus();
     }},
    {"macs", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->macs); }},
    {"macs-per-port", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->macs_per_port);
     }},
    {"age", Verb::kSegmentAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->age); }},
    {"port", Verb::kSegmentAttach, true,
     [](std::string value, Command* c) {
       c->port = std::move(value);
       return absl::OkStatus();
     },
     Verb::kSegmentDetach, Verb::kSegmentFix},
    {"mac", Verb::kSegmentFix, true,
     [](std::string value, Command* c) {
       c->mac = std::move(value);
       return absl::OkStatus();
     },
     Verb::kSegmentFree},
    {"parent", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->parent = std::move(value);
       return absl::OkStatus();
     }},
    {"vlan", Verb::kPortAdd, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->vlan); }},
    {"inner-vlan", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->inner_vlan);
     }},
    {"segment", Verb::kPortAdd, true,
     [](std::string value, Command* c) {
       c->segment = std::move(value);
       return absl::OkStatus();
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
     },
     Verb::kSegmentAdd},
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
    {"pcap", Verb::kExplain, true,
     [](std::string value, Command* c) {
       c->capture = std::move(value);
       return absl::OkStatus();
     }},
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
     },
     Verb::kTest},
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
    {"in", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->arriving = true;
       return absl::OkStatus();
     }},
    {"out", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->leaving = true;
       return absl::OkStatus();
     }},
    {"dropped", Verb::kCapture, false,
     [](std::string, Command* c) {
       c->dropped = true;
       return absl::OkStatus();
     }},
    {"reason", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->reason = std::move(value);
       c->dropped = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"snaplen", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->snap_length);
     }},
    {"count", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->count);
     }},
    {"for", Verb::kCapture, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     }},
    {"write", Verb::kCapture, true,
     [](std::string value, Command* c) {
       c->write = std::move(value);
       return absl::OkStatus();
     }},
    {"once", Verb::kTop, false,
     [](std::string, Command* c) {
       c->once = true;
       return absl::OkStatus();
     }},
    {"filter", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->trace_filter = std::move(value);
       return absl::OkStatus();
     }},
    {"sort", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->sort = std::move(value);
       return absl::OkStatus();
     }},
    {"match", Verb::kTop, true,
     [](std::string value, Command* c) {
       c->match = std::move(value);
       return absl::OkStatus();
     }},
    {"limit", Verb::kTop, true,
     [](std::string value, Command* c) { return SetNumber(value, &c->limit); }},
    {"interval", Verb::kTop, true,
     [](std::string value, Command* c) {
       return SetNumber(value, &c->seconds);
     }},
    // There is no other way to look at it.
    {"follow", Verb::kLog, false,
     [](std::string, Command*) { return absl::OkStatus(); }},
    {"level", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->level = std::move(value);
       return absl::OkStatus();
     }},
    {"module", Verb::kLog, true,
     [](std::string value, Command* c) {
       c->module = std::move(value);
       return absl::OkStatus();
     }},
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
  const bool writes = form.verb == Verb::kCapture && word == "-w";
  const std::string name =
      writes ? "write" : word.substr(2, word.find('=') - 2);
  const auto option = std::ranges::find_if(kOptions, [&](const Option& o) {
    return (writes || word.starts_with("--")) && o.IsOf(form.verb) &&
           o.name == name;
  });
  if (option == kOptions.end()) {
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
    for (const Option& o : kOptions) {
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
  return std::ranges::any_of(kForms, [noun](const Form& form) {
    return form.noun == noun && form.word.empty();
  });
}

bool IsCommand(std::string_view word) {
  return std::ranges::find(kForms, word, &Form::noun) != kForms.end();
}

std::string DidYouMeanCommand(std::string_view word) {
  constexpr std::array<std::string_view, 15> kNouns = {
      "capture", "explain", "filter",  "help",    "log",
      "metrics", "nic",     "port",    "restore", "segment",
      "snapshot", "state",  "test",    "top",     "trace"};
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

static absl::Status CheckPortAdd(const Command& c) {
  if (c.device.empty() && c.parent.empty()) {
    return Wrong("port add needs --device, or --parent and --vlan");
  }
  if (!c.device.empty() && !c.parent.empty()) {
    return Wrong("a port has a --device or a --parent, not both");
  }
  if (c.parent.empty() == c.vlan.has_value() ||
      (c.inner_vlan && !c.vlan)) {
    return Wrong("--parent and --vlan need each other, and --inner-vlan both");
  }
  if (c.queues && !c.parent.empty()) {
    return Wrong("--queues is for a port with a --device");
  }
  if (!c.wire.empty() && !c.segment.empty()) {
    return Wrong("a port is on a --wire or on a --segment, not on both");
  }
  return absl::OkStatus();
}

absl::Status CheckCommand(const Arguments& a) {
  const Command& c = *a.command;
  const Form& form = FormOf(c.verb);
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
                         c.icmp_code || c.tos || c.length || c.fragment ||
                         c.ip_options;
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
