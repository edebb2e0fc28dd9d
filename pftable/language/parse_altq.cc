// FreeBSD's `altq on IF ...` and `queue NAME ...`, which is printed as pfctl
// prints it, and not carried out.
#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/language/parse_queues.h"
#include "pftable/language/words.h"
#include "pftable/print/print_internal.h"

namespace sluice {
namespace {

// Of an interface whose altq says no rate: pfctl asks the interface.
constexpr uint64_t kUnknownAltqRate = 1'000'000'000;

}  // namespace

// "10Mb", "1.5Mbit", "512K", "100", "20%".
bool QueueParser::ParseAltqBandwidth(AltqBandwidth& out) {
  const Token word = in_.token();
  std::string text;
  if (!in_.TakeString("a bandwidth", text, 64)) return false;
  const auto wrong = [&] {
    return in_.Error(word.place, "invalid bandwidth '" + text + "'",
                     "write a number with b, Kb, Mb, Gb or %");
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return wrong();
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() -
                                                 end));
  out = {};
  if (unit == "%" || (unit.empty() && in_.Accept('%'))) {
    if (number < 1 || number > 100) return wrong();
    out.percent = static_cast<int>(number);
    return true;
  }
  double factor = 1;
  if (unit.starts_with('K')) factor = 1e3;
  if (unit.starts_with('M')) factor = 1e6;
  if (unit.starts_with('G')) factor = 1e9;
  if (factor != 1) {
    unit.remove_prefix(1);
    if (!unit.empty() && unit != "b" && unit != "B" && unit != "bit" &&
        unit != "Bit") {
      return wrong();
    }
  } else if (!unit.empty() && unit != "b") {
    return wrong();
  }
  const double rate = number * factor;
  if (rate < 1 || rate > 1e15) return wrong();
  out.absolute = static_cast<uint64_t>(rate);
  return true;
}

// A bandwidth, or "(bandwidth ms bandwidth)".
bool QueueParser::ParseAltqCurve(AltqCurve& out) {
  out.is_set = true;
  if (!in_.Accept('(')) return ParseAltqBandwidth(out.second);
  if (!ParseAltqBandwidth(out.first)) return false;
  in_.Accept(',');
  if (!in_.TakeNumber("milliseconds", 0, 1000000, out.milliseconds)) {
    return false;
  }
  in_.Accept(',');
  return ParseAltqBandwidth(out.second) &&
         in_.Expect(')', "after a service curve");
}

// What a scheduler has in its brackets: single words, and for hfsc and fairq
// the curves.
bool QueueParser::ParseScheduler(AltqScheduler& out) {
  out.name = in_.Take().text;
  if (out.name == "codelq") out.name = "codel";
  if (!in_.Accept('(')) return true;
  const bool hfsc = out.name == "hfsc";
  const bool fairq = out.name == "fairq";
  while (!in_.Accept(')')) {
    const Token option = in_.token();
    if (option.kind != TokenKind::kWord) {
      return in_.Unexpected("an option of the scheduler");
    }
    in_.Take();
    const std::string& w = option.text;
    AltqCurve* const curve = w == "linkshare" && (hfsc || fairq)
                                 ? &out.linkshare
                             : w == "realtime" && hfsc   ? &out.realtime
                             : w == "upperlimit" && hfsc ? &out.upperlimit
                                                         : nullptr;
    constexpr std::string_view kFlags[] = {"default", "red", "ecn", "rio",
                                           "codel"};
    const bool flag = (w == "borrow" && out.name == "cbq") ||
                      (out.name == "codel"
                           ? w == "ecn"
                           : std::find(std::begin(kFlags), std::end(kFlags),
                                       w) != std::end(kFlags));
    int64_t number = 0;
    if (curve != nullptr) {
      if (curve->is_set) {
        return in_.Error(option.place, w + " already specified");
      }
      if (!ParseAltqCurve(*curve)) return false;
    } else if (w == "hogs" && fairq) {
      AltqBandwidth hogs;  // pfctl does not print them, nor the buckets
      if (!ParseAltqBandwidth(hogs)) return false;
    } else if (w == "buckets" && fairq) {
      if (!in_.TakeNumber(w, 1, 1000000, number)) return false;
    } else if ((w == "target" || w == "interval") && out.name == "codel") {
      if (!in_.TakeNumber(w, 1, 1000000,
                          w == "target" ? out.target : out.interval)) {
        return false;
      }
    } else if (flag) {
      out.flags.insert(w);
      if (w == "ecn" && out.name != "codel") out.flags.insert("red");
    } else {
      return in_.Error(option.place, "'" + w.substr(0, 64) +
                                         "' is not an option of " + out.name);
    }
    in_.Accept(',');
  }
  return true;
}

