#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pftable/policy/digest.h"
#include "pftable/print/print_internal.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

bool IsUnnamed(std::string_view call) {
  const size_t slash = call.rfind('/');
  return call.substr(slash == call.npos ? 0 : slash + 1).starts_with('_');
}

// The anchor that a call in `anchor` names by a path from there.
const Anchor* Called(const Anchor& anchor, std::string_view call,
                     bool wildcard) {
  if (wildcard || call.empty() || call[0] == '/' || call.starts_with("..")) {
    return nullptr;
  }
  return anchor.Find(call);
}

// Rules with the bodies of anchors in braces. A body stands behind the first
// call of its anchor alone: behind a second one it would be read as more rules
// of that anchor.
class RulesPrinter {
 public:
  // Named anchors have bodies with `inline_named` only, unnamed ones always.
  RulesPrinter(const PrintOptions& options, bool inline_named,
               std::string* out)
      : options_(options), inline_named_(inline_named), out_(*out) {}

  // `queues` is what goes between the scrub and the translation rules.
  void PrintAnchor(const Anchor& anchor, int depth,
                   const std::string& queues) {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    // As in pfctl, numbers stand at the left edge.
    const std::string rule_indent = options_.rule_numbers ? "" : indent;
    if (depth > 0 && options_.parts.tables) {
      for (const TableDefinition& table : anchor.tables) {
        out_ += indent + PrintTable(table) + "\n";
      }
    }
    if (options_.parts.ether && ether_shown_.insert(&anchor).second) {
      PrintEtherRules(anchor, depth);
    }
    for (const std::vector<Rule>* list :
         {&anchor.rules.scrub, &anchor.rules.nat, &anchor.rules.rdr,
          &anchor.rules.binat, &anchor.rules.filter}) {
      if (list == &anchor.rules.nat) out_ += queues;
      const bool filter =
          list == &anchor.rules.scrub || list == &anchor.rules.filter;
      if (filter ? !options_.parts.filter : !options_.parts.translation) {
        continue;
      }
      size_t number = 0;
      for (const Rule& rule : *list) {
        out_ += rule_indent + PrintRule(rule, options_, number++);
        const Anchor* body = list == &anchor.rules.filter
                                 ? BodyOf(anchor, rule)
                                 : nullptr;
        if (body != nullptr) {
          out_ += " {\n";
          PrintAnchor(*body, depth + 1, "");
          out_ += indent + "}";
        }
        out_ += "\n";
      }
    }
  }

  // One of `load anchor`, unless it stands in braces already.
  void PrintLoaded(const Anchor& anchor) {
    if (!shown_.insert(&anchor).second) return;
    if (options_.parts.tables) {
      for (const TableDefinition& table : anchor.tables) {
        out_ += PrintTable(table) + "\n";
      }
    }
    PrintAnchor(anchor, 0, "");
  }

 private:
  // What a call has in braces, or null.
  const Anchor* BodyOf(const Anchor& anchor, const Rule& call) {
    const bool unnamed = IsUnnamed(call.anchor_call);
    if (!unnamed && !inline_named_) return nullptr;
    // A path has no braces; the rules of `load anchor` stand at the end.
    if (!unnamed && call.anchor_call.find('/') != std::string::npos) {
      return nullptr;
    }
    const Anchor* body =
        Called(anchor, call.anchor_call, call.anchor_wildcard);
    if (body == nullptr || unnamed) return body;
    const bool empty = body->rules == Ruleset() && body->tables.empty();
    return empty || !shown_.insert(body).second ? nullptr : body;
  }

  const Anchor* EtherBodyOf(const Anchor& anchor, const EtherRule& call) {
    const Anchor* body =
        Called(anchor, call.anchor_call, call.anchor_wildcard);
    if (body == nullptr || IsUnnamed(call.anchor_call)) return body;
    return body->rules.ether.empty() || ether_shown_.contains(body) ? nullptr
                                                                    : body;
  }

  void PrintEtherRules(const Anchor& anchor, int depth) {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    size_t number = 0;
    for (const EtherRule& rule : anchor.rules.ether) {
      out_ += options_.rule_numbers ? "" : indent;
      out_ += PrintEtherRule(rule, options_, number++);
      if (const Anchor* body = EtherBodyOf(anchor, rule)) {
        ether_shown_.insert(body);
        out_ += " {\n";
        PrintEtherRules(*body, depth + 1);
        out_ += indent + "}";
      }
      out_ += "\n";
    }
  }

  const PrintOptions& options_;
  const bool inline_named_;
  std::set<const Anchor*> shown_;
  std::set<const Anchor*> ether_shown_;  // their rules for layer 2
  std::string& out_;
};

