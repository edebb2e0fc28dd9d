#include "pftable/language/parse_options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/names.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

constexpr std::string_view kOptionWords[] = {
    "block-policy", "debug",          "fail-policy",  "fingerprints",
    "helpers",      "hostid",       "keepcounters",   "limit",
    "loginterface",
    "optimization", "reassemble",     "require-order",
    "ruleset-optimization", "skip",   "state-defaults", "state-policy",
    "syncookies",   "timeout",
};

// FreeBSD's pf wants the others before the first rule.
constexpr std::string_view kAnywhere[] = {
    "helpers",        "hostid",       "keepcounters",
    "ruleset-optimization",           "skip",
    "state-defaults", "state-policy", "syncookies",
};

struct OptimizationWord {
  std::string_view word;
  Optimization value;
  // tcp.first, opening, established, closing, finwait, closed, tsdiff: the
  // table of values behind `set optimization`.
  std::array<uint32_t, 7> seconds;
};
constexpr std::array<uint32_t, 7> kNormal = {120, 30, 86400, 900, 45, 90, 30};
constexpr std::array<uint32_t, 7> kSatellite = {180, 35, 86400, 905,
                                                 75,  95, 60};
constexpr OptimizationWord kOptimizations[] = {
    {"normal", Optimization::kNormal, kNormal},
    {"default", Optimization::kNormal, kNormal},
    {"satellite", Optimization::kSatellite, kSatellite},
    {"high-latency", Optimization::kHighLatency, kSatellite},
    {"conservative",
     Optimization::kConservative,
     {3600, 900, 432000, 3600, 600, 180, 60}},
    {"aggressive",
     Optimization::kAggressive,
     {30, 5, 18000, 60, 30, 30, 10}},
};

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// Names of timeouts, limits and levels have no case.
template <typename Words>
auto FindWord(const Words& words, std::string_view text) {
  return std::find_if(words.begin(), words.end(), [&](std::string_view word) {
    return EqualsIgnoringCase(word, text);
  });
}

}  // namespace

void SetParser::Given(SourcePlace place, std::string text) {
  draft_.policy().options.given.push_back(
      {.text = std::move(text), .place = place, .order = draft_.NextOrder()});
}

