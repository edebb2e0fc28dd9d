// Definitions of queues and limiters: OpenBSD's queues, FreeBSD's ALTQ, and
// the limiters for states and sources. None is carried out here: they are
// read by their grammar, printed, and refused by name on a load.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "pftable/language/parser_internal.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxQueueName = 63;
constexpr size_t kMaxForeignText = 4096;

constexpr std::string_view kSchedulers[] = {"cbq", "priq", "hfsc", "fairq",
                                            "codel"};

bool IsScheduler(std::string_view word) {
  return std::find(std::begin(kSchedulers), std::end(kSchedulers), word) !=
         std::end(kSchedulers);
}

// Bits a second with the largest unit that keeps it whole.
std::string RateText(uint64_t rate, std::string_view suffix) {
  constexpr std::string_view kUnits[] = {"", "K", "M", "G"};
  size_t unit = 0;
  while (unit < 3 && rate >= 1000 && rate % 1000 == 0) {
    rate /= 1000;
    ++unit;
  }
  return std::to_string(rate) + std::string(kUnits[unit]) +
         std::string(suffix);
}

}  // namespace

// "10M", "512K", "1G", "100", and FreeBSD's "10Mb", "20%".
bool Parser::ParseBandwidth(std::string& out) {
  const Token word = token_;
  std::string text;
  if (!TakeString("a bandwidth", text, 64)) return false;
  const bool freebsd = InDialect(Dialect::kFreeBsd);
  const auto wrong = [&] {
    return Error(word.place, "invalid bandwidth '" + text + "'",
                 freebsd ? "write a number with b, Kb, Mb, Gb or %"
                         : "write a number with K, M or G, or none");
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return wrong();
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() -
                                                 end));
  const bool percent = unit == "%" || (unit.empty() && Accept('%'));
  if (percent) {
    if (!freebsd || number < 1 || number > 100) return wrong();
    out = std::to_string(static_cast<int>(number)) + "%";
    return true;
  }
  if (unit.ends_with('b')) unit.remove_suffix(1);
  double factor = 1;
  if (unit == "K") factor = 1e3;
  if (unit == "M") factor = 1e6;
  if (unit == "G") factor = 1e9;
  if (factor == 1 && !unit.empty()) return wrong();
  const double rate = number * factor;
  if (rate < 1 || rate > 1e15) return wrong();
  out = RateText(static_cast<uint64_t>(rate), freebsd ? "b" : "");
  return true;
}

// OpenBSD: BANDWIDTH [ burst BANDWIDTH for TIMEms ].
bool Parser::ParseQueueRate(std::string_view what, std::string& out) {
  std::string rate;
  if (!ParseBandwidth(rate)) return false;
  out = std::string(what) + " " + rate;
  if (!AcceptWord("burst")) return true;
  if (!ParseBandwidth(rate)) return false;
  if (!AcceptWord("for")) return Unexpected("'for'");
  const Token time = token_;
  std::string text;
  if (!TakeString("a time in ms", text, 32)) return false;
  if (text.ends_with("ms")) text.resize(text.size() - 2);
  const auto milliseconds = ParseUnsigned(text);
  if (!milliseconds || *milliseconds == 0 || *milliseconds > 1000000) {
    return Error(time.place, "invalid time '" + time.text + "'",
                 "write milliseconds, as in 100ms");
  }
  out += " burst " + rate + " for " + std::to_string(*milliseconds) + "ms";
  return true;
}

bool Parser::ParseQueue(const Token& word) {
  const SourcePlace name_place = token_.place;
  std::string name;
  if (!TakeString("a queue name", name, kMaxQueueName)) return false;
  if (name.empty()) return Error(name_place, "empty queue name");
  if (ParseQueueDefinition(word, name, name_place)) return true;
  // So that its mistake is not one of all that use it.
  DefineQueue(name, "");
  return false;
}

