// Policies as text, in the form in which pfctl of either dialect prints what
// it has loaded. What is printed parses to the same rules again.
#ifndef SLUICE_PFTABLE_PRINT_PRINTER_H_
#define SLUICE_PFTABLE_PRINT_PRINTER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pftable/host/host_facts.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Which parts of a ruleset are printed.
struct PrintParts {
  bool options = true;
  bool tables = true;
  bool queues = true;
  bool ether = true;
  bool translation = true;
  bool filter = true;  // scrub rules are among them

  static constexpr PrintParts Nothing() {
    return {.options = false,
            .tables = false,
            .queues = false,
            .ether = false,
            .translation = false,
            .filter = false};
  }
};

struct PrintOptions {
  Dialect dialect = Dialect::kOpenBsd;
  // Names of services and protocols; null: numbers and the common protocols.
  const HostFacts* facts = nullptr;
  // -P: what the dialect prints as a number becomes a name, or the reverse.
  bool flip_port_names = false;
  bool rule_numbers = false;  // -vv: "@N " before each rule
  bool anchor_names = false;  // -g: unnamed anchors with their "_N"
  PrintParts parts = {};
  // The text has no `set state-defaults`, so that a bare `keep state` is the
  // default again.
  bool without_state_defaults = false;
  // Rules as pfctl prints them where that is not the text that snapshots and
  // identities are made of: a probability before the brackets of a state, tags
  // of several words without quotes. Both read back as the same.
  bool as_pfctl = false;
  // Anchors of `load anchor` that no call above shows, behind all else.
  bool loaded_anchors = false;
  // -vv: how many addresses a table or an interface in brackets has, "<t:2>",
  // "(em0:1)"; nothing for one that is not there, "<t:*>". Empty: not shown.
  std::function<std::optional<uint64_t>(const AddressMatch&)> members = {};
};

// One rule on one line, without a newline. Of an anchor's call the call only.
std::string PrintRule(const Rule& rule, const PrintOptions& options = {},
                      size_t number = 0);
std::string PrintEtherRule(const EtherRule& rule,
                           const PrintOptions& options = {},
                           size_t number = 0);

// The rules of an anchor in the order scrub, nat, rdr, binat, filter, each on
// a line; bodies of unnamed anchors in braces behind their call, indented.
// With `inline_named`, those of named anchors too, as -nvf shows a file.
std::string PrintRuleset(const Anchor& anchor, const PrintOptions& options,
                         bool inline_named);

// "table <name> const persist { 10.0.0.0/8 !10.1.0.1 } file "list"", without
// newline.
std::string PrintTable(const TableDefinition& table);

// All that -nvf prints: macros, options and tables as they follow one another
// in the text, then queues and rules.
std::string PrintPolicy(const Policy& policy, const PrintOptions& options);

// Parts of a rule, also used in labels.
std::string AddressText(const AddressMatch& match,
                        const PrintOptions& options = {});
// "", "80", "!=80", ... as in $srcport, which leaves `1:9` out.
std::string PortLabelText(const PortMatch& port);

// 128 bits of a rule's canonical text, in hexadecimal. They do
// not depend on the dialect or on facts about a host; `path` is the anchor it
// is in.
std::string RuleIdentity(const Rule& rule, std::string_view path = "");
std::string RuleIdentity(const EtherRule& rule, std::string_view path = "");
// pf's "Checksum": of all rules of the main ruleset and its anchors.
std::string RulesetChecksum(const Policy& policy);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_PRINT_PRINTER_H_