bool SetParser::ParseOption(SourcePlace place) {
  if (in_.in_body() || draft_.in_loaded_anchor()) {
    return in_.Error(place, "options cannot be set in an anchor");
  }
  const Token word = in_.token();
  if (word.kind != TokenKind::kWord) return in_.Unexpected("an option");
  in_.Take();
  const std::string& w = word.text;
  Options& options = draft_.policy().options;
  if (w == "require-order") {
    if (!ParseOnOff(w, options.require_order)) return false;
    Given(place, "require-order " +
                     std::string(options.require_order ? "yes" : "no"));
    return true;
  }
  if (!std::count(std::begin(kAnywhere), std::end(kAnywhere), w) &&
      !draft_.CheckOrder(Section::kOption, place)) {
    return false;
  }
  const auto policy = [&](BlockReturn& out) {
    if (in_.AcceptWord("drop")) {
      out = BlockReturn::kDrop;
    } else if (in_.AcceptWord("return")) {
      out = BlockReturn::kReturn;
    } else {
      return in_.Unexpected("drop or return", {"drop", "return"});
    }
    Given(place, w + (out == BlockReturn::kDrop ? " drop" : " return"));
    return true;
  };
  if (w == "block-policy") return policy(options.block_policy);
  if (w == "fail-policy") return policy(options.fail_policy);
  if (w == "skip") return ParseSetSkip(place);
  if (w == "limit") return ParseSetLimit(place);
  if (w == "timeout") return ParseSetTimeout(place);
  if (w == "syncookies") return ParseSetSyncookies(place);
  if (w == "reassemble") return ParseSetReassemble(place);
  if (w == "helpers") {
    if (!ParseOnOff(w, options.helpers)) return false;
    Given(place, "helpers " + std::string(options.helpers ? "yes" : "no"));
    return true;
  }
  if (w == "keepcounters") {
    options.keep_counters = true;
    Given(place, w);
    return true;
  }
  if (w == "state-policy") {
    if (in_.AcceptWord("if-bound")) {
      options.state_policy_if_bound = true;
    } else if (in_.AcceptWord("floating")) {
      options.state_policy_if_bound = false;
    } else {
      return in_.Unexpected("if-bound or floating", {"if-bound", "floating"});
    }
    Given(place, w + (options.state_policy_if_bound ? " if-bound"
                                                    : " floating"));
    return true;
  }
  if (w == "state-defaults") {
    if (state_defaults_given_) {
      return in_.Error(word.place, "cannot redefine state-defaults");
    }
    state_defaults_given_ = true;
    StateOptions defaults;
    bool lock_given = false;
    if (!states_.ParseStateOptions(defaults, lock_given)) return false;
    if (!lock_given) {
      defaults.if_bound = options.state_policy_if_bound;
    } else if (!defaults.if_bound) {
      defaults.floating_given = options.state_policy_if_bound;
    }
    options.state_defaults = std::move(defaults);
    const std::string text = StateOptionsText(*options.state_defaults);
    Given(place, w + " " + (text.empty() ? "floating" : text));
    return true;
  }
  if (w == "hostid") {
    int64_t id = 0;
    if (!in_.TakeNumber("hostid", 0, kMaxUint32, id)) return false;
    if (id == 0) return in_.Error(word.place, "hostid must be non-zero");
    options.host_id = static_cast<uint32_t>(id);
    std::array<char, 16> text;
    const int length = std::snprintf(text.data(), text.size(), "0x%08x",
                                     options.host_id);
    Given(place, w + " " + std::string(text.data(),
                                       static_cast<size_t>(length)));
    return true;
  }
  std::string text;
  const Token value = in_.token();
  if (w == "loginterface") {
    if (in_.AcceptWord("all")) {
      text = "all";
    } else if (!in_.TakeName("an interface name", text, kMaxInterfaceName)) {
      return false;
    }
    options.log_interface = text == "none" ? "" : text;
    if (text != "none") names_.UseInterface(text, value.place);
    Given(place, w + " " + text);
    return true;
  }
  if (w == "fingerprints") return ParseSetFingerprints(place);
  if (w == "fingerprint" && draft_.input().unnamed_by_number) {
    return ParseSetFingerprint();
  }
  if (w == "debug") {
    if (!in_.TakeString("a debug level", text, 32)) return false;
    const auto words = DebugWords(in_.dialect());
    if (FindWord(words, text) == words.end()) {
      const auto other =
          DebugWords(in_.InDialect(Dialect::kOpenBsd) ? Dialect::kFreeBsd
                                                      : Dialect::kOpenBsd);
      std::string hint = "the levels are";
      for (std::string_view l : words) hint += ' ' + std::string(l);
      if (std::find(other.begin(), other.end(), text) != other.end()) {
        hint = "that is a level of the other dialect; " + hint;
      }
      return in_.Error(value.place, "unknown debug level '" + text + "'", hint);
    }
    options.debug = std::string(*FindWord(words, text));
    Given(place, w + " " + text);
    return true;
  }
  if (w == "optimization") {
    if (!in_.TakeName("an optimization", text, 32)) return false;
    for (const OptimizationWord& o : kOptimizations) {
      if (!EqualsIgnoringCase(o.word, text)) continue;
      ApplyOptimization(o.value);
      Given(place, w + " " + text);
      return true;
    }
    std::vector<std::string_view> words;
    for (const OptimizationWord& o : kOptimizations) words.push_back(o.word);
    std::string hint = DidYouMean(text, words);
    if (hint.empty()) {
      hint = "normal, high-latency, satellite, aggressive or conservative";
    }
    return in_.Error(value.place, "unknown optimization '" + text + "'",
                     std::move(hint));
  }
  if (w == "ruleset-optimization") {
    if (in_.AcceptWord("none")) {
      options.ruleset_optimization = RulesetOptimization::kNone;
    } else if (in_.AcceptWord("basic")) {
      options.ruleset_optimization = RulesetOptimization::kBasic;
    } else if (in_.AcceptWord("profile")) {
      options.ruleset_optimization = RulesetOptimization::kProfile;
    } else {
      return in_.Unexpected("none, basic or profile",
                            {"none", "basic", "profile"});
    }
    Given(place, w + " " + value.text);
    return true;
  }
  return in_.Error(
      word.place, "unknown option '" + w.substr(0, 64) + "'",
      DidYouMean(w, {std::begin(kOptionWords), std::end(kOptionWords)}));
}

void SetParser::ApplyOptimization(Optimization optimization) {
  Options& options = draft_.policy().options;
  options.optimization = optimization;
  constexpr std::array<Timeout, 7> kTimeouts = {
      Timeout::kTcpFirst,   Timeout::kTcpOpening, Timeout::kTcpEstablished,
      Timeout::kTcpClosing, Timeout::kTcpFinWait, Timeout::kTcpClosed,
      Timeout::kTcpTsDiff};
  for (const OptimizationWord& o : kOptimizations) {
    if (o.value != optimization) continue;
    for (size_t i = 0; i < kTimeouts.size(); ++i) {
      options.timeouts[static_cast<size_t>(kTimeouts[i])] = o.seconds[i];
    }
    return;
  }
}