bool Parser::ParseQueueDefinition(const Token& word, const std::string& name,
                                  SourcePlace name_place) {
  struct {
    std::string on, parent, bandwidth, min, max;
    int64_t flows = 0, quantum = 0, limit = 0;
    bool is_default = false;
  } q;
  const auto once = [&](const Token& option, bool given) {
    return !given || Error(option.place, option.text + " is given twice");
  };
  while (!AtStatementEnd()) {
    if (Accept(',')) continue;
    const Token option = token_;
    if (AcceptWord("on")) {
      const SourcePlace on_place = token_.place;
      if (!once(option, !q.on.empty()) ||
          !TakeString("an interface name", q.on, kMaxInterfaceName)) {
        return false;
      }
      UseInterface(q.on, on_place);
    } else if (AcceptWord("parent")) {
      if (!once(option, !q.parent.empty()) ||
          !TakeString("a queue name", q.parent, kMaxQueueName)) {
        return false;
      }
    } else if (AcceptWord("bandwidth")) {
      if (!once(option, !q.bandwidth.empty()) ||
          !ParseQueueRate("bandwidth", q.bandwidth)) {
        return false;
      }
    } else if (AcceptWord("min")) {
      if (!once(option, !q.min.empty()) || !ParseQueueRate("min", q.min)) {
        return false;
      }
    } else if (AcceptWord("max")) {
      if (!once(option, !q.max.empty()) || !ParseQueueRate("max", q.max)) {
        return false;
      }
    } else if (AcceptWord("flows")) {
      if (!once(option, q.flows != 0) ||
          !TakeNumber("flows", 1, 32767, q.flows)) {
        return false;
      }
    } else if (AcceptWord("quantum")) {
      if (!once(option, q.quantum != 0) ||
          !TakeNumber("quantum", 1, 65535, q.quantum)) {
        return false;
      }
    } else if (AcceptWord("qlimit")) {
      if (!once(option, q.limit != 0) ||
          !TakeNumber("qlimit", 1, 65535, q.limit)) {
        return false;
      }
    } else if (AcceptWord("default")) {
      if (!once(option, q.is_default)) return false;
      q.is_default = true;
    } else {
      const bool altq = token_.Is('{') || token_.IsWord("priority") ||
                        IsScheduler(token_.text);
      if (!altq) {
        return Unexpected("an option of the queue",
                          {"on", "parent", "bandwidth", "min", "max", "flows",
                           "quantum", "qlimit", "default", "burst", "for"});
      }
      return Error(option.place,
                   "syntax error: '" + option.text.substr(0, 64) +
                       "' is not an option of a queue",
                   "that is FreeBSD's ALTQ: --dialect freebsd");
    }
  }
  if (q.bandwidth.empty() && q.flows == 0) {
    return Error(name_place, "queue " + name + " has no bandwidth",
                 "write bandwidth or flows");
  }
  if (q.bandwidth.empty() && !(q.min.empty() && q.max.empty())) {
    return Error(name_place, "min and max want a bandwidth");
  }
  if (q.quantum != 0 && q.flows == 0) {
    return Error(name_place, "quantum wants flows");
  }
  if (!q.parent.empty() && !queues_.contains(q.parent)) {
    return Error(name_place, "parent queue " + q.parent + " is not defined",
                 DidYouMean(q.parent, {queues_.begin(), queues_.end()}));
  }
  if (q.parent.empty() && q.on.empty()) {
    return Error(name_place,
                 "queue " + name + " has neither a parent nor an interface");
  }
  if (queues_.contains(name)) {
    return Error(name_place, "queue " + name + " is defined twice");
  }
  DefineQueue(name, q.parent);
  std::string text = "queue " + NameText(name);
  if (!q.parent.empty()) text += " parent " + NameText(q.parent);
  if (!q.on.empty()) text += " on " + NameText(q.on);
  if (q.flows != 0) text += " flows " + std::to_string(q.flows);
  if (q.quantum != 0) text += " quantum " + std::to_string(q.quantum);
  if (!q.bandwidth.empty()) text += " " + q.bandwidth;
  if (!q.min.empty()) text += ", " + q.min;
  if (!q.max.empty()) text += ", " + q.max;
  if (q.is_default) text += " default";
  if (q.limit != 0) text += " qlimit " + std::to_string(q.limit);
  return AddForeign("queue", std::move(text), word.place);
}

