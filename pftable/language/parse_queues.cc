#include "pftable/language/parse_queues.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxForeignText = 4096;

// Bits a second with the largest unit that keeps it whole.
std::string RateText(uint64_t rate) {
  // pfctl has a blank for no unit.
  constexpr std::string_view kUnits[] = {" ", "K", "M", "G"};
  size_t unit = 0;
  while (unit < 3 && rate >= 1000 && rate % 1000 == 0) {
    rate /= 1000;
    ++unit;
  }
  return std::to_string(rate) + std::string(kUnits[unit]);
}

}  // namespace

// "10M", "512K", "1G", "100".
bool QueueParser::ParseBandwidth(std::string& out) {
  const Token word = in_.token();
  std::string text;
  if (!in_.TakeString("a bandwidth", text, 64)) return false;
  const auto wrong = [&] {
    return in_.Error(word.place, "invalid bandwidth '" + text + "'",
                     "write a number with K, M or G, or none");
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return wrong();
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() -
                                                 end));
  if (unit == "%" || (unit.empty() && in_.Accept('%'))) return wrong();
  if (unit.ends_with('b')) unit.remove_suffix(1);
  double factor = 1;
  if (unit == "K") factor = 1e3;
  if (unit == "M") factor = 1e6;
  if (unit == "G") factor = 1e9;
  if (factor == 1 && !unit.empty()) return wrong();
  const double rate = number * factor;
  if (rate < 1 || rate > 1e15) return wrong();
  out = RateText(static_cast<uint64_t>(rate));
  return true;
}

// OpenBSD: BANDWIDTH [ burst BANDWIDTH for TIMEms ].
bool QueueParser::ParseQueueRate(std::string_view what, std::string& out) {
  std::string rate;
  if (!ParseBandwidth(rate)) return false;
  out = std::string(what) + " " + rate;
  if (!in_.AcceptWord("burst")) return true;
  if (!ParseBandwidth(rate)) return false;
  if (!in_.AcceptWord("for")) return in_.Unexpected("'for'");
  const Token time = in_.token();
  std::string text;
  if (!in_.TakeString("a time in ms", text, 32)) return false;
  if (text.ends_with("ms")) text.resize(text.size() - 2);
  const auto milliseconds = ParseUnsigned(text);
  if (!milliseconds || *milliseconds == 0 || *milliseconds > 1000000) {
    return in_.Error(time.place, "invalid time '" + time.text + "'",
                     "write milliseconds, as in 100ms");
  }
  out += " burst " + rate + " for " + std::to_string(*milliseconds) + "ms";
  return true;
}

bool QueueParser::ParseQueue(const Token& word) {
  const SourcePlace name_place = in_.token().place;
  std::string name;
  if (!in_.TakeName("a queue name", name, kMaxQueueName)) return false;
  if (name.empty()) return in_.Error(name_place, "empty queue name");
  if (ParseQueueDefinition(word, name, name_place)) return true;
  // So that its mistake is not one of all that use it.
  names_.DefineQueue(name, "");
  return false;
}