bool SetParser::ParseOnOff(std::string_view what, bool& value) {
  if (in_.AcceptWord("yes")) {
    value = true;
    return true;
  }
  if (in_.AcceptWord("no")) {
    value = false;
    return true;
  }
  return in_.Unexpected("yes or no after '" + std::string(what) + "'",
                        {"yes", "no"});
}

bool SetParser::ParseSetReassemble(SourcePlace place) {
  bool yes = false;
  if (!ParseOnOff("reassemble", yes)) return false;
  // As in pf, "no no-df" is read, printed, and means no.
  const bool no_df = in_.AcceptWord("no-df");
  draft_.policy().options.reassemble = !yes    ? Reassembly::kNo
                                       : no_df ? Reassembly::kYesNoDf
                                               : Reassembly::kYes;
  Given(place, std::string("reassemble ") + (yes ? "yes" : "no") +
                   (no_df ? " no-df" : ""));
  return true;
}

bool SetParser::ParseSetLimit(SourcePlace place) {
  return in_.ParseList([&] {
    const Token name = in_.token();
    std::string text;
    if (!in_.TakeString("a limit", text, 64)) return false;
    const auto limit = FindWord(kLimitNames, text);
    if (limit == kLimitNames.end()) {
      return in_.Error(
          name.place, "unknown limit '" + text + "'",
          DidYouMean(text, {kLimitNames.begin(), kLimitNames.end()}));
    }
    int64_t value = 0;
    if (!in_.TakeNumber("limit " + text, 0, kMaxUint32, value)) return false;
    draft_.policy()
        .options.limits[static_cast<size_t>(limit - kLimitNames.begin())] =
        static_cast<uint32_t>(value);
    Given(place, "limit " + text + " " + std::to_string(value));
    return true;
  });
}

bool SetParser::ParseSetTimeout(SourcePlace place) {
  return in_.ParseList([&] {
    const Token name = in_.token();
    std::string text;
    if (!in_.TakeString("a timeout", text, 64)) return false;
    const auto timeout = FindWord(kTimeoutNames, text);
    if (timeout == kTimeoutNames.end()) {
      return in_.Error(
          name.place, "unknown timeout '" + text + "'",
          DidYouMean(text, {kTimeoutNames.begin(), kTimeoutNames.end()}));
    }
    int64_t value = 0;
    if (!in_.TakeNumber("timeout " + text, 0, kMaxUint32, value)) return false;
    const auto index = static_cast<size_t>(timeout - kTimeoutNames.begin());
    draft_.policy().options.timeouts[index] = static_cast<uint32_t>(value);
    timeout_given_[index] = true;
    Given(place, "timeout " + text + " " + std::to_string(value));
    return true;
  });
}

bool SetParser::ParseSetSkip(SourcePlace place) {
  const auto none = [&] {
    draft_.policy().options.skip.clear();
    Given(place, "skip on none");
    return true;
  };
  if (in_.AtStatementEnd()) return none();
  if (!in_.AcceptWord("on")) {
    return in_.Error(in_.token().place,
                     "syntax error: '" + in_.token().text +
                         "' where 'on' is wanted",
                     "write set skip on " + in_.token().text);
  }
  std::vector<InterfaceItem> interfaces;
  if (!heads_.ParseInterfaces(interfaces, false)) return false;
  if (interfaces.size() == 1 && interfaces[0].match.name == "none" &&
      !interfaces[0].match.negated) {
    names_.ForgetInterface("none");
    return none();
  }
  std::string text = "skip on {";
  for (const InterfaceItem& i : interfaces) {
    if (i.rdomain >= 0) {
      return in_.Error(i.place, "'skip' is for interfaces and groups");
    }
    if (i.match.negated) {
      return in_.Error(i.place, "'skip' has no '!'");
    }
    draft_.policy().options.skip.push_back(i.match);
    text += " " + i.match.name;
  }
  Given(place, text + " }");
  return true;
}

