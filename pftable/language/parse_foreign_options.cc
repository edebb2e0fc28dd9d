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
    if (!in_.TakeName("a limiter's name", name, 63)) return false;
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
      if (!in_.TakeName("a queue name", out, 63)) return false;
      names_.UseQueue(out, place);
      return true;
    };
    if (!in_.Accept('(')) return name(f.queue);
    if (!name(f.queue)) return false;
    if (in_.Accept(')')) return true;
    in_.Accept(',');
    return name(f.priority_queue) && in_.Expect(')', "after two queue names");
  }
  if (w == "rtable") {
    if (!in_.TakeNumber("rtable", 0, 255, number)) return false;
    f.rtable = static_cast<int32_t>(number);
    return true;
  }
  if (w == "divert-reply" || w == "divert-packet" || w == "divert-to") {
    return ParseDivert(rule, word);
  }
  if (w == "dnpipe" || w == "dnqueue") {
    f.dummynet_is_queue = w == "dnqueue";
    const bool pair = in_.Accept('(');
    if (!in_.TakeNumber(w, 0, 65535, number)) return false;
    f.dummynet_pipe = static_cast<uint16_t>(number);
    if (!pair) return true;
    if (in_.Accept(',') || !in_.token().Is(')')) {
      if (!in_.TakeNumber(w, 0, 65535, number)) return false;
      f.dummynet_return_pipe = static_cast<uint16_t>(number);
    }
    return in_.Expect(')', "after " + w);
  }
  known = false;
  return true;
}

bool RuleOptionParser::ParseDivert(RuleSyntax& rule, const Token& word) {
  ForeignOptions& f = rule.rule.foreign;
  const bool openbsd = in_.InDialect(Dialect::kOpenBsd);
  if (f.divert != DivertKind::kNone) {
    return in_.Error(word.place, "more than one divert option");
  }
  rule.divert_place = word.place;
  const auto port = [&] {
    const Token number = in_.token();
    std::string text;
    if (!in_.TakeString("a port", text, 255) ||
        !ports_.ParsePortNumber(text, number.place, f.divert_port)) {
      return false;
    }
    return f.divert_port != 0 ||
           in_.Error(number.place, "invalid divert port: 0");
  };
  if (word.text == "divert-reply") {
    f.divert = DivertKind::kReply;
    return openbsd ||
           in_.Error(word.place,
                     "divert-reply has no meaning in FreeBSD's pf",
                     "that is OpenBSD's: --dialect openbsd");
  }
  if (word.text == "divert-packet") {
    f.divert = DivertKind::kPacket;
    if (!in_.AcceptWord("port")) return in_.Unexpected("'port'");
    return port();
  }
  f.divert = DivertKind::kTo;
  const Token target = in_.token();
  if (!target.IsString() && target.kind != TokenKind::kNumber) {
    return in_.Unexpected("an address or a divert port");
  }
  in_.Take();
  if (in_.AcceptWord("port")) {
    // FreeBSD diverts to a port alone, whatever the address is.
    if (!openbsd) return port();
    return hosts_.ResolveHost(target, -1, false, rule.divert) && port();
  }
  if (openbsd) {
    return in_.Error(target.place, "divert-to wants an address and a port",
                     "write `divert-to ADDRESS port N`; FreeBSD's pf has the "
                     "port alone: --dialect freebsd");
  }
  if (!ports_.ParsePortNumber(target.text, target.place, f.divert_port)) {
    return false;
  }
  return f.divert_port != 0 ||
         in_.Error(target.place, "invalid divert port: 0");
}

}  // namespace sluice
