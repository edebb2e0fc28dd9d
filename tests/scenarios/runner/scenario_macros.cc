#include "tests/scenarios/runner/scenario_macros.h"

#include <cctype>

namespace sluice {

ScenarioMacros::ScenarioMacros(Family family) {
  const bool v4 = family == Family::kIpv4;
  Set("C", v4 ? "10.0.0.2" : "2001:db8::2");
  Set("S", v4 ? "10.0.0.1" : "2001:db8::1");
  Set("X", v4 ? "10.0.0.9" : "2001:db8::9");
  Set("N", v4 ? "10.0.0.0/8" : "2001:db8::/32");
  Set("O", v4 ? "192.0.2.7" : "2001:db9::7");
  Set("M", v4 ? "224.0.0.251" : "ff02::fb");
  Set("af", v4 ? "inet" : "inet6");
  Set("icmp", v4 ? "icmp" : "icmp6");
  Set("icmpname", v4 ? "icmp" : "ipv6-icmp");
  Set("icmptype", v4 ? "icmp-type" : "icmp6-type");
}

std::string ScenarioMacros::Expand(std::string_view text,
                                   bool state_form) const {
  std::string result;
  size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '$') {
      result += text[i++];
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) ||
            text[end] == '_')) {
      ++end;
    }
    const auto found = values_.find(text.substr(i + 1, end - i - 1));
    if (found == values_.end()) {
      result += text.substr(i, end - i);
      i = end;
      continue;
    }
    result += found->second;
    i = end;
    const bool has_port = state_form && i < text.size() && text[i] == ':' &&
                          found->second.find(':') != std::string::npos;
    if (!has_port) continue;
    size_t last = ++i;
    while (last < text.size() &&
           std::isdigit(static_cast<unsigned char>(text[last]))) {
      ++last;
    }
    result += '[';
    result += text.substr(i, last - i);
    result += ']';
    i = last;
  }
  return result;
}

}  // namespace sluice