bool QueueParser::ParseQueueDefinition(const Token& word,
                                       const std::string& name,
                                       SourcePlace name_place) {
  struct {
    std::vector<std::string> on;
    std::string parent, bandwidth, min, max;
    int64_t flows = 0, quantum = 0, limit = 0;
    bool is_default = false;
  } q;
  const auto once = [&](const Token& option, bool given) {
    return !given || in_.Error(option.place, option.text + " is given twice");
  };
  while (!in_.AtStatementEnd()) {
    if (in_.Accept(',')) continue;
    const Token option = in_.token();
    if (in_.AcceptWord("on")) {
      if (!once(option, !q.on.empty()) || !ParseInterfaces(q.on)) return false;
    } else if (in_.AcceptWord("parent")) {
      if (!once(option, !q.parent.empty()) ||
          !in_.TakeName("a queue name", q.parent, kMaxQueueName)) {
        return false;
      }
    } else if (in_.AcceptWord("bandwidth")) {
      if (!once(option, !q.bandwidth.empty()) ||
          !ParseQueueRate("bandwidth", q.bandwidth)) {
        return false;
      }
    } else if (in_.AcceptWord("min")) {
      if (!once(option, !q.min.empty()) || !ParseQueueRate("min", q.min)) {
        return false;
      }
    } else if (in_.AcceptWord("max")) {
      if (!once(option, !q.max.empty()) || !ParseQueueRate("max", q.max)) {
        return false;
      }
    } else if (in_.AcceptWord("flows")) {
      if (!once(option, q.flows != 0) ||
          !in_.TakeNumber("flows", 1, 32767, q.flows)) {
        return false;
      }
    } else if (in_.AcceptWord("quantum")) {
      if (!once(option, q.quantum != 0) ||
          !in_.TakeNumber("quantum", 1, 65535, q.quantum)) {
        return false;
      }
    } else if (in_.AcceptWord("qlimit")) {
      if (!once(option, q.limit != 0) ||
          !in_.TakeNumber("qlimit", 1, 65535, q.limit)) {
        return false;
      }
    } else if (in_.AcceptWord("default")) {
      if (!once(option, q.is_default)) return false;
      q.is_default = true;
    } else {
      const bool altq = in_.token().Is('{') || in_.token().IsWord("priority") ||
                        IsAltqScheduler(in_.token().text);
      if (!altq) {
        return in_.Unexpected(
            "an option of the queue",
            {"on", "parent", "bandwidth", "min", "max", "flows", "quantum",
             "qlimit", "default", "burst", "for"});
      }
      return in_.Error(option.place,
                       "syntax error: '" + option.text.substr(0, 64) +
                           "' is not an option of a queue",
                       "that is FreeBSD's ALTQ: --dialect freebsd");
    }
  }
  if (q.bandwidth.empty() && q.flows == 0) {
    return in_.Error(name_place, "queue " + name + " has no bandwidth",
                     "write bandwidth or flows");
  }
  if (q.bandwidth.empty() && !(q.min.empty() && q.max.empty())) {
    return in_.Error(name_place, "min and max want a bandwidth");
  }
  if (q.quantum != 0 && q.flows == 0) {
    return in_.Error(name_place, "quantum wants flows");
  }
  if (!q.parent.empty() && !names_.HasQueue(q.parent)) {
    return in_.Error(name_place, "parent queue " + q.parent + " is not defined",
                     DidYouMean(q.parent, names_.QueueNames()));
  }
  if (q.parent.empty() && q.on.empty()) {
    return in_.Error(
        name_place, "queue " + name + " has neither a parent nor an interface");
  }
  names_.DefineQueue(name, q.parent);
  std::string text;
  if (q.flows != 0) text += " flows " + std::to_string(q.flows);
  if (q.quantum != 0) text += " quantum " + std::to_string(q.quantum);
  if (!q.bandwidth.empty()) text += " " + q.bandwidth;
  if (!q.min.empty()) text += ", " + q.min;
  if (!q.max.empty()) text += ", " + q.max;
  if (q.is_default) text += " default";
  if (q.limit != 0) text += " qlimit " + std::to_string(q.limit);
  // One queue on each interface; below a parent it is where that is.
  if (q.on.empty() || !q.parent.empty()) q.on = {""};
  for (const std::string& on : q.on) {
    if (!queues_.insert(name + '\n' + q.parent + '\n' + on).second) {
      return in_.Error(name_place, "queue " + name + " is defined twice");
    }
    std::string head = "queue " + NameText(name, in_.dialect());
    if (!q.parent.empty()) {
      head += " parent " + NameText(q.parent, in_.dialect());
    } else {
      head += " on " + NameText(on, in_.dialect());
    }
    const size_t index = draft_.policy().foreign.size();
    if (!AddForeign("queue", head + text, word.place)) return false;
    tree_.push_back({.name = name, .parent = q.parent, .index = index});
  }
  return true;
}

void QueueParser::Finish() {
  std::vector<ForeignDefinition>& all = draft_.policy().foreign;
  std::multimap<std::string_view, size_t> children;  // by their parent
  for (size_t i = 0; i < tree_.size(); ++i) {
    if (tree_[i].index >= all.size()) return;
    children.emplace(tree_[i].parent, i);
  }
  std::vector<size_t> order;
  // Those to be placed next, the next one last: a chain may be as long as the
  // text is.
  std::vector<size_t> next;
  const auto put_children = [&](std::string_view parent) {
    const auto [first, last] = children.equal_range(parent);
    const size_t begin = next.size();
    for (auto at = first; at != last; ++at) next.push_back(at->second);
    std::reverse(next.begin() + static_cast<ptrdiff_t>(begin), next.end());
    children.erase(first, last);
  };
  put_children("");
  while (!next.empty()) {
    const Node& node = tree_[next.back()];
    next.pop_back();
    order.push_back(node.index);
    put_children(node.name);
  }
  // A parent is defined before its children, so that all have got a place.
  if (order.size() != tree_.size()) return;
  std::vector<ForeignDefinition> sorted;
  sorted.reserve(order.size());
  for (const size_t index : order) sorted.push_back(std::move(all[index]));
  for (size_t i = 0; i < sorted.size(); ++i) {
    all[tree_[i].index] = std::move(sorted[i]);
  }
}

bool QueueParser::ParseInterfaces(std::vector<std::string>& out) {
  return in_.ParseList([&] {
    const SourcePlace place = in_.token().place;
    if (in_.token().Is('!')) {
      return in_.Error(place, "a queue on ! <interface> is not supported");
    }
    if (!in_.TakeInterface(out.emplace_back())) return false;
    names_.UseInterface(out.back(), place);
    return true;
  });
}

