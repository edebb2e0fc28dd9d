// `keep state (...)` and `scrub (...)`.
#include <algorithm>
#include <string>
#include <utility>

#include "pftable/language/parser_internal.h"

namespace sluice {
bool Parser::ParseState(RuleSyntax& rule, StateKind kind) {
  rule.state_given = true;
  rule.rule.state = kind;
  if (!token_.Is('(')) return true;
  if (kind == StateKind::kNone) {
    return Error(token_.place, "'no state' has no options");
  }
  Accept('(');
  if (!ParseStateOptions(rule.rule.state_options, rule.state_lock_given)) {
    return false;
  }
  return Expect(')', "after state options");
}

// Up to a ')' or the end of the statement.
bool Parser::ParseStateOptions(StateOptions& options, bool& lock_given) {
  const SourcePlace place = token_.place;
  bool track_given = false;
  do {
    const bool track = token_.IsWord("source-track");
    if (track && track_given) {
      return Error(token_.place, "state option 'source-track' multiple "
                                 "definitions");
    }
    track_given = track_given || track;
    if (!ParseStateOption(options, lock_given)) return false;
    Accept(',');
  } while (!token_.Is(')') && !AtStatementEnd());

  const bool by_rule = options.max_src_nodes != 0 ||
                       options.max_src_conn != 0 ||
                       options.max_src_conn_rate.IsSet();
  if (track_given && options.source_track == SourceTrack::kGlobal) {
    if (by_rule) {
      const char* name = options.max_src_nodes  ? "max-src-nodes"
                         : options.max_src_conn ? "max-src-conn"
                                                : "max-src-conn-rate";
      return Error(place, "'" + std::string(name) +
                              "' is incompatible with 'source-track global'");
    }
  } else if (by_rule) {
    options.source_track = SourceTrack::kRule;
  } else if (options.max_src_states != 0 && !track_given) {
    options.source_track = SourceTrack::kGlobal;
  }
  if (!options.overload_table.empty() && options.max_src_conn == 0 &&
      !options.max_src_conn_rate.IsSet()) {
    return Error(place, "'overload' requires 'max-src-conn' or "
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

bool Parser::ParseStateOption(StateOptions& options, bool& lock_given) {
  const Token word = token_;
  if (word.kind != TokenKind::kWord) return Unexpected("a state option");
  Take();
  const std::string& w = word.text;
  int64_t number = 0;
  const auto count = [&](uint32_t& out) {
    if (out != 0) {
      return Error(word.place,
                   "state option '" + w + "' multiple definitions");
    }
    if (!TakeNumber("'" + w + "'", 1, kMaxUint32, number)) return false;
    out = static_cast<uint32_t>(number);
    return true;
  };
  const auto once = [&](bool& out) {
    if (out) {
      return Error(word.place,
                   "state option '" + w + "' multiple definitions");
    }
    out = true;
    return true;
  };
  if (w == "max") return count(options.max_states);
  if (w == "max-src-nodes") return count(options.max_src_nodes);
  if (w == "max-src-states") return count(options.max_src_states);
  if (w == "max-src-conn") return count(options.max_src_conn);
  if (w == "max-src-conn-rate") {
    if (options.max_src_conn_rate.IsSet()) {
      return Error(word.place,
                   "state option '" + w + "' multiple definitions");
    }
    return ParseRate(w, options.max_src_conn_rate);
  }
  if (w == "no-sync") return once(options.no_sync);
  if (w == "sloppy") return once(options.sloppy);
  if (w == "pflow") return once(options.pflow);
  if (w == "allow-related") return once(options.allow_related);
  if (w == "if-bound" || w == "floating") {
    if (!once(lock_given)) return false;
    options.if_bound = w == "if-bound";
    return true;
  }
  if (w == "source-track") {
    options.source_track = SourceTrack::kGlobal;
    if (AcceptWord("rule")) {
      options.source_track = SourceTrack::kRule;
    } else {
      AcceptWord("global");
    }
    return true;
  }
  if (w == "overload") {
    if (!options.overload_table.empty()) {
      return Error(word.place,
                   "state option 'overload' multiple definitions");
    }
    if (!token_.Is('<')) return Unexpected("a table in '<' and '>'");
    const SourcePlace place = token_.place;
    if (!ParseTableName(options.overload_table)) return false;
    UseTable(options.overload_table, place);
    if (AcceptWord("flush")) {
      options.overload_flush = true;
      options.overload_flush_global = AcceptWord("global");
    }
    return true;
  }
  const auto timeout =
      std::find(kTimeoutNames.begin(), kTimeoutNames.end(), w);
  if (timeout == kTimeoutNames.end()) {
    std::vector<std::string_view> names(kTimeoutNames.begin(),
                                        kTimeoutNames.end());
    names.insert(names.end(), ReservedWords().begin(), ReservedWords().end());
    return Error(word.place, "unknown state option '" + w.substr(0, 64) + "'",
                 DidYouMean(w, names));
  }
  const auto which =
      static_cast<Timeout>(timeout - kTimeoutNames.begin());
  if (which == Timeout::kFragment || which == Timeout::kInterval) {
    return Error(word.place, "timeout '" + w + "' cannot be set per rule");
  }
  for (const auto& [given, seconds] : options.timeouts) {
    if (given == which) {
      return Error(word.place,
                   "state timeout " + w + " multiple definitions");
    }
  }
  if (!TakeNumber("timeout " + w, 0, kMaxUint32, number)) return false;
  options.timeouts.emplace_back(which, static_cast<uint32_t>(number));
  return true;
}

// In a filter rule the options stand in brackets; a scrub rule has them bare.
bool Parser::ParseScrubOptions(ScrubOptions& scrub, bool in_rule) {
  if (in_rule && !Expect('(', "after 'scrub'")) return false;
  if (in_rule && token_.Is(')')) return Unexpected("a scrub option");
  while (in_rule ? !Accept(')') : !AtStatementEnd()) {
    const Token word = token_;
    if (word.kind != TokenKind::kWord) return Unexpected("a scrub option");
    Take();
    bool known = false;
    if (!ParseScrubOption(scrub, word, known)) return false;
    if (!known) {
      std::string hint =
          DidYouMean(word.text, {"no-df", "random-id", "min-ttl", "max-mss",
                                 "set-tos", "reassemble"});
      if (hint.empty()) {
        hint = "the options are no-df, random-id, min-ttl N, max-mss N, "
               "set-tos N and reassemble tcp";
      }
      return Error(word.place,
                   "unknown scrub option '" + word.text.substr(0, 64) + "'",
                   std::move(hint));
    }
    Accept(',');
  }
  return true;
}

bool Parser::ParseScrubOption(ScrubOptions& scrub, const Token& word,
                              bool& known) {
  const std::string& w = word.text;
  int64_t number = 0;
  const auto twice = [&] {
    return Error(word.place, w + " cannot be respecified");
  };
  known = true;
  if (w == "no-df") {
    if (scrub.no_df) return twice();
    scrub.no_df = true;
    return true;
  }
  if (w == "random-id") {
    if (scrub.random_id) return twice();
    scrub.random_id = true;
    return true;
  }
  if (w == "min-ttl") {
    if (scrub.min_ttl != 0) return twice();
    if (!TakeNumber("min-ttl", 1, 255, number)) return false;
    scrub.min_ttl = static_cast<uint8_t>(number);
    return true;
  }
  if (w == "max-mss") {
    if (scrub.max_mss != 0) return twice();
    if (!TakeNumber("max-mss", 1, 65535, number)) return false;
    scrub.max_mss = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "set-tos") {
    if (scrub.set_tos) return twice();
    scrub.set_tos.emplace(0);
    return ParseTos(*scrub.set_tos);
  }
  if (w == "reassemble") {
    if (scrub.reassemble_tcp) return twice();
    if (!AcceptWord("tcp")) {
      return Error(token_.place, "scrub reassemble supports only tcp");
    }
    scrub.reassemble_tcp = true;
    return true;
  }
  known = false;
  return true;
}

}  // namespace sluice
