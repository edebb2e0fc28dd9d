// Anchors and antispoof.
#include <algorithm>
#include <string>
#include <utility>

#include "pftable/policy/name.h"
#include "pftable/language/parser_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxAnchorName = 63;
constexpr size_t kMaxAnchorPath = 1023;
constexpr size_t kMaxDepthOpenBsd = 64;
constexpr size_t kMaxDepthFreeBsd = 32;

}  // namespace

bool Parser::ParseAnchorName(std::string& name, bool& wildcard) {
  const SourcePlace place = token_.place;
  if (!TakeString("an anchor name", name, kMaxTokenBytes)) return false;
  // Without quotes, "a/b" and "a/*" are several tokens.
  while (token_.adjacent && token_.Is('/')) {
    Take();
    name += '/';
    if (!token_.adjacent) break;
    if (token_.Is('*')) {
      name += '*';
      Take();
    } else if (token_.IsString() || token_.kind == TokenKind::kNumber) {
      name += Take().text;
    }
  }
  if (name.empty()) return Error(place, "empty anchor name");
  const size_t slash = name.rfind('/');
  if (!input_.unnamed_by_number &&
      name[slash == name.npos || slash + 1 == name.size() ? 0 : slash + 1] ==
          '_') {
    return Error(place, "anchor names beginning with '_' are reserved for "
                        "unnamed anchors");
  }
  if (name.size() > kMaxAnchorPath) {
    return Error(place, "anchor path too long, at most 1023 characters");
  }
  wildcard = name == "*" || (name.size() > 2 && name.ends_with("/*"));
  return true;
}

bool Parser::AnchorPath(const std::string& name, SourcePlace place,
                        std::string& path) {
  std::vector<std::string> parts;
  const auto split = [&](std::string_view text) {
    while (!text.empty()) {
      const size_t slash = text.find('/');
      const std::string_view part = text.substr(0, slash);
      text = slash == text.npos ? "" : text.substr(slash + 1);
      if (part.empty() || part == "*") continue;
      if (part == "..") {
        if (parts.empty()) {
          return Error(place, "anchor path '" + name.substr(0, 64) +
                                  "' leads above the main ruleset");
        }
        parts.pop_back();
        continue;
      }
      if (part.size() > kMaxAnchorName) {
        return Error(place, "anchor name too long, max 63 chars");
      }
      if (!IsName(part, kMaxAnchorName)) {
        return Error(place, "'" + std::string(part) + "' cannot name an anchor",
                     "use letters, digits and _ . : -");
      }
      parts.emplace_back(part);
    }
    return true;
  };
  const bool absolute = !name.empty() && name[0] == '/';
  if (!absolute && (!split(input_.anchor) || !split(anchors_.back().path))) {
    return false;
  }
  if (!split(name)) return false;
  path.clear();
  for (const std::string& part : parts) {
    if (!path.empty()) path += '/';
    path += part;
  }
  const size_t most =
      InDialect(Dialect::kOpenBsd) ? kMaxDepthOpenBsd : kMaxDepthFreeBsd;
  if (parts.size() > most) {
    return Error(place, "anchors are nested more than " +
                            std::to_string(most) + " deep");
  }
  return true;
}

