#include "pftable/language/parse_state.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {

bool StateParser::ParseState(RuleSyntax& rule, StateKind kind) {
  rule.state_given = true;
  rule.rule.state = kind;
  return !in_.token().Is('(') || ParseBrackets(rule);
}

bool StateParser::ParseBrackets(RuleSyntax& rule) {
  if (rule.rule.state == StateKind::kNone) {
    return in_.Error(in_.token().place, "'no state' has no options");
  }
  in_.Accept('(');
  rule.state_options_given = true;
  if (!ParseStateOptions(rule.rule.state_options, rule.state_lock_given)) {
    return false;
  }
  return in_.Expect(')', "after state options");
}

bool StateParser::ParseStateOptions(StateOptions& options, bool& lock_given) {
  const SourcePlace place = in_.token().place;
  bool track_given = false;
  bool global_given = false;
  do {
    const bool track = in_.token().IsWord("source-track");
    if (track && track_given) {
      return in_.Error(in_.token().place,
                       "state option 'source-track' multiple "
                       "definitions");
    }
    track_given = track_given || track;
    if (track) {
      in_.Take();
      options.source_track = SourceTrack::kGlobal;
      if (in_.AcceptWord("rule")) {
        options.source_track = SourceTrack::kRule;
      } else {
        global_given = in_.AcceptWord("global");
      }
    } else if (!ParseStateOption(options, lock_given)) {
      return false;
    }
  } while (in_.Accept(',') ||
           (!in_.token().Is(')') && !in_.AtStatementEnd()));

  const bool by_rule = options.max_src_nodes != 0 ||
                       options.max_src_conn != 0 ||
                       options.max_src_conn_rate.IsSet();
  // A bare `source-track` is what the limits beside it want.
  if (global_given) {
    if (by_rule) {
      const char* name = options.max_src_nodes  ? "max-src-nodes"
                         : options.max_src_conn ? "max-src-conn"
                                                : "max-src-conn-rate";
      return in_.Error(place,
                       "'" + std::string(name) +
                           "' is incompatible with 'source-track global'");
    }
  } else if (by_rule) {
    options.source_track = SourceTrack::kRule;
  } else if (options.max_src_states != 0 && !track_given) {
    options.source_track = SourceTrack::kGlobal;
  }
  if (!options.overload_table.empty() && options.max_src_conn == 0 &&
      !options.max_src_conn_rate.IsSet()) {
    return in_.Error(place,
                     "'overload' requires 'max-src-conn' or "
                     "'max-src-conn-rate'");
  }
  // A source must be remembered for as long as its rate looks back.
  if (options.max_src_conn_rate.IsSet()) {
    auto timeout = std::find_if(
        options.timeouts.begin(), options.timeouts.end(),
        [](const auto& t) { return t.first == Timeout::kSourceTrack; });
    if (timeout == options.timeouts.end()) {
      options.timeouts.emplace_back(Timeout::kSourceTrack,
                                    options.max_src_conn_rate.seconds);
    } else {
      timeout->second =
          std::max(timeout->second, options.max_src_conn_rate.seconds);
    }
  }
  std::sort(options.timeouts.begin(), options.timeouts.end());
  return true;
}

bool StateParser::ParseStateOption(StateOptions& options, bool& lock_given) {
  const Token word = in_.token();
  if (word.kind != TokenKind::kWord) return in_.Unexpected("a state option");
  in_.Take();
  const std::string& w = word.text;
  int64_t number = 0;
  const auto count = [&](uint32_t& out, int64_t least = 1) {
    if (out != 0) {
      return in_.Error(word.place,
                       "state option '" + w + "' multiple definitions");
    }
    if (!in_.TakeNumber("'" + w + "'", least, kMaxUint32, number)) {
      return false;
    }
    out = static_cast<uint32_t>(number);
    return true;
  };
  const auto once = [&](bool& out) {
    if (out) {
      return in_.Error(word.place,
                       "state option '" + w + "' multiple definitions");
    }
    out = true;
    return true;
  };
  // pf takes 0 for no limit.
  if (w == "max") return count(options.max_states, 0);
  if (w == "max-src-nodes") return count(options.max_src_nodes);
  if (w == "max-src-states") return count(options.max_src_states);
  if (w == "max-src-conn") return count(options.max_src_conn);
  if (w == "max-src-conn-rate") {
    if (options.max_src_conn_rate.IsSet()) {
      return in_.Error(word.place,
                       "state option '" + w + "' multiple definitions");
    }
    return in_.ParseRate(w, options.max_src_conn_rate);
  }
  if (w == "no-sync") return once(options.no_sync);
  if (w == "sloppy") return once(options.sloppy);
  if (w == "pflow") return once(options.pflow);
  if (w == "no-helpers") return once(options.no_helpers);
  if (w == "allow-related") return once(options.allow_related);
  if (w == "if-bound" || w == "floating") {
    if (!once(lock_given)) return false;
    options.if_bound = w == "if-bound";
    return true;
  }
  if (w == "overload") {
    if (!options.overload_table.empty()) {
      return in_.Error(word.place,
                       "state option 'overload' multiple definitions");
    }
    if (!in_.token().Is('<')) return in_.Unexpected("a table in '<' and '>'");
    const SourcePlace place = in_.token().place;
    if (!hosts_.ParseTableName(options.overload_table)) return false;
    names_.UseTable(options.overload_table, place);
    if (in_.AcceptWord("flush")) {
      options.overload_flush = true;
      options.overload_flush_global = in_.AcceptWord("global");
    }
    return true;
  }
  const auto timeout =
      std::find(kTimeoutNames.begin(), kTimeoutNames.end(), w);
  if (timeout == kTimeoutNames.end()) {
    std::vector<std::string_view> names(kTimeoutNames.begin(),
                                        kTimeoutNames.end());
    names.insert(names.end(), ReservedWords().begin(), ReservedWords().end());
    return in_.Error(word.place,
                     "unknown state option '" + w.substr(0, 64) + "'",
                     DidYouMean(w, names));
  }
  const auto which =
      static_cast<Timeout>(timeout - kTimeoutNames.begin());
  if (which == Timeout::kFragment || which == Timeout::kInterval) {
    return in_.Error(word.place, "timeout '" + w + "' cannot be set per rule");
  }
  for (const auto& [given, seconds] : options.timeouts) {
    if (given == which) {
      return in_.Error(word.place,
                       "state timeout " + w + " multiple definitions");
    }
  }
  if (!in_.TakeNumber("timeout " + w, 0, kMaxUint32, number)) return false;
  const bool adaptive = which == Timeout::kAdaptiveStart ||
                        which == Timeout::kAdaptiveEnd;
  if (number == 0 && !adaptive) return true;  // the filter's holds
  options.timeouts.emplace_back(which, static_cast<uint32_t>(number));
  return true;
}

}  // namespace sluice
