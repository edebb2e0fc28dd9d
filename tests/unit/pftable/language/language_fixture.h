// What the tests of the pf language share: a host, and one call to parse.
#ifndef SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_FIXTURE_H_
#define SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_FIXTURE_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pftable/host/host_facts.h"
#include "pftable/language/parser.h"
#include "pftable/print/printer.h"

namespace sluice {

inline constexpr std::string_view kTestFacts = R"(
[[interface]]
name = "em0"
groups = ["egress", "em"]
addresses = [
  {address="10.0.0.1", prefix=24, broadcast="10.0.0.255"},
  {address="10.0.0.2", prefix=32},
  {address="2001:db8::1", prefix=64},
  {address="fe80::1", prefix=64}]
[[interface]]
name = "em1"
groups = ["em"]
addresses = [{address="192.168.1.1", prefix=24, broadcast="192.168.1.255"}]
[[interface]]
name = "ppp0"
addresses = [{address="10.1.0.1", prefix=32, peer="10.1.0.2"}]
[[interface]]
name = "lo0"
groups = ["lo"]
addresses = [{address="127.0.0.1", prefix=8}, {address="::1", prefix=128}]
[hosts]
localhost = ["127.0.0.1", "::1"]
"www.example" = ["192.0.2.80", "192.0.2.81", "2001:db8::80"]
v4only = ["192.0.2.1"]
[services]
"ssh/tcp" = 22
"game/udp" = 27015
[protocols]
tcp = 6
[users]
root = 0
joe = 1000
[groups]
wheel = 0
)";

inline const HostFacts& TestFacts() {
  static const HostFacts& facts =
      *new HostFacts(*HostFacts::FromToml(kTestFacts, "facts.toml"));
  return facts;
}

struct LanguageCase {
  Dialect dialect = Dialect::kOpenBsd;
  std::map<std::string, std::string> files = {};
  std::vector<std::pair<std::string, std::string>> macros = {};
  bool no_dns = false;
  std::string anchor = {};
  ParseLimits limits = {};
  bool optimize = false;
};

inline ParseResult ParseText(std::string_view text,
                             const LanguageCase& c = {}) {
  ParseInput input;
  input.file_name = "pf.conf";
  input.text = std::string(text);
  input.macros = c.macros;
  input.dialect = c.dialect;
  input.facts = &TestFacts();
  input.no_dns = c.no_dns;
  input.anchor = c.anchor;
  input.limits = c.limits;
  input.optimize = c.optimize;
  input.load_file = [files = c.files](
                        std::string_view path,
                        size_t max) -> absl::StatusOr<std::string> {
    // Where pf has its fingerprints.
    if (path == "/etc/pf.os" || path == "pf.os") {
      return std::string("*:64:1:*:.:Plain:1.0:2:no options\n");
    }
    const auto found = files.find(std::string(path));
    if (found == files.end()) return absl::NotFoundError("no such file");
    if (found->second.size() > max) {
      return absl::ResourceExhaustedError("too large");
    }
    return found->second;
  };
  return ParsePolicy(std::move(input));
}

inline std::string PrintText(const ParseResult& result, Dialect dialect) {
  return PrintPolicy(result.policy,
                     {.dialect = dialect, .facts = &TestFacts()});
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_PFTABLE_LANGUAGE_LANGUAGE_FIXTURE_H_
