// Addresses: what may stand after `from` and `to`, in pools, routes and
// tables. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_HOST_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_HOST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/check_names.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

// Where lists of addresses stand decides what may be in them.
enum class HostContext : uint8_t { kRule, kPool, kRoute, kTable };

class HostParser {
 public:
  // All outlive this. `no_dns`: a host name that is not known fails.
  HostParser(TokenReader& in, Names& names, const HostFacts& facts,
             bool no_dns)
      : in_(in), names_(names), facts_(facts), no_dns_(no_dns) {}

  bool ParseHosts(std::vector<HostItem>& out, HostContext context);
  bool ParseHostItem(std::vector<HostItem>& out, HostContext context);
  // What a name or an address stands for; `mask` is behind a '/'.
  bool ResolveHost(const Token& token, int mask, bool has_mask,
                   std::vector<HostItem>& out);
  bool ParseTableName(std::string& name);
  bool ParseFamily(Family& family);
  // Reports HostItem::excess_mask; false.
  bool ExcessMask(const HostItem& host);

 private:
  bool ParseDynamicInterface(std::vector<HostItem>& out, HostContext context,
                             SourcePlace place);
  bool ParseRange(const Token& first, const std::string& last_text,
                  SourcePlace last_place, std::vector<HostItem>& out);

  TokenReader& in_;
  Names& names_;
  const HostFacts& facts_;
  const bool no_dns_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_HOST_H_