bool Parser::ParseAnchor(SourcePlace place) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.block_return = BlockReturn::kDrop;
  std::string name;
  bool wildcard = false;
  bool ok = true;
  const auto header = [&] {
    // A word that may follow a name is not one; names are else in quotes.
    if (token_.kind == TokenKind::kQuoted ||
        (token_.kind == TokenKind::kWord && !IsReservedWord(token_.text)) ||
        token_.Is('*')) {
      if (token_.Is('*')) {
        name = Take().text;
        wildcard = true;
      } else if (!ParseAnchorName(name, wildcard)) {
        return false;
      }
      rule.rule.anchor_call = name;
    }
    if (!ParseDirectionLogQuick(rule)) return false;
    if (rule.rule.log.enabled) {
      return Error(place, "'log' cannot be used on an anchor");
    }
    if (!ParseRuleHead(rule)) return false;
    rule.options_place = token_.place;
    if (!ParseFilterOptions(rule)) return false;
    if (rule.state_given) {
      return Error(rule.state_place,
                   "state options cannot be used on an anchor");
    }
    if (rule.nat || rule.rdr || rule.binat || rule.route ||
        rule.rule.af_to != Family::kNone) {
      return Error(rule.options_place, "translation and routing cannot be "
                                       "used on an anchor");
    }
    if (rule.rule.scrub.IsSet() || rule.rule.set_prio || rule.rule.set_tos ||
        rule.rule.once || rule.rule.allow_opts) {
      return Error(rule.options_place, "scrub, set, once and allow-opts "
                                       "cannot be used on an anchor");
    }
    if (!AtStatementEnd() && !token_.Is('{')) {
      return Unexpected("an option of the anchor or '{'");
    }
    return true;
  };
  ok = header();
  // The body, if there is one, is read for its own mistakes even so.
  SourcePlace opened = token_.place;
  const bool has_body = !ok || token_.Is('{');
  if (ok && has_body) Take();
  if (!ok) {
    const auto body = SkipToBody();
    if (!body) return false;
    opened = *body;
  }
  const auto refuse_body = [&](SourcePlace at, const char* message) {
    Error(at, message);
    SkipBody();
    return false;
  };
  if (!has_body && name.empty()) {
    return Error(place, "anchor without a name and without a body",
                 "write anchor \"name\" or anchor { ... }");
  }
  if (ok && has_body && wildcard) {
    return refuse_body(opened, "a wildcard anchor has no body");
  }
  if (!ok || name.empty()) {
    name = "_" + std::to_string(anchors_.back().next_unnamed++);
    rule.rule.anchor_call = name;
  }
  if (ok && !CheckOrder(Section::kFilter, place)) ok = false;
  if (!AnchorPath(name, place, rule.rule.anchor_path)) {
    if (has_body) SkipBody();
    return false;
  }
  rule.rule.anchor_wildcard = wildcard;

  // Within this policy; an absolute path may lead out of it.
  std::string inner = rule.rule.anchor_path;
  bool inside = true;
  if (!input_.anchor.empty()) {
    inside = inner.rfind(input_.anchor, 0) == 0;
    inner = inside ? inner.substr(input_.anchor.size()) : "";
    if (!inner.empty() && inner[0] == '/') inner.erase(0, 1);
  }
  if (inside) MakeAnchor(inner, place);
  if (ok) ok = ExpandRule(rule, Here().rules.filter);
  if (!has_body) return ok;
  if (!inside) {
    return refuse_body(
        opened, "the body of an anchor outside of the one that is loaded");
  }
  anchors_.push_back({.path = inner,
                      .next_unnamed = 1,
                      .lexer_depth = lexer_.depth()});
  ParseStatements(/*in_anchor=*/true);
  anchors_.pop_back();
  brace_depth_ = 0;
  if (!token_.Is('}')) return Error(opened, "'{' without '}'");
  Take();
  return true;
}

bool Parser::ParseTranslationAnchor(const Token& word) {
  RuleSyntax rule;
  rule.rule.place = word.place;
  std::string name;
  bool wildcard = false;
  if (!ParseAnchorName(name, wildcard)) return false;
  if (token_.Is('*') && name.ends_with("/")) {
    name += Take().text;
    wildcard = true;
  }
  rule.rule.anchor_call = name;
  rule.rule.anchor_wildcard = wildcard;
  if (!ParseDirectionLogQuick(rule) || !ParseRuleHead(rule)) return false;
  if (AcceptWord("rtable")) {
    int64_t number = 0;
    if (!TakeNumber("rtable", 0, 255, number)) return false;
    rule.rule.foreign.rtable = static_cast<int32_t>(number);
  }
  if (!AtStatementEnd()) return Unexpected("the end of the statement");
  if (!AnchorPath(name, word.place, rule.rule.anchor_path)) return false;
  const bool scrub = word.text == "scrub-anchor";
  if (!CheckOrder(scrub ? Section::kScrub : Section::kNat, word.place)) {
    return false;
  }
  if (input_.anchor.empty()) {
    MakeAnchor(rule.rule.anchor_path, word.place);
  }
  Ruleset& rules = Here().rules;
  if (scrub) {
    rule.rule.action = RuleAction::kScrub;
    return ExpandRule(rule, rules.scrub);
  }
  if (word.text == "nat-anchor") {
    rule.rule.action = RuleAction::kNat;
    return ExpandRule(rule, rules.nat);
  }
  if (word.text == "rdr-anchor") {
    rule.rule.action = RuleAction::kRdr;
    return ExpandRule(rule, rules.rdr);
  }
  rule.rule.action = RuleAction::kBinat;
  return ExpandRule(rule, rules.binat);
}