// What an ALTQ scheduler has in its brackets: single words, and for the curves
// of hfsc and fairq a bandwidth or "(bandwidth ms bandwidth)".
bool Parser::ParseScheduler(std::string& out) {
  const std::string scheduler = Take().text;
  out = scheduler;
  if (!Accept('(')) return true;
  const auto allowed = [&](std::string_view flag) {
    constexpr std::string_view kFlags[] = {"default", "red", "ecn", "rio",
                                           "codel"};
    if (flag == "borrow") return scheduler == "cbq";
    return std::find(std::begin(kFlags), std::end(kFlags), flag) !=
           std::end(kFlags);
  };
  std::string options;
  while (!Accept(')')) {
    const Token option = token_;
    if (option.kind != TokenKind::kWord) {
      return Unexpected("an option of the scheduler");
    }
    Take();
    std::string text = option.text;
    const bool curve = text == "linkshare" || text == "realtime" ||
                       text == "upperlimit" || text == "hogs";
    if (curve && (scheduler == "hfsc" || scheduler == "fairq")) {
      std::string rate;
      if (Accept('(')) {
        std::string second;
        int64_t milliseconds = 0;
        if (!ParseBandwidth(rate)) return false;
        Accept(',');
        if (!TakeNumber("milliseconds", 0, 1000000, milliseconds)) {
          return false;
        }
        Accept(',');
        if (!ParseBandwidth(second) ||
            !Expect(')', "after a service curve")) {
          return false;
        }
        rate = "(" + rate + " " + std::to_string(milliseconds) + " " +
               second + ")";
      } else if (!ParseBandwidth(rate)) {
        return false;
      }
      text += " " + rate;
    } else if ((scheduler == "fairq" && text == "buckets") ||
               (scheduler == "codel" &&
                (text == "target" || text == "interval"))) {
      int64_t number = 0;
      if (!TakeNumber(text, 1, 1000000, number)) return false;
      text += " " + std::to_string(number);
    } else if (!allowed(text)) {
      return Error(option.place, "'" + text.substr(0, 64) +
                                     "' is not an option of " + scheduler);
    }
    options += options.empty() ? text : " " + text;
    Accept(',');
  }
  if (!options.empty()) out += "(" + options + ")";
  return true;
}

// `altq on IF ...` and FreeBSD's `queue NAME ...`.
bool Parser::ParseAltq(const Token& word) {
  if (word.text == "altq") return ParseAltqDefinition(word, "", word.place);
  const SourcePlace name_place = token_.place;
  std::string name;
  if (!TakeString("a queue name", name, kMaxQueueName)) return false;
  if (name.empty()) return Error(name_place, "empty queue name");
  if (ParseAltqDefinition(word, name, name_place)) return true;
  DefineQueue(name, "");
  return false;
}

// `name` is empty at the root.
bool Parser::ParseAltqDefinition(const Token& word, const std::string& name,
                                 SourcePlace name_place) {
  const bool root = name.empty();
  std::string text = word.text;
  if (!root) text += " " + NameText(name);
  if (AcceptWord("on")) {
    std::string on;
    const SourcePlace on_place = token_.place;
    if (!TakeString("an interface name", on, kMaxInterfaceName)) return false;
    UseInterface(on, on_place);
    text += " on " + NameText(on);
  } else if (root) {
    return Unexpected("'on'");
  }
  // In pfctl's order, whatever that of the text.
  std::string scheduler, bandwidth, qlimit, tbrsize, priority;
  std::vector<std::string> children;
  bool has_children = false;
  const auto number = [&](std::string_view what, int64_t most,
                          std::string& out) {
    int64_t value = 0;
    if (!TakeNumber(what, 0, most, value)) return false;
    out = " " + std::string(what) + " " + std::to_string(value);
    return true;
  };
  const auto queue_list = [&] {
    has_children = true;
    return ParseList([&] {
      return TakeString("a queue name", children.emplace_back(),
                        kMaxQueueName);
    });
  };
  while (!AtStatementEnd()) {
    const Token option = token_;
    const auto twice = [&](const std::string& value) {
      return !value.empty() &&
             !Error(option.place, option.text + " is given twice");
    };
    if (AcceptWord("bandwidth")) {
      std::string rate;
      if (twice(bandwidth) || !ParseBandwidth(rate)) return false;
      bandwidth = " bandwidth " + rate;
    } else if (AcceptWord("qlimit")) {
      if (twice(qlimit) || !number("qlimit", 65535, qlimit)) return false;
    } else if (root && AcceptWord("tbrsize")) {
      if (twice(tbrsize) || !number("tbrsize", kMaxUint32, tbrsize)) {
        return false;
      }
    } else if (!root && AcceptWord("priority")) {
      if (twice(priority) || !number("priority", 255, priority)) return false;
    } else if (token_.kind == TokenKind::kWord && IsScheduler(token_.text)) {
      if (twice(scheduler) || !ParseScheduler(scheduler)) return false;
    } else if (root && AcceptWord("queue")) {
      if (has_children) return Error(option.place, "queue is given twice");
      if (!queue_list()) return false;
    } else if (!root && token_.Is('{')) {
      if (!queue_list()) return false;
    } else {
      const bool flow = token_.IsWord("parent") || token_.IsWord("min") ||
                        token_.IsWord("max") || token_.IsWord("flows");
      if (!flow) {
        return Unexpected("an option of the queue",
                          {"on", "bandwidth", "priority", "qlimit", "tbrsize",
                           "queue", "cbq", "priq", "hfsc", "fairq", "codel"});
      }
      return Error(option.place,
                   "syntax error: '" + option.text +
                       "' is not an option of an ALTQ queue",
                   "that is OpenBSD's: --dialect openbsd");
    }
  }
  if (root && scheduler.empty()) {
    return Error(word.place, "altq wants a scheduler",
                 "cbq, priq, hfsc, fairq or codel");
  }
  if (root && children.empty() && scheduler.rfind("codel", 0) != 0) {
    return Error(word.place, "altq has no child queues",
                 "write queue { NAME ... }");
  }
  const auto scheduler_text = [&] {
    return scheduler.empty() ? "" : " " + scheduler;
  };
  if (root) text += scheduler_text();
  text += bandwidth + priority + qlimit + tbrsize;
  if (!root) text += scheduler_text();
  if (has_children) {
    text += root ? " queue {" : " {";
    for (const std::string& child : children) text += " " + NameText(child);
    text += " }";
  }
  if (!root && queues_.contains(name)) {
    return Error(name_place, "queue " + name + " is defined twice");
  }
  if (!root) DefineQueue(name, "");
  return AddForeign(root ? "altq" : "queue", std::move(text), word.place);
}

