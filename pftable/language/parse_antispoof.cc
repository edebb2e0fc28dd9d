#include "pftable/language/parse_antispoof.h"

#include <string>
#include <utility>
#include <vector>

#include "pftable/language/words.h"

namespace sluice {

bool AntispoofParser::ParseAntispoof(SourcePlace place) {
  RuleSyntax base;
  base.rule.place = place;
  base.rule.action = RuleAction::kBlock;
  base.rule.block_return = BlockReturn::kDrop;
  if (!heads_.ParseDirectionLogQuick(base)) return false;
  if (base.rule.direction != Direction::kBoth) {
    return in_.Error(place, "antispoof has no direction");
  }
  base.rule.direction = Direction::kIn;
  if (!in_.AcceptWord("for")) return in_.Unexpected("'for'");
  std::vector<InterfaceItem> interfaces;
  if (!heads_.ParseInterfaces(interfaces, /*allow_dynamic=*/true)) return false;
  if (!hosts_.ParseFamily(base.rule.family)) return false;
  while (!in_.AtStatementEnd()) {
    const Token word = in_.token();
    if (in_.AcceptWord("label")) {
      if (!options_.ParseLabel(base.rule.labels)) return false;
    } else if (in_.AcceptWord("ridentifier")) {
      int64_t number = 0;
      if (!in_.TakeNumber("ridentifier", 1, 0xffffffff, number)) return false;
      base.rule.ridentifier = static_cast<uint32_t>(number);
    } else if (in_.token().IsWord("rtable")) {
      in_.Take();
      bool known = false;
      if (!options_.ParseForeignOption(base, word, known)) return false;
    } else {
      return in_.Unexpected("label, rtable or the end of the statement",
                            {"label", "rtable", "ridentifier"});
    }
  }
  if (!draft_.CheckOrder(Section::kFilter, place)) return false;
  std::vector<Rule>& out = draft_.Here().rules.filter;
  for (const InterfaceItem& i : interfaces) {
    if (i.match.negated || i.rdomain >= 0) {
      return in_.Error(i.place, "antispoof is for interfaces, without '!'");
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
        std::string hint = DidYouMean(i.match.name, names_.InterfaceNames());
        if (hint.empty()) {
          hint = "no such interface or group; (" + i.match.name +
                 ") follows one that comes later";
        }
        return in_.Error(i.place, "no IP address found for " + i.match.name,
                         std::move(hint));
      }
      if (!hosts_.ResolveHost(name, -1, false, network.source.hosts))
        return false;
    }
    if (!expander_.ExpandRule(network, out)) return false;
    if (loopback) continue;
    RuleSyntax own = base;
    if (i.dynamic) {
      own.source.hosts = {dynamic};
    } else {
      name.text = i.match.name;
      if (!hosts_.ResolveHost(name, -1, false, own.source.hosts)) return false;
    }
    if (!expander_.ExpandRule(own, out)) return false;
  }
  return true;
}

}  // namespace sluice