// The bodies of unnamed anchors stand behind their calls: what they are named
// by, and whether calls that a list made share one, is no part of the text.
void DigestAnchor(const Anchor& anchor, const std::string& path,
                  std::string& text) {
  const PrintOptions canonical = {.without_state_defaults = true};
  text += "anchor " + path + "\n";
  const auto body = [&](const std::string& call) {
    if (!IsUnnamed(call)) return;
    if (const Anchor* unnamed = anchor.Find(call)) {
      DigestAnchor(*unnamed, path + "/_", text);
    }
  };
  for (const EtherRule& rule : anchor.rules.ether) {
    text += PrintEtherRule(rule, canonical) + "\n";
    body(rule.anchor_call);
  }
  for (const std::vector<Rule>* list :
       {&anchor.rules.scrub, &anchor.rules.nat, &anchor.rules.rdr,
        &anchor.rules.binat, &anchor.rules.filter}) {
    for (const Rule& rule : *list) {
      text += PrintRule(rule, canonical) + "\n";
      body(rule.anchor_call);
    }
  }
  for (const Anchor& child : anchor.children) {
    if (IsUnnamed(child.name)) continue;
    DigestAnchor(child, path + "/" + child.name, text);
  }
}

std::string MacText(const MacMatch& mac) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto bytes = [&](const std::array<uint8_t, 6>& b) {
    std::string out;
    for (uint8_t byte : b) {
      if (!out.empty()) out += ':';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
    return out;
  };
  std::string out = mac.negated ? "! " : "";
  out += bytes(mac.address);
  // pf counts the bits of a byte from its least.
  int bits = 0;
  while (bits < 48 && (mac.mask[bits / 8] >> (bits % 8) & 1)) ++bits;
  std::array<uint8_t, 6> contiguous{};
  for (int i = 0; i < bits; ++i) {
    contiguous[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  }
  if (contiguous != mac.mask) {
    out += "&" + bytes(mac.mask);
  } else if (bits != 48) {
    out += "/" + std::to_string(bits);
  }
  return out;
}

// As in pfctl, without weights.
void AppendEntries(const std::vector<TableEntry>& entries, std::string& out) {
  for (const TableEntry& entry : entries) {
    out += entry.negated ? " !" : " ";
    out += ToString(entry.prefix);
  }
}

// What pfctl takes without a word: the rules that it prints have it already,
// or show it by their order.
bool IsSilent(std::string_view option) {
  return option == "keepcounters" || option.starts_with("state-defaults ") ||
         option.starts_with("ruleset-optimization ");
}

// Macros, options and tables, and FreeBSD's ALTQ, as they follow one another
// in the text.
void PrintStatements(const Policy& policy, const PrintOptions& options,
                     std::string& out) {
  std::vector<std::pair<uint32_t, std::string>> lines;
  for (const MacroDefinition& macro : policy.macros) {
    lines.emplace_back(macro.order,
                       macro.name + " = " + QuotedText(macro.value));
  }
  if (options.parts.options) {
    for (const Options::Given& given : policy.options.given) {
      if (IsSilent(given.text)) continue;
      // pfctl leaves the place of a missing `no-df` blank.
      const bool blank =
          given.text == "reassemble yes" || given.text == "reassemble no";
      lines.emplace_back(given.order,
                         "set " + given.text + (blank ? " " : ""));
    }
  }
  const bool altq = options.dialect == Dialect::kFreeBsd;
  if (options.parts.queues && altq) {
    for (const ForeignDefinition& definition : policy.foreign) {
      lines.emplace_back(definition.order, definition.text);
    }
  }
  for (const TableDefinition& table : policy.main.tables) {
    // Those that rules were made into belong to the rules.
    const bool automatic = table.name.starts_with(kAutomaticPrefix);
    if (options.parts.tables || (automatic && options.parts.filter)) {
      lines.emplace_back(table.order, PrintTable(table));
    }
  }
  std::stable_sort(
      lines.begin(), lines.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [order, line] : lines) out += line + "\n";
}

std::string IdentityOf(const std::string& rule, std::string_view path) {
  std::string text(path);
  text += '\n';
  text += rule;
  return Md5Hex(text);
}

}  // namespace

