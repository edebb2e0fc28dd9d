#include "pftable/language/parse_antispoof.h"

#include <string>
#include <utility>
#include <vector>

#include "pftable/language/parse_address.h"
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
    if (i.dynamic) {
      network.source.hosts = {dynamic};
      network.source.hosts[0].match.modifiers.network = true;
    } else {
      network.source.hosts = AddressesOf(i, {.network = true});
    }
    RuleSyntax own = base;
    own.source.hosts = i.dynamic ? std::vector<HostItem>{dynamic}
                                 : AddressesOf(i, {});
    if (own.source.hosts.empty()) {
      WarnOfNothing(i);
      continue;
    }
    if (!network.source.hosts.empty() && !expander_.ExpandRule(network, out)) {
      return false;
    }
    if (!loopback && !expander_.ExpandRule(own, out)) return false;
  }
  return true;
}

std::vector<HostItem> AntispoofParser::AddressesOf(
    const InterfaceItem& interface, const InterfaceModifiers& modifiers) {
  std::vector<HostItem> hosts =
      InterfaceAddresses(facts_.Resolve(interface.match.name), modifiers);
  for (HostItem& host : hosts) host.place = interface.place;
  return hosts;
}

// As in pf, nothing is blocked then.
void AntispoofParser::WarnOfNothing(const InterfaceItem& interface) {
  const std::string& name = interface.match.name;
  names_.ForgetInterface(name);
  if (!facts_.Resolve(name).empty()) {
    in_.Warning(interface.place,
                name + " has no address: antispoof makes no rule of it",
                "write (" + name +
                    ") to follow the interface's addresses, or give its "
                    "[[port]] in sluice.toml `addresses`");
    return;
  }
  std::string hint = DidYouMean(name, names_.InterfaceNames());
  if (hint.empty()) {
    hint = "(" + name + ") follows an interface that comes later";
  }
  in_.Warning(interface.place,
              "no interface or group is named '" + name +
                  "': antispoof makes no rule of it",
              std::move(hint));
}

}  // namespace sluice