// `state limiter NAME ...`, `source limiter NAME ...`.
bool Parser::ParseLimiter(const Token& word) {
  const bool source = word.text == "source";
  if (!AcceptWord("limiter")) return Unexpected("'limiter'");
  const SourcePlace name_place = token_.place;
  std::string name;
  if (!TakeString("a limiter's name", name, kMaxQueueName)) return false;
  std::string id, entries, limit, rate, inet, inet6, table;
  const auto number = [&](std::string_view what, int64_t low, int64_t high,
                          std::string& out) {
    if (!out.empty()) {
      return Error(token_.place, std::string(what) + " is given twice");
    }
    int64_t value = 0;
    if (!TakeNumber(what, low, high, value)) return false;
    out = " " + std::string(what) + " " + std::to_string(value);
    return true;
  };
  while (!AtStatementEnd()) {
    if (Accept(',')) continue;
    if (AcceptWord("id")) {
      if (!number("id", 1, 255, id)) return false;
    } else if (AcceptWord("limit")) {
      if (!number("limit", 1, kMaxUint32, limit)) return false;
    } else if (source && AcceptWord("entries")) {
      if (!number("entries", 1, kMaxUint32, entries)) return false;
    } else if (AcceptWord("rate")) {
      RateLimit given;
      if (!rate.empty()) return Error(token_.place, "rate is given twice");
      if (!ParseRate("rate", given)) return false;
      rate = " rate " + std::to_string(given.count) + "/" +
             std::to_string(given.seconds);
    } else if (source &&
               (token_.IsWord("inet") || token_.IsWord("inet6"))) {
      const bool six = Take().text == "inet6";
      if (!AcceptWord("mask")) return Unexpected("'mask'");
      if (!number("mask", 0, six ? 128 : 32, six ? inet6 : inet)) return false;
    } else if (source && AcceptWord("table")) {
      std::string table_name;
      std::string above, below;
      if (!token_.Is('<')) return Unexpected("a table in '<' and '>'");
      const SourcePlace table_place = token_.place;
      if (!ParseTableName(table_name)) return false;
      UseTable(table_name, table_place);
      if (!AcceptWord("above")) return Unexpected("'above'");
      if (!number("above", 1, kMaxUint32, above)) return false;
      if (AcceptWord("below") && !number("below", 0, kMaxUint32, below)) {
        return false;
      }
      table = " table <" + NameText(table_name) + ">" + above + below;
    } else {
      return Unexpected("an option of the limiter",
                        {"id", "limit", "entries", "rate", "inet", "inet6",
                         "mask", "table"});
    }
  }
  if (id.empty()) return Error(name_place, "a limiter wants an id");
  if (source ? entries.empty() : limit.empty()) {
    return Error(name_place, source ? "a source limiter wants entries"
                                    : "a state limiter wants a limit");
  }
  std::string text = word.text + " limiter " + QuotedText(name) + id +
                     entries + limit + rate;
  if (!inet.empty()) text += " inet" + inet;
  if (!inet6.empty()) text += " inet6" + inet6;
  return AddForeign(word.text + " limiter", text + table, word.place);
}

bool Parser::AddForeign(std::string kind, std::string text,
                        SourcePlace place) {
  if (text.size() > kMaxForeignText) {
    return Error(place, "definition too long, at most 4096 bytes");
  }
  if (!CheckOrder(Section::kQueue, place)) return false;
  result_.policy.foreign.push_back(
      {.kind = std::move(kind), .text = std::move(text), .place = place});
  return true;
}

}  // namespace sluice