std::string PrintEtherRule(const EtherRule& rule, const PrintOptions& o,
                           size_t number) {
  std::string out;
  if (o.rule_numbers) out += "@" + std::to_string(number) + " ";
  if (rule.anchor_call.empty()) {
    out += rule.block ? "ether block" : "ether pass";
  } else {
    out += "ether anchor";
    if (!IsUnnamed(rule.anchor_call) || o.anchor_names) {
      out += " " + QuotedText(rule.anchor_call);
    }
  }
  if (rule.direction == Direction::kIn) out += " in";
  if (rule.direction == Direction::kOut) out += " out";
  if (rule.quick) out += " quick";
  if (rule.on.IsSet()) {
    out += (rule.on.negated ? " on ! " : " on ") + NameText(rule.on.name, o.dialect);
  }
  if (rule.bridge_to.IsSet()) {
    out += " bridge-to " + NameText(rule.bridge_to.name, o.dialect);
  }
  if (rule.ether_type != 0) {
    std::array<char, 8> text;
    const int length =
        std::snprintf(text.data(), text.size(), "0x%04x", rule.ether_type);
    out += " proto " + std::string(text.data(), static_cast<size_t>(length));
  }
  if (rule.source.is_set) out += " from " + MacText(rule.source);
  if (rule.destination.is_set) out += " to " + MacText(rule.destination);
  const auto l3 = [](const AddressMatch& a) {
    return a.kind != AddressKind::kAny || a.negated;
  };
  const auto text = [&](const AddressMatch& a) {
    return std::string(a.negated ? "! " : "") + AddressText(a, o);
  };
  out += l3(rule.l3_source) || l3(rule.l3_destination)
             ? " l3 from " + text(rule.l3_source) + " to " +
                   text(rule.l3_destination)
             : " l3 all";
  for (const std::string& label : rule.labels) {
    out += " label " + QuotedText(label);
  }
  if (rule.ridentifier != 0) {
    out += " ridentifier " + std::to_string(rule.ridentifier);
  }
  if (!rule.foreign.queue.empty()) {
    out += " queue " + NameText(rule.foreign.queue, o.dialect);
  }
  if (!rule.tag.empty()) out += " tag " + NameText(rule.tag, o.dialect);
  if (!rule.tagged.empty()) {
    if (rule.tagged_negated) out += " !";
    out += " tagged " + NameText(rule.tagged, o.dialect);
  }
  if (rule.foreign.dummynet_pipe != 0) {
    out += rule.foreign.dummynet_is_queue ? " dnqueue " : " dnpipe ";
    out += std::to_string(rule.foreign.dummynet_pipe);
  }
  return out;
}

std::string PrintRuleset(const Anchor& anchor, const PrintOptions& options,
                         bool inline_named) {
  std::string out;
  RulesPrinter(options, inline_named, &out).PrintAnchor(anchor, 0, "");
  return out;
}

std::string PrintTable(const TableDefinition& table) {
  std::string out = "table <" + NameText(table.name) + ">";
  if (table.is_const) out += " const";
  if (table.persist) out += " persist";
  if (table.counters) out += " counters";
  if (!table.has_contents) return out;
  const bool one_list = table.parts.empty();
  bool open = false;
  for (size_t i = 0; i < (one_list ? 1 : table.parts.size()); ++i) {
    const bool file = !one_list && !table.parts[i].file.empty();
    // Lists that follow one another are one.
    if (!file && !open) out += " {";
    if (file && open) out += " }";
    open = !file;
    if (file) {
      out += " file " + QuotedText(table.parts[i].file);
    } else {
      AppendEntries(one_list ? table.entries : table.parts[i].entries, out);
    }
  }
  if (open) out += " }";
  return out;
}

std::string PrintPolicy(const Policy& policy, const PrintOptions& given) {
  PrintOptions options = given;
  options.without_state_defaults = true;
  options.as_pfctl = true;
  std::string out;
  PrintStatements(policy, options, out);
  std::string queues;
  if (options.parts.queues && options.dialect == Dialect::kOpenBsd) {
    for (const ForeignDefinition& definition : policy.foreign) {
      queues += definition.text + "\n";
    }
  }
  RulesPrinter printer(options, /*inline_named=*/true, &out);
  printer.PrintAnchor(policy.main, 0, queues);
  if (!options.loaded_anchors) return out;
  for (const std::string& path : policy.loaded_anchors) {
    if (const Anchor* anchor = policy.main.Find(path)) {
      printer.PrintLoaded(*anchor);
    }
  }
  return out;
}

std::string RuleIdentity(const Rule& rule, std::string_view path) {
  return IdentityOf(PrintRule(rule), path);
}

std::string RuleIdentity(const EtherRule& rule, std::string_view path) {
  return IdentityOf(PrintEtherRule(rule, {}), path);
}

std::string RulesetChecksum(const Policy& policy) {
  std::string text;
  DigestAnchor(policy.main, "", text);
  return Md5Hex(text);
}

}  // namespace sluice
