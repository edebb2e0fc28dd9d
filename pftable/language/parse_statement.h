// Statements: what they begin with, where they end, and how reading goes on
// after a mistake. Here the parsers of their kinds come together. Internal to
// the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_STATEMENT_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_STATEMENT_H_

#include "pftable/host/host_facts.h"
#include "pftable/language/check_names.h"
#include "pftable/language/expand.h"
#include "pftable/language/parse_anchors.h"
#include "pftable/language/parse_antispoof.h"
#include "pftable/language/parse_ether.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/parse_legacy.h"
#include "pftable/language/parse_options.h"
#include "pftable/language/parse_pool.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/parse_queues.h"
#include "pftable/language/parse_rule.h"
#include "pftable/language/parse_state.h"
#include "pftable/language/parse_tables.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/source_files.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class StatementParser {
 public:
  // All outlive this.
  StatementParser(TokenReader& in, PolicyDraft& draft, SourceFiles& files,
                  const HostFacts& facts);
  StatementParser(const StatementParser&) = delete;
  StatementParser& operator=(const StatementParser&) = delete;

  // Reads statements up to the end of the file, or up to the '}' that ends
  // the body of an anchor.
  void ParseStatements(bool in_anchor);

  // For what comes before the first and behind the last.
  Names& names() { return names_; }
  SetParser& settings() { return settings_; }
  QueueParser& queues() { return queues_; }
  RuleExpander& expander() { return expander_; }
  const AnchorParser& anchors() const { return anchors_; }

 private:
  bool ParseStatement();
  bool EndStatement();
  void RecoverStatement();
  bool ParseMacro(const Token& name);
  bool ParseMacroDefinition(const Token& name);
  bool ParseInclude(SourcePlace place);

  TokenReader& in_;
  PolicyDraft& draft_;
  SourceFiles& files_;
  Names names_;
  PortParser ports_;
  HostParser hosts_;
  PoolParser pools_;
  StateParser states_;
  HeadParser heads_;
  RuleOptionParser options_;
  RuleExpander expander_;
  FilterRuleParser rules_;
  SetParser settings_;
  TableParser tables_;
  AnchorParser anchors_;
  AntispoofParser antispoof_;
  LegacyRuleParser legacy_;
  EtherParser ether_;
  QueueParser queues_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_STATEMENT_H_