// `altq on IF ...` and FreeBSD's `queue NAME ...`.
bool QueueParser::ParseAltq(const Token& word) {
  if (word.text == "altq") return ParseAltqDefinition(word, "", word.place);
  const SourcePlace name_place = in_.token().place;
  std::string name;
  if (!in_.TakeName("a queue name", name, kMaxQueueName)) return false;
  if (name.empty()) return in_.Error(name_place, "empty queue name");
  if (ParseAltqDefinition(word, name, name_place)) return true;
  names_.DefineQueue(name, "");
  return false;
}

// `name` is empty at the root.
bool QueueParser::ParseAltqDefinition(const Token& word,
                                      const std::string& name,
                                      SourcePlace name_place) {
  const bool root = name.empty();
  AltqDefinition altq;
  if (in_.AcceptWord("on")) {
    if (!ParseInterfaces(altq.interfaces)) return false;
  } else if (root) {
    return in_.Unexpected("'on'");
  }
  if (!ParseAltqOptions(altq, root)) return false;
  if (!root) return AddAltqQueue(word, altq, name, name_place);
  if (altq.scheduler.name.empty()) {
    return in_.Error(word.place, "altq wants a scheduler",
                     "cbq, priq, hfsc, fairq or codelq");
  }
  if (altq.children.empty() && altq.scheduler.name != "codel") {
    return in_.Error(word.place, "altq has no child queues",
                     "write queue { NAME ... }");
  }
  return AddAltqRoot(word, altq);
}

bool QueueParser::ParseAltqOptions(AltqDefinition& altq, bool root) {
  std::set<std::string, std::less<>> given;
  const auto queue_list = [&] {
    altq.has_children = true;
    return in_.ParseList([&] {
      return in_.TakeName("a queue name", altq.children.emplace_back(),
                          kMaxQueueName);
    });
  };
  while (!in_.AtStatementEnd()) {
    const Token option = in_.token();
    const bool scheduler =
        option.kind == TokenKind::kWord && IsAltqScheduler(option.text);
    const bool list = option.Is('{') && !root;
    // One scheduler, whatever it is called.
    const std::string once = scheduler ? "hfsc" : option.text;
    if (!list && !given.insert(once).second) {
      return in_.Error(option.place, option.text + " is given twice");
    }
    bool ok = true;
    if (scheduler) {
      ok = ParseScheduler(altq.scheduler);
    } else if (list) {
      ok = queue_list();
    } else if (in_.AcceptWord("bandwidth")) {
      ok = ParseAltqBandwidth(altq.bandwidth);
    } else if (in_.AcceptWord("qlimit")) {
      ok = in_.TakeNumber("qlimit", 0, 65535, altq.limit);
    } else if (root && in_.AcceptWord("tbrsize")) {
      ok = in_.TakeNumber("tbrsize", 0, kMaxUint32, altq.token_bucket);
    } else if (!root && in_.AcceptWord("priority")) {
      ok = in_.TakeNumber("priority", 0, 255, altq.priority);
    } else if (root && in_.AcceptWord("queue")) {
      ok = queue_list();
    } else if (option.IsWord("parent") || option.IsWord("min") ||
               option.IsWord("max") || option.IsWord("flows")) {
      return in_.Error(option.place,
                       "syntax error: '" + option.text +
                           "' is not an option of an ALTQ queue",
                       "that is OpenBSD's: --dialect openbsd");
    } else {
      return in_.Unexpected(
          "an option of the queue",
          {"on", "bandwidth", "priority", "qlimit", "tbrsize", "queue", "cbq",
           "priq", "hfsc", "fairq", "codelq"});
    }
    if (!ok) return false;
  }
  return true;
}

// As pfctl prints it, blanks at the end included.
bool QueueParser::AddAltqRoot(const Token& word, const AltqDefinition& altq) {
  const AltqBandwidth& bandwidth = altq.bandwidth;
  const uint64_t rate =
      bandwidth.absolute > 0 ? bandwidth.absolute : bandwidth.Of(kUnknownAltqRate);
  std::string text = altq.scheduler.OptionsText(rate, rate);
  if (text.empty()) text = altq.scheduler.name + " ";
  if (bandwidth.percent != 100) text += "bandwidth " + bandwidth.Text() + " ";
  if (altq.limit != kAltqLimit) {
    text += "qlimit " + std::to_string(altq.limit) + " ";
  }
  // What it would be by the rate of the interface is not known.
  const int64_t bucket = altq.token_bucket != 0 ? altq.token_bucket
                         : bandwidth.absolute > 0
                             ? AltqTokenBucket(rate)
                             : 0;
  if (bucket != 0) text += "tbrsize " + std::to_string(bucket) + " ";
  if (altq.has_children) {
    text += "queue { ";
    for (const std::string& child : altq.children) {
      text += NameText(child, in_.dialect()) + " ";
    }
    text += "}";
  }
  for (const std::string& on : altq.interfaces) {
    altq_.interfaces[on] = {.scheduler = altq.scheduler.name,
                            .bandwidth = rate,
                            .priorities = {}};
    altq_.bandwidths[{on, ""}] = rate;
    for (const std::string& child : altq.children) {
      altq_.announced.push_back({.queue = child,
                                 .parent = "",
                                 .interface = on,
                                 .scheduler = altq.scheduler.name});
    }
    const std::string head = "altq on " + NameText(on, in_.dialect()) + " ";
    if (!AddForeign("altq", head + text, word.place)) return false;
  }
  return true;
}

