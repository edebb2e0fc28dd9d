// Options of rules for parts that a dataplane has not: queues, limiters,
// routing tables, sockets, dummynet. A load refuses them by name.
#include "pftable/language/parse_filter_options.h"

#include <string>
#include <utility>

#include "pftable/language/words.h"

namespace sluice {

bool RuleOptionParser::ParseForeignOption(RuleSyntax& rule, const Token& word,
                                          bool& known) {
  ForeignOptions& f = rule.rule.foreign;
  const std::string& w = word.text;
  int64_t number = 0;
  known = true;
  if ((w == "state" || w == "source") && in_.token().IsWord("limiter")) {
    in_.Take();
    std::string& name = w == "state" ? f.state_limiter : f.source_limiter;
    if (!name.empty()) {
      return in_.Error(word.place, "'" + w + " limiter' is given twice");
    }
    if (!in_.TakeString("a limiter's name", name, 63)) return false;
    if (name.empty()) return in_.Error(word.place, "empty limiter name");
    if (!in_.Accept('(')) return true;
    const bool blocks = in_.AcceptWord("block");
    if (!blocks && !in_.AcceptWord("no-match")) {
      return in_.Unexpected("block or no-match");
    }
    (w == "state" ? f.state_limiter_blocks : f.source_limiter_blocks) = blocks;
    return in_.Expect(')', "after what a limiter does");
  }
  if (w == "queue") {
    if (!f.queue.empty()) return in_.Error(word.place, "queue is given twice");
    const auto name = [&](std::string& out) {
      const SourcePlace place = in_.token().place;
      if (!in_.TakeString("a queue name", out, 63)) return false;
      names_.UseQueue(out, place);
      return true;
    };
    if (!in_.Accept('(')) return name(f.queue);
    if (!name(f.queue)) return false;
    in_.Accept(',');
    return name(f.priority_queue) && in_.Expect(')', "after two queue names");
  }
  if (w == "rtable") {
    if (!in_.TakeNumber("rtable", 0, 255, number)) return false;
    f.rtable = static_cast<int32_t>(number);
    return true;
  }
  if (w == "divert-reply") {
    f.divert = DivertKind::kReply;
    return true;
  }
  if (w == "divert-packet") {
    f.divert = DivertKind::kPacket;
    if (!in_.AcceptWord("port")) return in_.Unexpected("'port'");
    if (!in_.TakeNumber("port", 1, 65535, number)) return false;
    f.divert_port = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "divert-to") {
    f.divert = DivertKind::kTo;
    const Token target = in_.token();
    std::string text;
    if (!in_.TakeString("an address or a divert port", text, 255)) return false;
    if (in_.AcceptWord("port")) {
      f.divert_address = ParseAddress(text);
      if (!f.divert_address) {
        return in_.Error(target.place,
                         "could not parse divert address " + text);
      }
      // FreeBSD diverts to a port alone.
      if (in_.InDialect(Dialect::kFreeBsd)) {
        f.divert_address.reset();
      } else {
        rule.rule.family = f.divert_address->family;
      }
      if (!in_.TakeNumber("port", 1, 65535, number)) return false;
    } else if (in_.InDialect(Dialect::kOpenBsd)) {
      return in_.Error(target.place, "divert-to wants an address and a port",
                       "write `divert-to ADDRESS port N`; FreeBSD's pf has the "
                       "port alone: --dialect freebsd");
    } else {
      const auto port = ParseUnsigned(text);
      if (!port || *port == 0 || *port > 65535) {
        return in_.Error(target.place, "illegal divert port " + text,
                         "write `divert-to ADDRESS port N`");
      }
      number = static_cast<int64_t>(*port);
    }
    f.divert_port = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "dnpipe" || w == "dnqueue") {
    f.dummynet_is_queue = w == "dnqueue";
    const bool pair = in_.Accept('(');
    if (!in_.TakeNumber(w, pair ? 0 : 1, 65535, number)) return false;
    f.dummynet_pipe = static_cast<uint16_t>(number);
    if (!pair) return true;
    if (in_.Accept(',') || !in_.token().Is(')')) {
      if (!in_.TakeNumber(w, 1, 65535, number)) return false;
      f.dummynet_return_pipe = static_cast<uint16_t>(number);
    }
    return in_.Expect(')', "after " + w);
  }
  known = false;
  return true;
}

}  // namespace sluice
