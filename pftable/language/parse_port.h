// Ports: numbers, names of services, ranges and comparisons. Internal to the
// language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_PORT_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_PORT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class PortParser {
 public:
  // Both outlive this.
  PortParser(TokenReader& in, const HostFacts& facts)
      : in_(in), facts_(facts) {}

  bool ParsePorts(std::vector<PortItem>& out);
  bool ParsePortNumber(std::string_view text, SourcePlace place,
                       uint16_t& port);
  // Takes `=`, `!=`, `<`, `<=`, `>` or `>=`; kNone if none is there.
  CompareOperator AcceptUnaryOperator();

 private:
  bool ParsePortItem(std::vector<PortItem>& out);

  TokenReader& in_;
  const HostFacts& facts_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_PORT_H_
