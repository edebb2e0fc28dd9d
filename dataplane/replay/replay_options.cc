#include "dataplane/replay/replay_options.h"

#include <CLI/CLI.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

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

Exit status: 0 when every packet was replayed and accounted for, 1 on any
error (no output file is then written), 2 for a wrong command line.)";

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
  CLI::App app{kAbout, "sluice-replay"};
  app.footer(kFooter);
  app.set_version_flag("--version", "sluice-replay " SLUICE_VERSION);
  ReplayOptions options;
  Raw raw;
  // One value each time, so that what follows is not taken for more of them.
  const auto repeated = [&app](const char* name, auto& variable,
                               const char* help, const char* value) {
    return app.add_option(name, variable, help)
        ->type_name(value)
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
  };
  app.add_option("-f,--file", options.rules_file, "the ruleset; - for stdin")
      ->type_name("FILE")
      ->required();
  repeated("--wire", raw.wires, "two ports joined; may be repeated",
           "OUTSIDE=INSIDE")
      ->required();
  repeated("--in", raw.inputs,
           "packets that arrive at a port; may be repeated; `any`: at the "
           "side that their source address is on",
           "PORT=FILE")
      ->required();
  repeated("--out", raw.outputs, "where to write what leaves by a port",
           "PORT=FILE");
  repeated("--inside-net", raw.nets,
           "with --in any=FILE: sources in it are inside; may be repeated",
           "NETWORK");
  repeated("-D", raw.macros, "define a macro; wins over the file's",
           "NAME=VALUE");
  app.add_option("--dialect", raw.dialect, "openbsd (default) or freebsd")
      ->type_name("NAME")
      ->check(CLI::IsMember({"openbsd", "freebsd"}));
  app.add_option("-o", raw.optimization,
                 "optimise the rules: none, basic or profile; default: they "
                 "stay as written")
      ->type_name("LEVEL");
  app.add_option("--facts", options.facts_file,
                 "interfaces, hosts and services that the ruleset names (TOML)")
      ->type_name("FILE");
  app.add_option("--report", options.report_file,
                 "write totals, counters and states as JSON; - for stdout")
      ->type_name("FILE");
  app.add_option("--verdicts", options.verdicts_file,
                 "write a line a packet: number, port, pass or drop, reason, "
                 "rule; - for stdout")
      ->type_name("FILE");
  app.add_option("--states", options.state_capacity,
                 "room for states; default: the ruleset's limit")
      ->type_name("COUNT")
      ->check(CLI::Range(1u, 1u << 28));
  app.add_flag("--ignore-checksums", options.ignore_checksums,
               "do not drop packets with wrong checksums");
  app.add_flag("--block-non-ip", options.block_non_ip,
               "drop frames that are not IP, as `non_ip = block` does");
  app.add_flag("-q,--quiet", options.quiet, "no summary on stdout");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    *exit_early = app.help();
    return options;
  } catch (const CLI::CallForVersion&) {
    *exit_early = "sluice-replay " SLUICE_VERSION "\n";
    return options;
  } catch (const CLI::ParseError& error) {
    return Wrong(absl::StrCat(error.what(), "; see sluice-replay --help"));
  }
  if (absl::Status s = Interpret(raw, options); !s.ok()) return s;
  return options;
}

}  // namespace sluice