bool SetParser::ParseSetSyncookies(SourcePlace place) {
  Options& options = draft_.policy().options;
  const auto plain = [&](Syncookies value, std::string_view name) {
    if (in_.token().Is('(')) {
      return in_.Error(in_.token().place,
                       "syncookies start/end only apply to adaptive");
    }
    options.syncookies = value;
    Given(place, "syncookies " + std::string(name));
    return true;
  };
  if (in_.AcceptWord("never")) return plain(Syncookies::kNever, "never");
  if (in_.AcceptWord("always")) return plain(Syncookies::kAlways, "always");
  if (!in_.AcceptWord("adaptive")) {
    return in_.Unexpected("never, always or adaptive",
                          {"never", "always", "adaptive"});
  }
  options.syncookies = Syncookies::kAdaptive;
  std::string text = "syncookies adaptive";
  // FreeBSD's pfctl says always what holds.
  bool given = in_.InDialect(Dialect::kFreeBsd) || std::any_of(options.given.begin(), options.given.end(),
                           [](const Options::Given& g) {
                             return g.text.starts_with("syncookies adaptive (");
                           });
  if (in_.Accept('(')) {
    given = true;
    std::optional<uint8_t> start;
    std::optional<uint8_t> end;
    while (!in_.Accept(')')) {
      const Token word = in_.token();
      if (!in_.AcceptWord("start") && !in_.AcceptWord("end")) {
        return in_.Unexpected("start or end", {"start", "end"});
      }
      const SourcePlace at = in_.token().place;
      std::string percent;
      if (!in_.TakeString("a percentage", percent, 16)) return false;
      const bool sign = !percent.empty() && percent.back() == '%';
      if (sign) percent.pop_back();
      if (!sign && in_.Accept('%')) percent += "";
      const auto number = ParseUnsigned(percent);
      if (!number || *number == 0 || *number > 100) {
        return in_.Error(
            at, "syncookies " + word.text + " wants a percentage, as in 25%");
      }
      (word.text == "start" ? start : end) = static_cast<uint8_t>(*number);
      in_.Accept(',');
    }
    // What is left out goes by the other one.
    options.syncookies_start_percent =
        start.value_or(Options(in_.dialect()).syncookies_start_percent);
    options.syncookies_end_percent = end.value_or(
        static_cast<uint8_t>(options.syncookies_start_percent / 2));
    if (options.syncookies_start_percent <= options.syncookies_end_percent) {
      return in_.Error(place, "syncookies: 'start' must be above 'end'");
    }
  }
  if (given) {
    text += " (start " + std::to_string(options.syncookies_start_percent) +
            "%, end " + std::to_string(options.syncookies_end_percent) + "%)";
  }
  Given(place, std::move(text));
  return true;
}

void SetParser::TakeOptions(const Options& base) {
  Options& options = draft_.policy().options;
  options = base;
  options.dialect = in_.dialect();
  options.require_order = Options(in_.dialect()).require_order;
  for (Options::Given& given : options.given) {
    given.place = {};
    given.order = 0;
    if (!given.text.starts_with("timeout ")) continue;
    const std::string_view text = std::string_view(given.text).substr(8);
    const auto timeout = FindWord(kTimeoutNames, text.substr(0, text.find(' ')));
    timeout_given_[static_cast<size_t>(timeout - kTimeoutNames.begin())] = true;
  }
}

void SetParser::FinishOptions() {
  Options& options = draft_.policy().options;
  const auto at = [](Timeout t) { return static_cast<size_t>(t); };
  // Adaptive timeouts follow the limit unless they are given.
  const uint64_t states = options.limit(Limit::kStates);
  if (!timeout_given_[at(Timeout::kAdaptiveStart)] &&
      !timeout_given_[at(Timeout::kAdaptiveEnd)]) {
    options.adaptive_by_room = states == UINT32_MAX;
    options.timeouts[at(Timeout::kAdaptiveStart)] =
        static_cast<uint32_t>(states * 6 / 10);
    options.timeouts[at(Timeout::kAdaptiveEnd)] = static_cast<uint32_t>(
        std::min<uint64_t>(states * 12 / 10, kMaxUint32));
  }
  // `set timeout` wins over `set optimization`, wherever it stands.
  for (const Options::Given& given : options.given) {
    if (given.text.rfind("timeout ", 0) != 0) continue;
    const size_t space = given.text.rfind(' ');
    const std::string_view name =
        std::string_view(given.text).substr(8, space - 8);
    const auto timeout =
        std::find(kTimeoutNames.begin(), kTimeoutNames.end(), name);
    options.timeouts[static_cast<size_t>(timeout - kTimeoutNames.begin())] =
        static_cast<uint32_t>(
            ParseUnsigned(given.text.substr(space + 1)).value_or(0));
  }
}

}  // namespace sluice