bool QueueParser::CheckAltqQueue(const AltqDefinition& altq,
                                 const AltqParent& parent,
                                 SourcePlace name_place) {
  const std::string& scheduler = altq.scheduler.name;
  if (!scheduler.empty() && scheduler != parent.scheduler) {
    return in_.Error(name_place,
                     "exactly one scheduler type per interface allowed",
                     "that of " + parent.interface + " is " +
                         parent.scheduler);
  }
  AltqState::Interface& interface = altq_.interfaces[parent.interface];
  if (parent.scheduler == "priq") {
    if (altq.has_children) {
      return in_.Error(name_place, "priq queues cannot have child queues");
    }
    if (altq.bandwidth.percent != 100) {
      return in_.Error(name_place, "priq doesn't take bandwidth");
    }
    if (!interface.priorities.insert(altq.priority).second) {
      return in_.Error(name_place,
                       parent.queue +
                           " does not have a unique priority on interface " +
                           parent.interface);
    }
  }
  const int64_t most = parent.scheduler == "priq"  ? 15
                       : parent.scheduler == "cbq" ? 7
                                                   : 255;
  if (altq.priority > most) {
    return in_.Error(name_place,
                     "priority out of range: max " + std::to_string(most));
  }
  return true;
}

bool QueueParser::AddAltqQueue(const Token& word, const AltqDefinition& altq,
                               const std::string& name,
                               SourcePlace name_place) {
  names_.DefineQueue(name, "");
  if (in_.in_body() || !draft_.input().anchor.empty()) {
    return AddForeign("queue", "", word.place);
  }
  std::vector<std::string> interfaces = altq.interfaces;
  if (interfaces.empty()) interfaces = {""};
  bool found = false;
  for (const std::string& on : interfaces) {
    // Without an interface it is on each that announced it, and shown once.
    bool shown = false;
    const std::vector<AltqParent> announced = altq_.announced;
    for (const AltqParent& parent : announced) {
      if (parent.queue != name || (!on.empty() && on != parent.interface)) {
        continue;
      }
      found = true;
      if (altq_.bandwidths.contains({parent.interface, name})) {
        return in_.Error(name_place, "queue " + name + " is defined twice");
      }
      if (!CheckAltqQueue(altq, parent, name_place)) return false;
      const uint64_t above =
          altq_.bandwidths[{parent.interface, parent.parent}];
      const uint64_t rate = altq.bandwidth.Of(above);
      altq_.bandwidths[{parent.interface, name}] = rate;
      for (const std::string& child : altq.children) {
        if (child == name) {
          return in_.Error(name_place, "queue cannot have itself as child");
        }
        altq_.announced.push_back({.queue = child,
                                   .parent = name,
                                   .interface = parent.interface,
                                   .scheduler = parent.scheduler});
      }
      if (shown && on.empty()) continue;
      shown = true;
      std::string text = "queue " + NameText(name, in_.dialect()) + " ";
      if (!on.empty()) text += "on " + NameText(on, in_.dialect()) + " ";
      if (parent.scheduler != "priq" && altq.bandwidth.percent != 100) {
        const AltqBandwidth shown_rate = {.percent = altq.bandwidth.percent,
                                          .absolute = rate};
        text += "bandwidth " + shown_rate.Text() + " ";
      }
      if (altq.priority != kAltqPriority) {
        text += "priority " + std::to_string(altq.priority) + " ";
      }
      if (altq.limit != kAltqLimit && altq.limit != 0) {
        text += "qlimit " + std::to_string(altq.limit) + " ";
      }
      text += altq.scheduler.OptionsText(rate, above);
      if (altq.has_children) {
        text += "{ ";
        for (const std::string& child : altq.children) {
          text += NameText(child, in_.dialect()) + " ";
        }
        text += "}";
      }
      if (!AddForeign("queue", text, word.place)) return false;
    }
  }
  return found || in_.Error(name_place, "queue " + name + " has no parent",
                            "an altq or a queue above names it: queue { " +
                                name + " }");
}

}  // namespace sluice
