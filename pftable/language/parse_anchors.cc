#include "pftable/language/parse_anchors.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/policy/name.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {
namespace {

constexpr size_t kMaxAnchorName = 63;
constexpr size_t kMaxAnchorPath = 1023;
constexpr size_t kMaxDepthOpenBsd = 64;
constexpr size_t kMaxDepthFreeBsd = 32;

}  // namespace

bool AnchorParser::ParseAnchorName(std::string& name, bool& wildcard) {
  const SourcePlace place = in_.token().place;
  if (!in_.TakeName("an anchor name", name, kMaxTokenBytes)) return false;
  // Without quotes, "a/b" and "a/*" are several tokens.
  while (in_.token().adjacent && in_.token().Is('/')) {
    in_.Take();
    name += '/';
    if (!in_.token().adjacent) break;
    if (in_.token().Is('*')) {
      name += '*';
      in_.Take();
    } else if (in_.token().IsString() ||
               in_.token().kind == TokenKind::kNumber) {
      name += in_.Take().text;
    }
  }
  if (name.empty()) return in_.Error(place, "empty anchor name");
  const size_t slash = name.rfind('/');
  if (!draft_.input().unnamed_by_number &&
      name[slash == name.npos || slash + 1 == name.size() ? 0 : slash + 1] ==
          '_') {
    return in_.Error(place,
                     "anchor names beginning with '_' are reserved for "
                     "unnamed anchors");
  }
  if (name.size() > kMaxAnchorPath) {
    return in_.Error(place, "anchor path too long, at most 1023 characters");
  }
  wildcard = name == "*" || (name.size() > 2 && name.ends_with("/*"));
  return true;
}

bool AnchorParser::AnchorPath(const std::string& name, SourcePlace place,
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
          return in_.Error(place, "anchor path '" + name.substr(0, 64) +
                                      "' leads above the main ruleset");
        }
        parts.pop_back();
        continue;
      }
      if (part.size() > kMaxAnchorName) {
        return in_.Error(place, "anchor name too long, max 63 chars");
      }
      if (!IsName(part, kMaxAnchorName)) {
        return in_.Error(place,
                         "'" + std::string(part) + "' cannot name an anchor",
                         "use letters, digits and _ . : -");
      }
      parts.emplace_back(part);
    }
    return true;
  };
  const bool absolute = !name.empty() && name[0] == '/';
  if (!absolute && (!split(draft_.input().anchor) || !split(draft_.path()))) {
    return false;
  }
  if (!split(name)) return false;
  path.clear();
  for (const std::string& part : parts) {
    if (!path.empty()) path += '/';
    path += part;
  }
  const size_t most =
      in_.InDialect(Dialect::kOpenBsd) ? kMaxDepthOpenBsd : kMaxDepthFreeBsd;
  if (parts.size() > most) {
    return in_.Error(place, "anchors are nested more than " +
                                std::to_string(most) + " deep");
  }
  return true;
}

bool AnchorParser::ParseAnchor(SourcePlace place) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.block_return = BlockReturn::kDrop;
  std::string name;
  bool wildcard = false;
  bool ok = true;
  const auto header = [&] {
    // A word that may follow a name is not one; names are else in quotes.
    if (in_.token().kind == TokenKind::kQuoted ||
        (in_.token().kind == TokenKind::kWord &&
         !IsReservedWord(in_.token().text)) ||
        in_.token().Is('*')) {
      if (in_.token().Is('*')) {
        name = in_.Take().text;
        wildcard = true;
      } else if (!ParseAnchorName(name, wildcard)) {
        return false;
      }
      rule.rule.anchor_call = name;
    }
    if (!heads_.ParseDirectionLogQuick(rule)) return false;
    if (rule.rule.log.enabled) {
      return in_.Error(place, "'log' cannot be used on an anchor");
    }
    if (!heads_.ParseRuleHead(rule)) return false;
    rule.options_place = in_.token().place;
    if (!options_.ParseFilterOptions(rule)) return false;
    if (rule.state_given) {
      return in_.Error(rule.state_place,
                       "state options cannot be used on an anchor");
    }
    if (rule.nat || rule.rdr || rule.binat || rule.route ||
        rule.rule.af_to != Family::kNone) {
      return in_.Error(rule.options_place,
                       "translation and routing cannot be "
                       "used on an anchor");
    }
    if (rule.rule.scrub.IsSet() || rule.rule.set_prio || rule.rule.set_tos ||
        rule.rule.once || rule.rule.allow_opts) {
      return in_.Error(rule.options_place,
                       "scrub, set, once and allow-opts "
                       "cannot be used on an anchor");
    }
    if (!in_.AtStatementEnd() && !in_.token().Is('{')) {
      return in_.Unexpected("an option of the anchor or '{'");
    }
    return true;
  };
  ok = header();
  // The body, if there is one, is read for its own mistakes even so.
  SourcePlace opened = in_.token().place;
  const bool has_body = !ok || in_.token().Is('{');
  if (ok && has_body) in_.Take();
  if (!ok) {
    const auto body = in_.SkipToBody();
    if (!body) return false;
    opened = *body;
  }
  const auto refuse_body = [&](SourcePlace at, std::string message) {
    in_.Error(at, std::move(message));
    in_.SkipBody();
    return false;
  };
  if (!has_body && name.empty()) {
    return in_.Error(place, "anchor without a name and without a body",
                     "write anchor \"name\" or anchor { ... }");
  }
  if (ok && has_body && wildcard) {
    return refuse_body(opened, "a wildcard anchor has no body");
  }
  if (!ok || name.empty()) {
    name = "_" + std::to_string(draft_.NextUnnamed());
    rule.rule.anchor_call = name;
  }
  if (ok && !draft_.CheckOrder(Section::kFilter, place)) ok = false;
  if (!AnchorPath(name, place, rule.rule.anchor_path)) {
    if (has_body) in_.SkipBody();
    return false;
  }
  if (ok && has_body && name.find('/') != name.npos) {
    return refuse_body(
        opened, "anchor paths containing '/' cannot be used for inline anchors");
  }
  rule.rule.anchor_wildcard = wildcard;

  // Within this policy; an absolute path may lead out of it.
  std::string inner = rule.rule.anchor_path;
  bool inside = true;
  if (!draft_.input().anchor.empty()) {
    const size_t size = draft_.input().anchor.size();
    inside = inner.rfind(draft_.input().anchor, 0) == 0 &&
             (inner.size() == size || inner[size] == '/');
    inner = inside ? inner.substr(draft_.input().anchor.size()) : "";
    if (!inner.empty() && inner[0] == '/') inner.erase(0, 1);
  }
  if (inside) draft_.MakeAnchor(inner, place);
  if (ok) ok = expander_.ExpandRule(rule, draft_.Here().rules.filter);
  if (!has_body) return ok;
  if (!inside) {
    return refuse_body(
        opened, "the body of an anchor outside of the one that is loaded");
  }
  // An ether anchor of that name is another.
  if (!bodies_.insert(inner).second) {
    return refuse_body(opened, "inline anchor '" + name + "' already exists");
  }
  return ParseBody(std::move(inner), opened);
}

