// Targets of translation and routing. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_

#include <optional>

#include "pftable/language/parse_host.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class PoolParser {
 public:
  // All outlive this.
  PoolParser(TokenReader& in, HostParser& hosts, PortParser& ports)
      : in_(in), hosts_(hosts), ports_(ports) {}

  bool ParsePool(std::optional<PoolSyntax>& pool, bool is_rdr);
  bool ParseRoute(RuleSyntax& rule, RouteKind kind);
  bool ParseAfTo(RuleSyntax& rule);
  // The addresses a pool has for rules of `family`; reports if there is none.
  bool FillPool(const PoolSyntax& syntax, Family family,
                std::optional<Pool>& out);

 private:
  bool ParsePoolPort(PoolSyntax& pool, bool is_rdr);
  bool ParsePoolOptions(PoolSyntax& pool);

  TokenReader& in_;
  HostParser& hosts_;
  PortParser& ports_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_POOL_H_
