#include "dataplane/replay/replay_options.h"

#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/command_line.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

constexpr uint32_t kMostStates = 1u << 28;

constexpr char kAbout[] =
    "Judges the packets of capture files by a pf ruleset, as sluiced would "
    "have judged\nthem live: a virtual clock follows the timestamps.";

constexpr char kFooter[] = R"(
Captures are pcap or pcapng, with micro- or nanoseconds, of Ethernet, raw IP,
Linux cooked or BSD null/loopback. Outputs are pcap with nanoseconds.

Examples:
  sluice-replay -f pf.conf --wire outside=inside --in outside=A.pcap \
      --in inside=B.pcap --out inside=C.pcap --report report.json
  sluice-replay -f pf.conf --wire outside=inside --in any=all.pcap \
      --inside-net 10.0.0.0/8

  sluice-replay --compare old.conf new.conf --wire outside=inside \
      --in any=all.pcap --inside-net 10.0.0.0/8

Exit status: 0 when every packet was replayed and accounted for, 1 on any
error (no output file is then written), 2 for a wrong command line, 3 when
--compare found a flow that changes its fate.)";

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(View(what));
}

// "LEFT=RIGHT", both not empty.
absl::StatusOr<std::pair<std::string, std::string>> SplitPair(
    const std::string& option, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 ||
      equals + 1 == text.size()) {
    return Wrong(absl::StrCat(option, " ", text, ": `=` expected, as in ",
                              option == "--wire" ? "--wire outside=inside"
                                                 : option + " outside=FILE"));
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

struct Raw {
  std::vector<std::string> macros, wires, inputs, outputs, nets;
  std::string dialect = "openbsd";
  std::optional<std::string> optimization;
};

// --compare takes two files: they become -f and the other one.
absl::Status TakeCompare(std::vector<std::string>* words,
                         std::string* compare_file) {
  for (size_t i = 1; i < words->size(); ++i) {
    if ((*words)[i] == "--") break;
    if ((*words)[i] != "--compare") continue;
    if (!compare_file->empty()) return Wrong("--compare is given twice");
    const auto is_file = [&](size_t k) {
      return k < words->size() && !(*words)[k].empty() &&
             ((*words)[k] == "-" || (*words)[k][0] != '-');
    };
    if (!is_file(i + 1) || !is_file(i + 2)) {
      return Wrong("--compare OLD NEW: two rulesets are wanted");
    }
    if ((*words)[i + 1] == "-" && (*words)[i + 2] == "-") {
      return Wrong("--compare: only one ruleset can come from stdin");
    }
    *compare_file = (*words)[i + 2];
    (*words)[i] = "-f";
    words->erase(words->begin() + static_cast<std::ptrdiff_t>(i) + 2);
  }
  return absl::OkStatus();
}

// As for sluicectl, the beginning of a word is enough.
std::optional<RulesetOptimization> LevelOf(std::string_view text) {
  for (const RulesetOptimization level :
       {RulesetOptimization::kNone, RulesetOptimization::kBasic,
        RulesetOptimization::kProfile}) {
    if (!text.empty() && Name(level).starts_with(text)) return level;
  }
  return std::nullopt;
}

absl::Status Interpret(const Raw& raw, ReplayOptions& options) {
  options.dialect =
      raw.dialect == "freebsd" ? Dialect::kFreeBsd : Dialect::kOpenBsd;
  if (raw.optimization) {
    options.optimization = LevelOf(*raw.optimization);
    if (!options.optimization) {
      return Wrong(absl::StrCat("-o ", *raw.optimization,
                                ": none, basic or profile expected"));
    }
  }
  for (const std::string& text : raw.macros) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Wrong(absl::StrCat("-D ", text, ": NAME=VALUE expected"));
    }
    options.macros.emplace_back(text.substr(0, equals),
                                text.substr(equals + 1));
  }
  std::set<std::string> ports;
  for (const std::string& text : raw.wires) {
    const auto pair = SplitPair("--wire", text);
    if (!pair.ok()) return pair.status();
    for (const std::string& port : {pair->first, pair->second}) {
      if (!ports.insert(port).second) {
        return Wrong(absl::StrCat("--wire ", text, ": port ", port,
                                  " is in a wire already"));
      }
    }
    options.wires.push_back({pair->first, pair->second});
  }
  for (const auto& [option, texts, files] :
       {std::tuple("--in", &raw.inputs, &options.inputs),
        std::tuple("--out", &raw.outputs, &options.outputs)}) {
    for (const std::string& text : *texts) {
      const auto pair = SplitPair(option, text);
      if (!pair.ok()) return pair.status();
      const bool any = pair->first == "any" && files == &options.inputs;
      if (!any && !ports.contains(pair->first)) {
        return Wrong(absl::StrCat(option, " ", text, ": no --wire has a port ",
                                  pair->first));
      }
      files->push_back({any ? "" : pair->first, pair->second});
    }
  }
  for (const std::string& text : raw.nets) {
    const auto prefix = ParsePrefix(text);
    if (!prefix) {
      return Wrong(absl::StrCat("--inside-net ", text,
                                ": a network expected, as in 10.0.0.0/8"));
    }
    options.inside_nets.push_back(*prefix);
  }
  bool by_address = false;
  for (const ReplayOptions::File& input : options.inputs) {
    by_address = by_address || input.port.empty();
  }
  if (by_address && options.inside_nets.empty()) {
    return Wrong("--in any=FILE needs --inside-net, to tell the sides apart");
  }
  if (!by_address && !options.inside_nets.empty()) {
    return Wrong("--inside-net is for --in any=FILE");
  }
  if (by_address && options.wires.size() != 1) {
    return Wrong("--in any=FILE works with a single --wire");
  }
  std::set<std::string> written;
  for (const ReplayOptions::File& output : options.outputs) {
    if (!written.insert(output.port).second) {
      return Wrong(absl::StrCat("--out ", output.port, "=", output.path,
                                ": one file a port"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ReplayOptions> ParseReplayArguments(int argc, char** argv,
                                                   std::string* exit_early) {
  ReplayOptions options;
  Raw raw;
  bool version = false;
  const auto into = [](auto* variable) {
    return [variable](std::string_view value) {
      *variable = std::string(value);
      return absl::OkStatus();
    };
  };
  const auto onto = [](std::vector<std::string>* list) {
    return [list](std::string_view value) {
      list->emplace_back(value);
      return absl::OkStatus();
    };
  };
  const auto flag = [](bool* variable) {
    return [variable](std::string_view) {
      *variable = true;
      return absl::OkStatus();
    };
  };
  const auto dialect = [&raw](std::string_view value) {
    if (value != "openbsd" && value != "freebsd") {
      return Wrong(absl::StrCat(View(value), " not in {openbsd,freebsd}"));
    }
    raw.dialect = std::string(value);
    return absl::OkStatus();
  };
  const auto capacity = [&options](std::string_view value) {
    uint32_t& count = options.state_capacity;
    if (!absl::SimpleAtoi(View(value), &count) || count < 1 ||
        count > kMostStates) {
      return Wrong(absl::StrCat("value ", View(value), " not in range 1 to ",
                                kMostStates));
    }
    return absl::OkStatus();
  };
  const CommandOption table[] = {
      {.name = "version", .help = "print the version", .take = flag(&version)},
      {.name = "file",
       .letter = 'f',
       .value = "FILE",
       .help = "the ruleset; - for stdin",
       .take = into(&options.rules_file),
       .required = true},
      {.name = "compare",
       .value = "OLD NEW",
       .help = "instead of -f: both rulesets, and which flows they treat "
               "otherwise, by rule",
       .take =
           [](std::string_view) { return Wrong("OLD and NEW are wanted"); }},
      {.name = "wire",
       .value = "OUTSIDE=INSIDE",
       .help = "two ports joined; may be repeated",
       .take = onto(&raw.wires),
       .required = true,
       .repeated = true},
      {.name = "in",
       .value = "PORT=FILE",
       .help = "packets that arrive at a port; may be repeated; `any`: at the "
               "side that their source address is on",
       .take = onto(&raw.inputs),
       .required = true,
       .repeated = true},
      {.name = "out",
       .value = "PORT=FILE",
       .help = "where to write what leaves by a port",
       .take = onto(&raw.outputs),
       .repeated = true},
      {.name = "inside-net",
       .value = "NETWORK",
       .help = "with --in any=FILE: sources in it are inside; may be repeated",
       .take = onto(&raw.nets),
       .repeated = true},
      {.letter = 'D',
       .value = "NAME=VALUE",
       .help = "define a macro; wins over the file's",
       .take = onto(&raw.macros),
       .repeated = true},
      {.name = "dialect",
       .value = "NAME",
       .help = "openbsd (default) or freebsd",
       .take = dialect},
      {.letter = 'o',
       .value = "LEVEL",
       .help = "optimise the rules: none, basic or profile; default: they "
               "stay as written",
       .take = into(&raw.optimization)},
      {.name = "facts",
       .value = "FILE",
       .help = "interfaces, hosts and services that the ruleset names (TOML)",
       .take = into(&options.facts_file)},
      {.name = "report",
       .value = "FILE",
       .help = "write totals, counters and states as JSON; - for stdout",
       .take = into(&options.report_file)},
      {.name = "verdicts",
       .value = "FILE",
       .help = "write a line a packet: number, port, pass or drop, reason, "
               "rule, judgement, protocol, addresses; - for stdout",
       .take = into(&options.verdicts_file)},
      {.name = "states",
       .value = "COUNT",
       .help = "room for states; default: the ruleset's limit",
       .take = capacity},
      {.name = "ignore-checksums",
       .help = "do not drop packets with wrong checksums",
       .take = flag(&options.ignore_checksums)},
      {.name = "strict",
       .help = "refuse a capture that holds packets cut by its snapshot "
               "length, instead of dropping these",
       .take = flag(&options.strict)},
      {.name = "block-non-ip",
       .help = "drop frames that are not IP, as `non_ip = block` does",
       .take = flag(&options.block_non_ip)},
      {.name = "quiet",
       .letter = 'q',
       .help = "no summary on stdout",
       .take = flag(&options.quiet)},
  };
  bool help = false;
  std::vector<std::string> words(argv, argv + argc);
  if (absl::Status s = TakeCompare(&words, &options.compare_file); !s.ok()) {
    return Wrong(absl::StrCat(s.message(), "; see sluice-replay --help"));
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const absl::Status read = ReadCommandLine(
      static_cast<int>(words.size()), arguments.data(), table, &help);
  if (help) {
    *exit_early = absl::StrCat(kAbout, "\nUsage: sluice-replay [OPTIONS]\n\n",
                               OptionHelp(table), kFooter, "\n");
    return options;
  }
  if (version) {
    *exit_early = "sluice-replay " SLUICE_VERSION "\n";
    return options;
  }
  if (!read.ok()) {
    return Wrong(absl::StrCat(read.message(), "; see sluice-replay --help"));
  }
  if (absl::Status s = Interpret(raw, options); !s.ok()) return s;
  if (!options.compare_file.empty() &&
      (!options.outputs.empty() || !options.verdicts_file.empty())) {
    return Wrong("--out and --verdicts are of one ruleset: they do not go "
                 "with --compare");
  }
  return options;
}

}  // namespace sluice
