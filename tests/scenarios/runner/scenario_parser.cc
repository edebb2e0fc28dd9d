#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/scenarios/runner/scenario.h"
#include "tests/scenarios/runner/scenario_macros.h"
#include "tests/support/packet_words.h"

namespace sluice {
namespace {

std::string Trim(std::string_view text) {
  return std::string(
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size())));
}

std::vector<std::string> Words(std::string_view text) {
  return absl::StrSplit(absl::string_view(text.data(), text.size()),
                        absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

size_t Indent(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos ? line.size() : first;
}

// "30s", "100ms", "5m", "2h", "1d".
std::optional<uint64_t> ParseDuration(std::string_view text) {
  const size_t unit = text.find_first_not_of("0123456789");
  if (unit == 0 || unit == std::string_view::npos) return std::nullopt;
  const auto number = ParseNumber(text.substr(0, unit));
  if (!number) return std::nullopt;
  const auto count = static_cast<uint64_t>(*number);
  const std::string_view name = text.substr(unit);
  if (name == "ms") return count;
  if (name == "s") return count * 1000;
  if (name == "m") return count * 60'000;
  if (name == "h") return count * 3'600'000;
  if (name == "d") return count * 86'400'000;
  return std::nullopt;
}

// One file for one family.
class Parser {
 public:
  Parser(const std::string& path, const std::vector<std::string>& lines,
         Family family)
      : lines_(lines), macros_(family) {
    scenario_.path = path;
    scenario_.family = family;
    scenario_.name =
        absl::StrCat(std::filesystem::path(path).stem().string(),
                     family == Family::kIpv4 ? "/inet" : "/inet6");
  }

  // Whether the file is for this family; valid after Parse().
  bool wanted() const { return wanted_; }

  absl::StatusOr<Scenario> Parse() {
    while (next_ < lines_.size()) {
      const std::string raw = lines_[next_++];
      const std::optional<std::string> line = ForFamily(raw);
      if (!line) continue;
      const std::string text = Trim(*line);
      if (text.empty() || text.starts_with('#')) continue;
      indent_ = Indent(raw);
      line_ = static_cast<int>(next_);
      absl::Status status = Statement(text);
      if (!status.ok()) return status;
    }
    return Finish();
  }

 private:
  absl::Status Wrong(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(scenario_.path, ":", line_, ": ",
                     absl::string_view(what.data(), what.size())));
  }

  // The line without its "@inet " or "@inet6 "; nothing if it is for the
  // other family.
  std::optional<std::string> ForFamily(const std::string& raw) const {
    const bool v4 = scenario_.family == Family::kIpv4;
    const size_t first = Indent(raw);
    const std::string_view rest = std::string_view(raw).substr(first);
    for (const bool marked_v4 : {true, false}) {
      const std::string_view mark = marked_v4 ? "@inet " : "@inet6 ";
      if (!rest.starts_with(mark)) continue;
      if (marked_v4 != v4) return std::nullopt;
      return std::string(first, ' ') + std::string(rest.substr(mark.size()));
    }
    return raw;
  }

  // The lines up to one that is just "}" and as far indented as the line that
  // opened the block. A line's comment stays: rules have their own.
  absl::StatusOr<std::vector<std::string>> Block(bool state_form = false) {
    std::vector<std::string> block;
    for (; next_ < lines_.size(); ++next_) {
      const std::string& raw = lines_[next_];
      if (Trim(raw) == "}" && Indent(raw) == indent_) {
        ++next_;
        return block;
      }
      const std::optional<std::string> line = ForFamily(raw);
      // What is for the other family leaves an empty line, so that places in
      // messages are the same for both.
      block.push_back(line ? macros_.Expand(*line, state_form) : "");
    }
    return Wrong("the block has no end: `}` expected");
  }

  static std::vector<std::string> NonEmpty(
      const std::vector<std::string>& lines) {
    std::vector<std::string> result;
    for (const std::string& line : lines) {
      std::string text = Trim(line);
      if (!text.empty() && !text.starts_with('#')) {
        result.push_back(std::move(text));
      }
    }
    return result;
  }

  template <typename Action>
  void Add(Action action) {
    scenario_.steps.push_back({line_, std::move(action)});
  }

  absl::Status Statement(const std::string& raw) {
    const bool is_states = raw.starts_with("states") ||
                           raw.starts_with("sources") ||
                           raw.starts_with("flows");
    const std::string text = macros_.Expand(raw, is_states);
    const size_t colon = text.find(": ");
    const std::vector<std::string> words = Words(text);
    const std::string& word = words[0];
    if (word.ends_with(':') && colon == word.size() - 1) {
      const std::string key = word.substr(0, word.size() - 1);
      return Labelled(key, Trim(text.substr(colon + 1)));
    }
    if (text.starts_with("=>")) return Result(text);
    if (word == "rules" || word == "commit") return Commit(words);
    if (word == "burst") return Burst(words);
    if (word == "file") return File(words);
    if (word == "wait") {
      const auto time =
          words.size() >= 2 ? ParseDuration(words[1]) : std::nullopt;
      if (!time || (words.size() > 2 && words[2] != "=>")) {
        return Wrong("wait: a time expected, as in 30s or 100ms");
      }
      Add(WaitStep{*time});
      return Results(text);
    }
    if (word == "route" || word == "neighbor" || word == "asked") {
      Add(RouteStep{Words(text.substr(0, text.find("=>")))});
      return Results(text);
    }
    if (word == "host" && words.size() > 1 && words[1].ends_with(':')) {
      const std::string port = words[1].substr(0, words[1].size() - 1);
      absl::Status status = Send(port, Trim(text.substr(colon + 1)));
      if (status.ok()) {
        std::get<SendStep>(scenario_.steps.back().action).from_host = true;
      }
      return status;
    }
    if (word == "table") return Table(text);
    if (word == "states") return States<StatesStep>(words);
    if (word == "sources") return States<SourcesStep>(words);
    if (word == "flows") return States<FlowsStep>(words);
    if (word == "rule" || word == "port" || word == "tftp" ||
        word == "ftp" || word == "sctp" || word == "limit" ||
        word == "statelimiter" || word == "sourcelimiter") {
      return Counters(words);
    }
    if (word == "macs") return Macs(words);
    if (word == "kill") return Kill(words);
    if (word == "link" && words.size() == 3 &&
        (words[2] == "up" || words[2] == "down")) {
      Add(LinkStep{words[1], words[2] == "up"});
      return absl::OkStatus();
    }
    if (word == "filter" && words.size() == 2 &&
        (words[1] == "on" || words[1] == "off")) {
      Add(FilterStep{words[1] == "on"});
      return absl::OkStatus();
    }
    return Wrong(absl::StrCat("`", text, "` is not understood"));
  }

  absl::Status Labelled(const std::string& key, const std::string& value) {
    const std::vector<std::string> words = Words(value);
    if (key == "description") {
      absl::StrAppend(&scenario_.description,
                      scenario_.description.empty() ? "" : " ", value);
      return absl::OkStatus();
    }
    if (key == "families") {
      wanted_ = std::find(words.begin(), words.end(),
                          scenario_.family == Family::kIpv4
                              ? "inet"
                              : "inet6") != words.end();
      return absl::OkStatus();
    }
    if (key == "ports") {
      for (const std::string& word : words) {
        const size_t bracket = word.find('(');
        ScenarioPort port{.name = word.substr(0, bracket)};
        if (bracket != std::string::npos && word.ends_with(')')) {
          port.groups = absl::StrSplit(
              word.substr(bracket + 1, word.size() - bracket - 2), ',');
        }
        scenario_.ports.push_back(std::move(port));
      }
      return absl::OkStatus();
    }
    if (key == "wire") {
      if (words.size() < 2 || words.size() > 4) {
        return Wrong("wire: two ports expected");
      }
      ScenarioWire wire{.first = words[0], .second = words[1]};
      if (words.size() == 4 && words[2] == "non_ip" && words[3] == "block") {
        wire.pass_non_ip = false;
      } else if (words.size() == 4 && words[2] == "answer_arp" &&
                 words[3] == "translation") {
        wire.answer_arp = true;
      } else if (words.size() != 2) {
        return Wrong("wire: only `non_ip block` or `answer_arp translation` "
                     "may follow the ports");
      }
      scenario_.wires.push_back(std::move(wire));
      return absl::OkStatus();
    }
    if (key == "router") {
      ScenarioRouter router{.ports = words};
      for (const std::string& port : words) {
        if (FindPort(port) == nullptr) {
          return Wrong("router: PORT..., after `ports:`");
        }
      }
      scenario_.routers.push_back(std::move(router));
      return absl::OkStatus();
    }
    if (key == "mtu") {
      ScenarioPort* port = words.size() == 2 ? FindPort(words[0]) : nullptr;
      const auto bytes = port != nullptr ? ParseNumber(words[1]) : std::nullopt;
      if (!bytes || *bytes < 68 || *bytes > 65535) {
        return Wrong("mtu: PORT BYTES, after `ports:`");
      }
      port->mtu = static_cast<uint16_t>(*bytes);
      return absl::OkStatus();
    }
    if (key == "vlan") return Vlan(words);
    if (key == "segment") return Segment(words);
    if (key == "fixed") {
      if (words.size() != 2 || scenario_.segments.empty()) {
        return Wrong("fixed: MAC PORT, after `segment:`");
      }
      scenario_.segments.back().fixed.emplace_back(words[0], words[1]);
      return absl::OkStatus();
    }
    if (key == "address") {
      if (words.size() != 2) return Wrong("address: PORT ADDRESS/LENGTH");
      const auto prefix = ParsePrefix(words[1]);
      ScenarioPort* port = FindPort(words[0]);
      if (!prefix || port == nullptr) {
        return Wrong("address: PORT ADDRESS/LENGTH, after `ports:`");
      }
      port->addresses.push_back(*prefix);
      return absl::OkStatus();
    }
    if (key == "guard") return Guard(value);
    if (key == "let") {
      if (words.size() < 3 || words[1] != "=") {
        return Wrong("let: NAME = TEXT");
      }
      macros_.Set(words[0], Trim(value.substr(value.find('=') + 1)));
      return absl::OkStatus();
    }
    if (key == "option") return Option(words);
    return Send(key, value);
  }

  // "PORT PARENT 5" or "PORT PARENT 7.42".
  absl::Status Vlan(const std::vector<std::string>& words) {
    ScenarioPort* const port =
        words.size() == 3 ? FindPort(words[0]) : nullptr;
    if (port == nullptr || FindPort(words[1]) == nullptr) {
      return Wrong("vlan: PORT PARENT NUMBER[.INNER], after `ports:`");
    }
    const size_t dot = words[2].find('.');
    const auto outer = ParseNumber(words[2].substr(0, dot));
    const auto inner = dot == std::string::npos
                           ? std::optional<int64_t>(0)
                           : ParseNumber(words[2].substr(dot + 1));
    if (!outer || !inner || *outer < 1 || *outer > 4094 || *inner < 0 ||
        *inner > 4094) {
      return Wrong("vlan: numbers from 1 to 4094 expected");
    }
    port->parent = words[1];
    port->vlan = static_cast<uint16_t>(*outer);
    port->inner_vlan = static_cast<uint16_t>(*inner);
    return absl::OkStatus();
  }

  absl::Status Segment(const std::vector<std::string>& words) {
    ScenarioSegment segment;
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      const std::string next = i + 1 < words.size() ? words[i + 1] : "";
      if (FindPort(word) != nullptr) {
        segment.ports.push_back(word);
        continue;
      }
      ++i;
      if (word == "no-flood" && next == "unknown") {
        segment.flood_unknown = false;
      } else if (word == "no-flood" && next == "multicast") {
        segment.flood_multicast = false;
      } else if (word == "no-flood" && next == "broadcast") {
        segment.flood_broadcast = false;
      } else if ((word == "macs" || word == "macs-per-port") &&
                 ParseNumber(next)) {
        (word == "macs" ? segment.macs : segment.macs_per_port) =
            static_cast<uint32_t>(*ParseNumber(next));
      } else if (word == "age" && ParseDuration(next)) {
        segment.age = *ParseDuration(next);
      } else {
        return Wrong(
            "segment: PORT... [no-flood unknown|multicast|broadcast] [macs N] "
            "[macs-per-port N] [age 30s], after `ports:`");
      }
    }
    if (segment.ports.size() < 2) return Wrong("segment: two ports at least");
    scenario_.segments.push_back(std::move(segment));
    return absl::OkStatus();
  }

  // "macs {", lines, "}": what the first segment knows.
  absl::Status Macs(const std::vector<std::string>& words) {
    if (words.size() != 2 || words[1] != "{") return Wrong("macs { expected");
    absl::StatusOr<std::vector<std::string>> block = Block();
    if (!block.ok()) return block.status();
    Add(MacsStep{NonEmpty(*block)});
    return absl::OkStatus();
  }

  // "PORT learn N" or "PORT BINDING".
  absl::Status Guard(const std::string& value) {
    const size_t blank = value.find(' ');
    ScenarioPort* port = FindPort(value.substr(0, blank));
    if (port == nullptr || blank == std::string::npos) {
      return Wrong("guard: PORT BINDING or PORT learn N, after `ports:`");
    }
    const std::string rest = Trim(value.substr(blank));
    if (rest.starts_with("learn ")) {
      const auto number = ParseNumber(rest.substr(6));
      if (!number || *number < 1 || *number > kMaxSpoofLearned) {
        return Wrong("guard: learn N, 1 to 16");
      }
      port->guard.learn = static_cast<uint8_t>(*number);
      return absl::OkStatus();
    }
    const std::optional<SpoofBinding> binding = ParseSpoofBinding(rest);
    if (!binding) return Wrong(absl::StrCat("guard: no binding: ", rest));
    port->guard.bindings.push_back(*binding);
    return absl::OkStatus();
  }

  absl::Status Option(const std::vector<std::string>& words) {
    if (words.size() == 2 &&
        (words[0] == "state-capacity" || words[0] == "expectations")) {
      const auto number = ParseNumber(words[1]);
      if (!number || *number < 1) return Wrong("option: a number expected");
      (words[0] == "expectations" ? scenario_.expectations
                                  : scenario_.state_capacity) =
          static_cast<uint32_t>(*number);
      return absl::OkStatus();
    }
    if (words.size() == 1 && words[0] == "ignore-checksums") {
      scenario_.verify_checksums = false;
      return absl::OkStatus();
    }
    if (words.size() == 1 && words[0] == "freebsd") {
      scenario_.freebsd = true;
      return absl::OkStatus();
    }
    if (words.size() == 1 && words[0] == "sessions") {
      scenario_.sessions = true;
      return absl::OkStatus();
    }
    return Wrong("option: state-capacity N, expectations N, ignore-checksums, "
                 "freebsd or sessions");
  }

  ScenarioPort* FindPort(std::string_view name) {
    for (ScenarioPort& port : scenario_.ports) {
      if (port.name == name) return &port;
    }
    return nullptr;
  }

  void DefaultPorts() {
    if (scenario_.ports.empty()) {
      scenario_.ports.push_back({.name = "outside"});
      scenario_.ports.push_back({.name = "inside"});
    }
  }

  // "PACKET => RESULT => RESULT"; more results may follow on lines of their
  // own.
  absl::Status Packet(const std::string& text, SendStep& step) {
    const std::vector<std::string> parts = absl::StrSplit(text, "=>");
    step.packets.push_back({.text = Trim(parts[0]), .line = line_});
    for (size_t i = 1; i < parts.size(); ++i) {
      absl::Status status =
          OneResult(Trim(parts[i]), step.packets.back().results);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Send(const std::string& port, const std::string& value) {
    DefaultPorts();
    if (FindPort(port) == nullptr) {
      return Wrong(absl::StrCat("`", port, "` is no port and no setting"));
    }
    SendStep step{.port = port};
    absl::Status status = Packet(value, step);
    Add(std::move(step));
    return status;
  }

  absl::Status Burst(const std::vector<std::string>& words) {
    DefaultPorts();
    if (words.size() != 3 || words[2] != "{" ||
        FindPort(words[1]) == nullptr) {
      return Wrong("burst PORT { expected");
    }
    absl::StatusOr<std::vector<std::string>> block = Block();
    if (!block.ok()) return block.status();
    SendStep step{.port = words[1]};
    for (const std::string& line : NonEmpty(*block)) {
      if (absl::Status s = Packet(line, step); !s.ok()) return s;
    }
    if (step.packets.empty()) return Wrong("an empty burst");
    Add(std::move(step));
    return absl::OkStatus();
  }

  absl::Status Result(const std::string& text) {
    if (scenario_.steps.empty() || ResultsOfLast() == nullptr) {
      return Wrong("`=>` has to follow a packet");
    }
    return Results(text);
  }

  // Where results of the last step go; null: it has none.
  std::vector<ExpectedResult>* ResultsOfLast() {
    auto& action = scenario_.steps.back().action;
    if (auto* send = std::get_if<SendStep>(&action)) {
      return send->packets.size() == 1 ? &send->packets[0].results : nullptr;
    }
    if (auto* wait = std::get_if<WaitStep>(&action)) return &wait->results;
    if (auto* route = std::get_if<RouteStep>(&action)) return &route->results;
    return nullptr;
  }

  // All of a line, for the step that was added last.
  absl::Status Results(const std::string& text) {
    const std::vector<std::string> parts = absl::StrSplit(text, "=>");
    for (size_t i = 1; i < parts.size(); ++i) {
      absl::Status status = OneResult(Trim(parts[i]), *ResultsOfLast());
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status OneResult(const std::string& text,
                         std::vector<ExpectedResult>& results) {
    const std::vector<std::string> words = Words(text);
    if (words.empty()) return Wrong("`=>` what?");
    ExpectedResult result;
    if (words[0] == "drop") {
      result.drop =
          words.size() == 2 ? ParseDropReason(words[1]) : std::nullopt;
      if (!result.drop) return Wrong("drop: one reason expected");
    } else if (words[0] == "held" && words.size() == 1) {
      result.held = true;
    } else {
      const bool is_host = words[0] == "host" && !scenario_.routers.empty();
      if (FindPort(words[0]) == nullptr && !is_host) {
        return Wrong(absl::StrCat("`", words[0], "` is no port"));
      }
      result.port = words[0];
      result.packet = Trim(text.substr(words[0].size()));
    }
    results.push_back(std::move(result));
    return absl::OkStatus();
  }

  // rules {, commit {, commit refused { ... } because { ... }
  absl::Status Commit(const std::vector<std::string>& words) {
    CommitStep step;
    step.refused = words.size() == 3 && words[1] == "refused";
    if (words.back() != "{" || (words.size() != 2 && !step.refused)) {
      return Wrong("`commit {` or `commit refused {` expected");
    }
    absl::StatusOr<std::vector<std::string>> rules = Block();
    if (!rules.ok()) return rules.status();
    step.rules = absl::StrJoin(*rules, "\n") + "\n";
    if (step.refused) {
      while (next_ < lines_.size() && Trim(lines_[next_]).empty()) ++next_;
      if (next_ == lines_.size() || Trim(lines_[next_]) != "because {") {
        return Wrong("`because {` has to follow a refused commit");
      }
      ++next_;
      absl::StatusOr<std::vector<std::string>> errors = Block();
      if (!errors.ok()) return errors.status();
      step.errors = NonEmpty(*errors);
      if (step.errors.empty()) return Wrong("because of what?");
    }
    Add(std::move(step));
    return absl::OkStatus();
  }

  absl::Status File(const std::vector<std::string>& words) {
    if (words.size() != 3 || words[2] != "{") return Wrong("file NAME {");
    absl::StatusOr<std::vector<std::string>> block = Block();
    if (!block.ok()) return block.status();
    scenario_.files[words[1]] = absl::StrJoin(*block, "\n") + "\n";
    return absl::OkStatus();
  }

  absl::Status Table(const std::string& text) {
    const std::vector<std::string> parts = absl::StrSplit(text, "=>");
    std::vector<std::string> words = Words(parts[0]);
    if (words.size() < 3 || parts.size() > 2) {
      return Wrong("table NAME VERB ADDRESS... => RESULT");
    }
    TableStep step{.table = words[1], .verb = words[2]};
    step.arguments.assign(words.begin() + 3, words.end());
    if (parts.size() == 2) step.expected = Trim(parts[1]);
    Add(std::move(step));
    return absl::OkStatus();
  }

  template <typename ListStep>
  absl::Status States(const std::vector<std::string>& words) {
    ListStep step;
    if (words.size() == 2 && words[1] == "{") {
      absl::StatusOr<std::vector<std::string>> block = Block(true);
      if (!block.ok()) return block.status();
      step.lines = NonEmpty(*block);
      step.count = step.lines->size();
    } else {
      const auto count =
          words.size() == 2 ? ParseNumber(words[1]) : std::nullopt;
      if (!count || *count < 0) return Wrong("a number or `{` expected");
      step.count = static_cast<size_t>(*count);
    }
    Add(std::move(step));
    return absl::OkStatus();
  }

  absl::Status Counters(const std::vector<std::string>& words) {
    CountersStep step;
    size_t i = 1;
    if (words[0] == "tftp" || words[0] == "ftp" || words[0] == "sctp") {
      step.kind = CountersStep::Kind::kHelper;
      step.subject = words[0];
    } else if (words[0] == "limit") {
      step.kind = CountersStep::Kind::kLimit;
    } else {
      step.kind = words[0] == "rule"           ? CountersStep::Kind::kRule
                  : words[0] == "statelimiter"  ? CountersStep::Kind::kStateLimiter
                  : words[0] == "sourcelimiter" ? CountersStep::Kind::kSourceLimiter
                                                : CountersStep::Kind::kPort;
      if (words.size() < 2) return Wrong("which one?");
      step.subject = words[i++];
    }
    for (; i + 1 < words.size(); i += 2) {
      const auto value = ParseNumber(words[i + 1]);
      if (!value || *value < 0) return Wrong("a counter's value expected");
      step.values.emplace_back(words[i], static_cast<uint64_t>(*value));
    }
    if (i != words.size() || step.values.empty()) {
      return Wrong("NAME VALUE pairs expected");
    }
    Add(std::move(step));
    return absl::OkStatus();
  }

  absl::Status Kill(const std::vector<std::string>& words) {
    if (words.size() >= 2 && words[1] == "sources") {
      KillSourcesStep sources;
      if (words.size() == 4 && words[2] == "from") {
        sources.from = ParsePrefix(words[3]);
      }
      if (words.size() != 2 && !sources.from) {
        return Wrong("kill sources, kill sources from ADDRESS");
      }
      Add(sources);
      return absl::OkStatus();
    }
    KillStep step;
    if (words.size() == 2 && words[1] == "all") {
      Add(step);
      return absl::OkStatus();
    }
    if (words.size() >= 3 && words[1] == "from") {
      step.from = ParsePrefix(words[2]);
    }
    if (words.size() == 5 && words[3] == "to") step.to = ParsePrefix(words[4]);
    if (!step.from || (words.size() != 3 && !step.to)) {
      return Wrong("kill all, kill from ADDRESS, kill from A to B");
    }
    Add(step);
    return absl::OkStatus();
  }

  absl::StatusOr<Scenario> Finish() {
    DefaultPorts();
    const bool joined =
        !scenario_.segments.empty() || !scenario_.routers.empty() ||
        std::any_of(scenario_.ports.begin(), scenario_.ports.end(),
                    [](const ScenarioPort& port) { return port.vlan != 0; });
    if (scenario_.wires.empty() && !joined) {
      scenario_.wires.push_back({.first = scenario_.ports[0].name,
                                 .second = scenario_.ports.size() > 1
                                               ? scenario_.ports[1].name
                                               : ""});
    }
    for (const ScenarioWire& wire : scenario_.wires) {
      for (const std::string& name : {wire.first, wire.second}) {
        if (FindPort(name) == nullptr) {
          return Wrong(absl::StrCat("wire: `", name, "` is no port"));
        }
      }
    }
    line_ = 1;
    if (scenario_.description.empty()) return Wrong("no description");
    if (scenario_.steps.empty()) return Wrong("nothing happens");
    for (const Step& step : scenario_.steps) {
      const auto* send = std::get_if<SendStep>(&step.action);
      if (send == nullptr) continue;
      for (const SendStep::Packet& packet : send->packets) {
        line_ = packet.line;
        if (packet.results.empty()) {
          return Wrong("what becomes of the packet? `=>` expected");
        }
      }
    }
    return scenario_;
  }

  const std::vector<std::string>& lines_;
  size_t next_ = 0;
  int line_ = 0;
  size_t indent_ = 0;
  bool wanted_ = true;
  ScenarioMacros macros_;
  Scenario scenario_;
};

}  // namespace

std::optional<DropReason> ParseDropReason(std::string_view name) {
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    if (kDropReasonNames[i] == name) return static_cast<DropReason>(i);
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<Scenario>> ParseScenarioFile(
    const std::string& path, std::string_view text) {
  const std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(text.data(), text.size()), '\n');
  std::vector<Scenario> scenarios;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Parser parser(path, lines, family);
    absl::StatusOr<Scenario> scenario = parser.Parse();
    if (!parser.wanted()) continue;
    if (!scenario.ok()) return scenario.status();
    scenarios.push_back(*std::move(scenario));
  }
  if (scenarios.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: families: inet, inet6 or both"));
  }
  return scenarios;
}

}  // namespace sluice
