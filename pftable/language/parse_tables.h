// Table definitions. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_TABLES_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_TABLES_H_

#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/source_files.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class TableParser {
 public:
  // All outlive this.
  TableParser(TokenReader& in, PolicyDraft& draft, SourceFiles& files,
              HostParser& hosts, const HostFacts& facts)
      : in_(in), draft_(draft), files_(files), hosts_(hosts), facts_(facts) {}

  bool ParseTable(SourcePlace place);

 private:
  bool ParseTableContents(TableDefinition& table);
  bool AddTableEntries(const std::vector<HostItem>& hosts,
                       TableDefinition& table);

  TokenReader& in_;
  PolicyDraft& draft_;
  SourceFiles& files_;
  HostParser& hosts_;
  const HostFacts& facts_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_TABLES_H_