// `state limiter NAME ...`, `source limiter NAME ...`.
bool QueueParser::ParseLimiter(const Token& word) {
  const bool source = word.text == "source";
  if (!in_.AcceptWord("limiter")) return in_.Unexpected("'limiter'");
  const SourcePlace name_place = in_.token().place;
  std::string name;
  if (!in_.TakeName("a limiter's name", name, kMaxQueueName)) return false;
  LimiterDefinition made;
  made.name = name;
  made.by_source = source;
  std::string id, entries, limit, rate, inet, inet6, table;
  const auto number = [&](std::string_view what, int64_t low, int64_t high,
                          std::string& out, auto& to) {
    if (!out.empty()) {
      return in_.Error(in_.token().place,
                       std::string(what) + " is given twice");
    }
    int64_t value = 0;
    if (!in_.TakeNumber(what, low, high, value)) return false;
    out = " " + std::string(what) + " " + std::to_string(value);
    to = static_cast<std::remove_reference_t<decltype(to)>>(value);
    return true;
  };
  while (!in_.AtStatementEnd()) {
    if (in_.Accept(',')) continue;
    if (in_.AcceptWord("id")) {
      if (!number("id", 1, 255, id, made.id)) return false;
    } else if (in_.AcceptWord("limit")) {
      if (!number("limit", 1, kMaxUint32, limit, made.limit)) return false;
    } else if (source && in_.AcceptWord("entries")) {
      if (!number("entries", 1, kMaxUint32, entries, made.entries)) {
        return false;
      }
    } else if (in_.AcceptWord("rate")) {
      RateLimit given;
      if (!rate.empty())
        return in_.Error(in_.token().place, "rate is given twice");
      if (!in_.ParseRate("rate", given)) return false;
      rate = " rate " + std::to_string(given.count) + "/" +
             std::to_string(given.seconds);
      made.rate = given;
    } else if (source &&
               (in_.token().IsWord("inet") || in_.token().IsWord("inet6"))) {
      const bool six = in_.Take().text == "inet6";
      if (!in_.AcceptWord("mask")) return in_.Unexpected("'mask'");
      if (!number("mask", 0, six ? 128 : 32, six ? inet6 : inet,
                  six ? made.mask6 : made.mask4)) {
        return false;
      }
    } else if (source && in_.AcceptWord("table")) {
      std::string table_name;
      std::string above, below;
      if (!in_.token().Is('<')) return in_.Unexpected("a table in '<' and '>'");
      const SourcePlace table_place = in_.token().place;
      if (!hosts_.ParseTableName(table_name)) return false;
      names_.UseTable(table_name, table_place);
      if (!in_.AcceptWord("above")) return in_.Unexpected("'above'");
      made.table = table_name;
      if (!number("above", 1, kMaxUint32, above, made.above)) return false;
      if (in_.AcceptWord("below") &&
          !number("below", 0, kMaxUint32, below, made.below)) {
        return false;
      }
      table = " table <" + NameText(table_name, in_.dialect()) + ">" + above + below;
    } else {
      return in_.Unexpected(
          "an option of the limiter",
          {"id", "limit", "entries", "rate", "inet", "inet6", "mask", "table"});
    }
  }
  if (id.empty()) return in_.Error(name_place, "a limiter wants an id");
  if (source ? entries.empty() : limit.empty()) {
    return in_.Error(name_place, source ? "a source limiter wants entries"
                                        : "a state limiter wants a limit");
  }
  std::string text = word.text + " limiter " + QuotedText(name) + id +
                     entries + limit + rate;
  if (!inet.empty()) text += " inet" + inet;
  if (!inet6.empty()) text += " inet6" + inet6;
  if (!AddForeign(word.text + " limiter", text + table, word.place)) {
    return false;
  }
  draft_.policy().foreign.back().limiter = std::move(made);
  return true;
}

bool QueueParser::AddForeign(std::string kind, std::string text,
                             SourcePlace place) {
  if (text.size() > kMaxForeignText) {
    return in_.Error(place, "definition too long, at most 4096 bytes");
  }
  if (!draft_.CheckOrder(Section::kQueue, place)) return false;
  if (in_.in_body() || !draft_.input().anchor.empty()) {
    // FreeBSD's pfctl does not look at those of an anchor's file.
    if (!in_.in_body() && in_.InDialect(Dialect::kFreeBsd)) return true;
    return in_.Error(place, "queue definitions in an anchor",
                     "they belong in the main ruleset");
  }
  draft_.policy().foreign.push_back(
      {.kind = std::move(kind),
       .text = std::move(text),
       .place = place,
       .order = draft_.NextOrder()});
  return true;
}

}  // namespace sluice
