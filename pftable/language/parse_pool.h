// Targets of translation and routing. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_

#include <optional>

#include "pftable/language/parse_host.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

// Whether it stands for what may be several addresses: a table, or an interface
// in brackets unless `:0` makes it one.
bool IsDynamicSet(const AddressMatch& address);

class PoolParser {
 public:
  // All outlive this.
  PoolParser(TokenReader& in, HostParser& hosts, PortParser& ports)
      : in_(in), hosts_(hosts), ports_(ports) {}

  bool ParsePool(std::optional<PoolSyntax>& pool, bool is_rdr);
  bool ParseRoute(RuleSyntax& rule, RouteKind kind);
  bool ParseAfTo(RuleSyntax& rule);
  // What a pool is for one rule.
  struct Use {
    // Addresses of other families are left out, unless `any_family`.
    Family family = Family::kNone;
    bool any_family = false;
    bool is_route = false;
    PortMatch port;  // the rule's, which `port N:*` follows
  };
  // Reports if there is no address or the pool cannot be.
  bool FillPool(const PoolSyntax& syntax, const Use& use,
                std::optional<Pool>& out);

 private:
  bool ParsePoolPort(PoolSyntax& pool, bool is_rdr);
  bool ParsePoolOptions(PoolSyntax& pool, bool is_nat);
  bool CheckMembers(const PoolSyntax& syntax, const Pool& pool,
                    bool is_route);

  TokenReader& in_;
  HostParser& hosts_;
  PortParser& ports_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_
