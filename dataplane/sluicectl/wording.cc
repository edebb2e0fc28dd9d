#include "dataplane/sluicectl/wording.h"

#include <algorithm>
#include <optional>

namespace sluice {
namespace {

struct Wording {
  std::string_view methods;  // how their names begin; empty: all
  std::string_view parameter;
  std::string_view words;
};

// The first that fits.
constexpr Wording kWordings[] = {
    {"filter.", "bypass_hold", "--hold-bypass"},
    {"filter.", "emergency", "--emergency"},
    {"filter.", "expect_restore", "--expect-restore"},
    {"filter.", "fail", "--fail"},
    {"filter.", "filter", "the filter's name"},
    {"filter.", "from_filter", "--from-filter"},
    {"filter.", "ports", "--ports"},
    {"filter.", "restore_give_up", "--restore-give-up"},
    {"filter.", "ruleset", "--ruleset"},
    {"filter.", "source", "--source"},
    {"port.", "addresses", "--addresses"},
    {"port.", "device", "--device"},
    {"port.", "disabled", "--disabled"},
    {"port.", "groups", "--groups"},
    {"port.", "mtu", "--mtu"},
    {"port.", "non_ip", "--non-ip"},
    {"port.", "port", "the port's name"},
    {"port.", "queues", "--queues"},
    {"port.", "wire", "--wire"},
    {"rules.explain", "destination", "--to"},
    {"rules.explain", "destination_port", "the port of --to"},
    {"rules.explain", "interface", "--in or --out"},
    {"rules.explain", "source", "--from"},
    {"rules.explain", "source_port", "the port of --from"},
    {"ruleset.explain", "destination", "--to"},
    {"ruleset.explain", "destination_port", "the port of --to"},
    {"ruleset.explain", "interface", "--in or --out"},
    {"ruleset.explain", "source", "--from"},
    {"ruleset.explain", "source_port", "the port of --from"},
    {"sources.", "source", "the host of -K"},
    {"sources.", "target", "the second host of -K"},
    {"states.", "creator", "the creator of -k id"},
    {"states.", "destination", "the second host of -k"},
    {"states.", "id", "the id of -k"},
    {"states.", "label", "the label of -k"},
    {"states.", "source", "the host of -k"},
    {"table.", "addresses", "the list of addresses"},
    {"table.", "age", "the time of -T expire"},
    {"", "anchor", "the anchor of -a"},
    {"", "back", "--rollback"},
    {"", "confirm_within", "--confirm"},
    {"", "dialect", "--dialect"},
    {"", "filter", "the filter's name"},
    {"", "from_filter", "--from-filter"},
    {"", "icmp_code", "--icmp-code"},
    {"", "icmp_type", "--icmp-type"},
    {"", "interface", "the interface of -i"},
    {"", "length", "--length"},
    {"", "level", "the level of -x"},
    {"", "macros", "-D"},
    {"", "only_if", "--only-if"},
    {"", "optimization", "-o"},
    {"", "protocol", "--proto"},
    {"", "table", "the table of -t"},
    {"", "tag", "--tag"},
    {"", "tcp_flags", "--flags"},
    {"", "text", "the ruleset"},
    {"", "tos", "--tos"},
    {"", "ttl", "--ttl"},
    {"", "without", "--without"},
};

std::optional<std::string_view> WordsFor(std::string_view method,
                                         std::string_view parameter) {
  for (const Wording& wording : kWordings) {
    if (wording.parameter == parameter &&
        method.substr(0, wording.methods.size()) == wording.methods) {
      return wording.words;
    }
  }
  return std::nullopt;
}

bool IsParameterName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || c == '_';
  });
}

}  // namespace

std::string InWordsOfTheTool(std::string_view method,
                             std::string_view message) {
  constexpr std::string_view kParameter = "parameter ";
  constexpr std::string_view kHas = "\": \"";  // "fail": "open"
  std::string out;
  while (!message.empty()) {
    const size_t open = message.find('"');
    const size_t close =
        open == message.npos ? open : message.find('"', open + 1);
    if (close == message.npos) break;
    const std::string_view name = message.substr(open + 1, close - open - 1);
    std::string_view before = message.substr(0, open);
    const bool is_named =
        before.size() >= kParameter.size() &&
        before.substr(before.size() - kParameter.size()) == kParameter;
    const bool has_value = message.substr(close, kHas.size()) == kHas;
    const std::optional<std::string_view> words = WordsFor(method, name);
    // Other things stand in quotes, too: what the message is about has the
    // word before it, or is no word that anybody would write.
    const bool is_parameter =
        IsParameterName(name) &&
        (is_named || has_value ||
         (words && name.find('_') != name.npos) || name == "emergency");
    if (!is_parameter) {
      out += message.substr(0, close + 1);
      message.remove_prefix(close + 1);
      continue;
    }
    if (is_named) before.remove_suffix(kParameter.size());
    out += before;
    if (words) {
      out += *words;
    } else {
      std::string plain(name);
      std::replace(plain.begin(), plain.end(), '_', ' ');
      out += plain;
    }
    message.remove_prefix(close + 1);
    if (!has_value) continue;
    // The value without its quotes.
    message.remove_prefix(kHas.size() - 1);
    const size_t end = message.find('"');
    out += ' ';
    out += message.substr(0, end);
    message.remove_prefix(std::min(message.size(), end + 1));
  }
  out += message;
  return out;
}

}  // namespace sluice