bool Parser::ParseLoadAnchor(SourcePlace place) {
  if (!AcceptWord("anchor")) return Unexpected("'anchor'");
  std::string name;
  bool wildcard = false;
  const SourcePlace name_place = token_.place;
  if (!ParseAnchorName(name, wildcard)) return false;
  if (wildcard) {
    return Error(name_place, "load anchor wants one anchor, not a wildcard");
  }
  if (!AcceptWord("from")) return Unexpected("'from'");
  PendingAnchor pending;
  pending.place = token_.place;
  if (!TakeString("a file name", pending.file, kMaxTokenBytes)) return false;
  if (!AtStatementEnd()) return Unexpected("the end of the statement");
  if (!AnchorPath(name, name_place, pending.path)) return false;
  if (in_loaded_anchor_ && pending_.size() > 512) {
    return Error(place, "too many anchors to load, at most 512");
  }
  if (!input_.anchor.empty()) {
    if (pending.path.rfind(input_.anchor + "/", 0) != 0) {
      return Error(place, "load anchor leads out of the anchor that is "
                          "loaded");
    }
    pending.path = pending.path.substr(input_.anchor.size() + 1);
  }
  pending_.push_back(std::move(pending));
  return true;
}

// Each file is a ruleset of its own, with its own macros, read after the main
// one.
void Parser::LoadPendingAnchors() {
  constexpr size_t kMostLoads = 512;
  in_loaded_anchor_ = true;
  for (size_t i = 0; i < pending_.size() && !result_.truncated; ++i) {
    if (i >= kMostLoads) {
      Error(pending_[i].place, "too many anchors to load, at most 512",
            "a file may load itself");
      return;
    }
    const PendingAnchor load = pending_[i];
    std::string text;
    if (!ReadFile(load.file, load.place, text)) continue;
    const uint32_t file = AddFile(load.file, std::move(text));
    lexer_.Restart();
    lexer_.Push(file, texts_[file].text);
    MakeAnchor(load.path, load.place);
    anchors_ = {{.path = load.path, .next_unnamed = 1, .lexer_depth = 1}};
    RunFile();
  }
}

bool Parser::ParseAntispoof(SourcePlace place) {
  RuleSyntax base;
  base.rule.place = place;
  base.rule.action = RuleAction::kBlock;
  base.rule.block_return = BlockReturn::kDrop;
  if (!ParseDirectionLogQuick(base)) return false;
  if (base.rule.direction != Direction::kBoth) {
    return Error(place, "antispoof has no direction");
  }
  base.rule.direction = Direction::kIn;
  if (!AcceptWord("for")) return Unexpected("'for'");
  std::vector<InterfaceItem> interfaces;
  if (!ParseInterfaces(interfaces, /*allow_dynamic=*/true)) return false;
  if (!ParseFamily(base.rule.family)) return false;
  while (!AtStatementEnd()) {
    const Token word = token_;
    if (AcceptWord("label")) {
      if (!ParseLabel(base.rule.labels)) return false;
    } else if (AcceptWord("ridentifier")) {
      int64_t number = 0;
      if (!TakeNumber("ridentifier", 1, 0xffffffff, number)) return false;
      base.rule.ridentifier = static_cast<uint32_t>(number);
    } else if (token_.IsWord("rtable")) {
      Take();
      bool known = false;
      if (!ParseForeignOption(base, word, known)) return false;
    } else {
      return Unexpected("label, rtable or the end of the statement",
                        {"label", "rtable", "ridentifier"});
    }
  }
  if (!CheckOrder(Section::kFilter, place)) return false;
  std::vector<Rule>& out = Here().rules.filter;
  for (const InterfaceItem& i : interfaces) {
    if (i.match.negated || i.rdomain >= 0) {
      return Error(i.place, "antispoof is for interfaces, without '!'");
    }
    const InterfaceFacts* facts = facts_.FindInterface(i.match.name);
    const bool loopback = facts != nullptr && facts->loopback;
    HostItem dynamic;
    dynamic.place = i.place;
    dynamic.match.kind = AddressKind::kDynamicInterface;
    dynamic.match.name = i.match.name;

    RuleSyntax network = base;
    network.interfaces = {i};
    network.interfaces[0].match.negated = true;
    Token name;
    name.kind = TokenKind::kWord;
    name.place = i.place;
    if (i.dynamic) {
      network.source.hosts = {dynamic};
      network.source.hosts[0].match.modifiers.network = true;
    } else {
      name.text = i.match.name + ":network";
      if (facts_.Resolve(i.match.name).empty()) {
        std::string hint = DidYouMean(i.match.name, InterfaceNames());
        if (hint.empty()) {
          hint = "no such interface or group; (" + i.match.name +
                 ") follows one that comes later";
        }
        return Error(i.place, "no IP address found for " + i.match.name,
                     std::move(hint));
      }
      if (!ResolveHost(name, -1, false, network.source.hosts)) return false;
    }
    if (!ExpandRule(network, out)) return false;
    if (loopback) continue;
    RuleSyntax own = base;
    if (i.dynamic) {
      own.source.hosts = {dynamic};
    } else {
      name.text = i.match.name;
      if (!ResolveHost(name, -1, false, own.source.hosts)) return false;
    }
    if (!ExpandRule(own, out)) return false;
  }
  return true;
}

}  // namespace sluice