bool AnchorParser::ParseBody(std::string path, SourcePlace opened) {
  draft_.OpenBody(std::move(path));
  read_body_();
  draft_.CloseBody();
  if (!in_.token().Is('}')) return in_.Error(opened, "'{' without '}'");
  in_.Take();
  return true;
}

bool AnchorParser::ParseTranslationAnchor(const Token& word) {
  RuleSyntax rule;
  rule.rule.place = word.place;
  std::string name;
  bool wildcard = false;
  if (!ParseAnchorName(name, wildcard)) return false;
  if (in_.token().Is('*') && name.ends_with("/")) {
    name += in_.Take().text;
    wildcard = true;
  }
  rule.rule.anchor_call = name;
  rule.rule.anchor_wildcard = wildcard;
  if (!heads_.ParseDirectionLogQuick(rule) || !heads_.ParseRuleHead(rule))
    return false;
  if (in_.AcceptWord("rtable")) {
    int64_t number = 0;
    if (!in_.TakeNumber("rtable", 0, 255, number)) return false;
    rule.rule.foreign.rtable = static_cast<int32_t>(number);
  }
  if (!in_.AtStatementEnd()) return in_.Unexpected("the end of the statement");
  if (!AnchorPath(name, word.place, rule.rule.anchor_path)) return false;
  const bool scrub = word.text == "scrub-anchor";
  if (!draft_.CheckOrder(scrub ? Section::kScrub : Section::kNat, word.place)) {
    return false;
  }
  if (draft_.input().anchor.empty()) {
    draft_.MakeAnchor(rule.rule.anchor_path, word.place);
  }
  Ruleset& rules = draft_.Here().rules;
  if (scrub) {
    rule.rule.action = RuleAction::kScrub;
    return expander_.ExpandRule(rule, rules.scrub);
  }
  if (word.text == "nat-anchor") {
    rule.rule.action = RuleAction::kNat;
    return expander_.ExpandRule(rule, rules.nat);
  }
  if (word.text == "rdr-anchor") {
    rule.rule.action = RuleAction::kRdr;
    return expander_.ExpandRule(rule, rules.rdr);
  }
  rule.rule.action = RuleAction::kBinat;
  return expander_.ExpandRule(rule, rules.binat);
}

bool AnchorParser::ParseLoadAnchor(SourcePlace place) {
  if (!in_.AcceptWord("anchor")) return in_.Unexpected("'anchor'");
  std::string name;
  bool wildcard = false;
  const SourcePlace name_place = in_.token().place;
  if (!ParseAnchorName(name, wildcard)) return false;
  if (wildcard) {
    return in_.Error(name_place,
                     "load anchor wants one anchor, not a wildcard");
  }
  if (!in_.AcceptWord("from")) return in_.Unexpected("'from'");
  Load pending;
  pending.place = in_.token().place;
  if (!in_.TakeName("a file name", pending.file, kMaxTokenBytes))
    return false;
  if (!in_.AtStatementEnd()) return in_.Unexpected("the end of the statement");
  if (!AnchorPath(name, name_place, pending.path)) return false;
  if (draft_.in_loaded_anchor() && pending_.size() > 512) {
    return in_.Error(place, "too many anchors to load, at most 512");
  }
  if (!draft_.input().anchor.empty()) {
    if (pending.path.rfind(draft_.input().anchor + "/", 0) != 0) {
      return in_.Error(place,
                       "load anchor leads out of the anchor that is "
                       "loaded");
    }
    pending.path = pending.path.substr(draft_.input().anchor.size() + 1);
  }
  pending_.push_back(std::move(pending));
  return true;
}

}  // namespace sluice
