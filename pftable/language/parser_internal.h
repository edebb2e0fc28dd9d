// The parser's own class, spread over parse_*.cc by concern. Internal to the
// language front-end.
//
// Conventions: Parse...() returns false after it has reported an error; the
// statement is then given up and reading goes on with the next one, so that
// one mistake makes one message.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSER_INTERNAL_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSER_INTERNAL_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/lexer.h"
#include "pftable/language/parser.h"
#include "pftable/policy/source_lines.h"
#include "pftable/language/syntax.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {

inline constexpr size_t kMaxInterfaceName = 63;
inline constexpr int64_t kMaxUint32 = 0xffffffff;

// Where lists of addresses stand decides what may be in them.
enum class HostContext : uint8_t { kRule, kPool, kRoute, kTable };

class Parser {
 public:
  explicit Parser(ParseInput input);
  ParseResult Run();

 private:
  // FreeBSD's order of statements.
  enum class Section : uint8_t {
    kNone,
    kOption,
    kEther,
    kScrub,
    kQueue,
    kNat,
    kFilter,
  };
  struct PendingAnchor {
    std::string path;
    std::string file;
    SourcePlace place;
  };

  // parser.cc: tokens, errors, statements.
  const Token& Peek() { return token_; }
  Token Take();
  bool Accept(char c);
  bool AcceptWord(std::string_view word);
  bool Expect(char c, std::string_view after);
  // Newlines may stand between the items of a list.
  void SkipNewlines();
  bool AtStatementEnd() const;
  // Reports `message` at `place` unless the same was just said; false.
  bool Error(SourcePlace place, std::string message, std::string hint = "");
  // About the present token; the hint is the nearest of `words`, or of all
  // reserved words if there are none.
  bool Unexpected(std::string_view wanted,
                  std::initializer_list<std::string_view> words = {});
  void Warning(SourcePlace place, std::string message);
  void Report(Severity severity, SourcePlace place, std::string message,
              std::string hint);
  std::string SourceLine(SourcePlace place);
  void RecoverStatement();
  // After the '{' of a body whose head has a mistake: to behind its '}'.
  void SkipBody();
  // After a mistake in the head of an anchor: to behind the '{' of its body,
  // which is the place; nothing if it has none.
  std::optional<SourcePlace> SkipToBody();
  // Both; false.
  bool GiveUpBody();
  void RunFile();
  void FinishRules();
  // Reads statements up to the end of the file, or up to the '}' that ends
  // the body of an anchor.
  void ParseStatements(bool in_anchor);
  bool ParseStatement();
  bool ParseMacro(const Token& name);
  bool ParseMacroDefinition(const Token& name);
  bool ParseInclude(SourcePlace place);
  bool EndStatement();
  bool CheckOrder(Section section, SourcePlace place);
  // Reads a file within the limits; reports and returns false if it cannot.
  bool ReadFile(const std::string& path, SourcePlace place,
                std::string& text);
  uint32_t AddFile(std::string name, std::string text);
  bool TakeString(std::string_view what, std::string& out, size_t max_bytes);
  bool TakeNumber(std::string_view what, int64_t low, int64_t high,
                  int64_t& out);
  bool InDialect(Dialect d) const { return input_.dialect == d; }
  // Parses `item` or `{ item, item ... }`, nested up to the limit.
  bool ParseList(const std::function<bool()>& item, size_t depth = 0);

  // parse_host.cc
  bool ParseHosts(std::vector<HostItem>& out, HostContext context);
  bool ParseHostItem(std::vector<HostItem>& out, HostContext context);
  bool ParseDynamicInterface(std::vector<HostItem>& out, HostContext context,
                             SourcePlace place);
  bool ResolveHost(const Token& token, int mask, bool has_mask,
                   std::vector<HostItem>& out);
  bool ParseRange(const Token& first, const std::string& last_text,
                  SourcePlace last_place, std::vector<HostItem>& out);
  bool ParseTableName(std::string& name);
  bool ParsePorts(std::vector<PortItem>& out);
  // Takes `=`, `!=`, `<`, `<=`, `>` or `>=`; kNone if none is there.
  CompareOperator AcceptUnaryOperator();
  bool ParsePortItem(std::vector<PortItem>& out);
  bool ParsePortNumber(std::string_view text, SourcePlace place,
                       uint16_t& port);

  // parse_rule.cc
  bool ParseFilterRule(SourcePlace place, RuleAction action);
  bool ParseBlockReturn(RuleSyntax& rule);
  bool ParseDirectionLogQuick(RuleSyntax& rule);
  bool ParseLogOptions(LogOptions& log);
  bool ParseInterfaces(std::vector<InterfaceItem>& out, bool allow_dynamic);
  bool ParseFamily(Family& family);
  bool ParseProtocols(std::vector<ProtocolItem>& out);
  bool ParseFromTo(RuleSyntax& rule);
  bool ParseFingerprints(std::vector<std::string>& out);
  bool ParseRuleHead(RuleSyntax& rule);
  bool ParseIcmpCode(std::string_view what, uint8_t type, Family family,
                     uint8_t& code);

  // parse_filter_options.cc
  bool ParseFilterOptions(RuleSyntax& rule);
  bool ParseFilterOption(RuleSyntax& rule, const Token& word);
  bool ParseFlags(RuleSyntax& rule);
  bool ParseIcmpTypes(RuleSyntax& rule, Family family);
  bool ParseIds(std::vector<IdMatch>& out, bool users);
  bool ParseIdValue(const Token& token, bool users, uint32_t& id);
  bool ParseTos(uint8_t& tos);
  bool ParseSet(RuleSyntax& rule);
  bool ParseSetItem(RuleSyntax& rule);
  bool ParseScrubOptions(ScrubOptions& scrub, bool in_rule);
  bool ParseScrubOption(ScrubOptions& scrub, const Token& word, bool& known);
  bool ParseLabel(std::vector<std::string>& labels);
  bool ParseTag(std::string_view what, std::string& tag);
  bool ParseProbability(uint32_t& probability);
  bool ParseRate(std::string_view what, RateLimit& rate);
  bool ParseForeignOption(RuleSyntax& rule, const Token& word, bool& known);

  // parse_state.cc
  bool ParseState(RuleSyntax& rule, StateKind kind);
  bool ParseStateOptions(StateOptions& options, bool& lock_given);
  bool ParseStateOption(StateOptions& options, bool& lock_given);

  // parse_pool.cc
  bool ParsePool(std::optional<PoolSyntax>& pool, bool is_rdr);
  bool ParseRoute(RuleSyntax& rule, RouteKind kind);
  bool ParsePoolPort(PoolSyntax& pool, bool is_rdr);
  bool ParsePoolOptions(PoolSyntax& pool);
  bool ParseAfTo(RuleSyntax& rule);
  // The address a pool has for rules of `family`; reports if there is none.
  bool FillPool(const PoolSyntax& syntax, Family family,
                std::optional<Pool>& out);

  // parse_options.cc
  bool ParseOption(SourcePlace place);
  bool ParseSetLimit(SourcePlace place);
  bool ParseSetTimeout(SourcePlace place);
  bool ParseSetSkip(SourcePlace place);
  bool ParseSetSyncookies(SourcePlace place);
  bool ParseSetReassemble(SourcePlace place);
  bool ParseOnOff(std::string_view what, bool& value);
  void Given(SourcePlace place, std::string text);
  void ApplyOptimization(Optimization optimization);
  void FinishOptions();
  void TakeOptions(const Options& base);

  // parse_tables.cc
  bool ParseTable(SourcePlace place);
  bool ParseTableContents(TableDefinition& table);
  bool AddTableEntries(const std::vector<HostItem>& hosts,
                       TableDefinition& table);

  // parse_anchors.cc
  bool ParseAnchor(SourcePlace place);
  bool ParseTranslationAnchor(const Token& word);
  bool ParseLoadAnchor(SourcePlace place);
  bool ParseAntispoof(SourcePlace place);
  bool ParseAnchorName(std::string& name, bool& wildcard);
  // The absolute path of an anchor named in the present one.
  bool AnchorPath(const std::string& name, SourcePlace place,
                  std::string& path);
  void LoadPendingAnchors();

  // parse_legacy.cc: FreeBSD's scrub, nat, rdr and binat rules.
  bool ParseScrubRule(SourcePlace place, bool no);
  bool ParseTranslationRule(const Token& word, bool no);
  bool ParseBinatRule(SourcePlace place, bool no);

  // parse_ether.cc
  bool ParseEther(SourcePlace place);
  // `in_body` becomes true where the braces behind the rule are being read.
  bool ParseEtherRule(SourcePlace place, bool& in_body);
  bool ParseEtherBody(const std::string& path);
  bool ParseMac(MacMatch& mac);

  // parse_queues.cc
  bool ParseBandwidth(std::string& out);
  bool ParseQueueRate(std::string_view what, std::string& out);
  bool ParseQueue(const Token& word);
  bool ParseQueueDefinition(const Token& word, const std::string& name,
                            SourcePlace name_place);
  bool ParseScheduler(std::string& out);
  bool ParseAltq(const Token& word);
  bool ParseAltqDefinition(const Token& word, const std::string& name,
                           SourcePlace name_place);
  bool ParseLimiter(const Token& word);
  bool AddForeign(std::string kind, std::string text, SourcePlace place);

  // expand.cc, check.cc
  bool ExpandRule(RuleSyntax& rule, std::vector<Rule>& out);
  bool ExpandBinat(RuleSyntax& rule, std::vector<Rule>& out);
  void ApplyStateDefaults(RuleSyntax& rule);
  bool CheckRule(const Rule& rule, const RuleSyntax& syntax);
  bool CheckPools(const Rule& rule, const RuleSyntax& syntax);
  bool CheckRuleState(const Rule& rule, const RuleSyntax& syntax);
  bool ExpandLabels(Rule& rule);
  bool CheckLabelLength(const std::string& text, std::string_view what,
                        SourcePlace place);
  // `$nr`, when the numbers are known.
  void NumberLabels(Anchor& anchor);
  // The anchor that statements now go to.
  Anchor& Here();

  // check_limits.cc: what `set limit` bounds.
  Anchor& MakeAnchor(const std::string& path, SourcePlace place);
  void CheckLimits();
  SourcePlace PlaceOfAnchor(size_t limit) const;

  // check_names.cc: names that are used before or without a definition.
  void UseInterface(const std::string& name, SourcePlace place);
  void UseTable(const std::string& name, SourcePlace place);
  void UseQueue(const std::string& name, SourcePlace place);
  void DefineQueue(const std::string& name, const std::string& parent);
  void CheckNames();
  // Those that are known, and their groups, without repetitions.
  std::vector<std::string_view> InterfaceNames() const;
  std::string InterfaceHint(std::string_view name) const;

  ParseInput input_;
  HostFacts no_facts_;
  const HostFacts& facts_;
  ParseResult result_;
  Lexer lexer_;
  Token token_;
  int brace_depth_ = 0;  // of lists in the present statement

  struct FileText {
    std::string text;
    std::optional<SourceLines> lines;  // made for the first message
  };
  std::deque<FileText> texts_;  // the lexer points into it
  size_t total_bytes_ = 0;
  size_t rule_count_ = 0;
  size_t table_entry_count_ = 0;
  size_t error_count_ = 0;
  size_t warning_count_ = 0;
  std::set<std::pair<std::string, std::string>> seen_;

  struct AnchorScope {
    std::string path;  // within the policy
    int next_unnamed = 1;
    size_t lexer_depth = 0;
  };
  std::vector<AnchorScope> anchors_;
  std::map<std::string, SourcePlace> anchor_places_;  // of the first mention
  std::vector<PendingAnchor> pending_;
  Section section_ = Section::kNone;
  std::array<bool, kTimeoutCount> timeout_given_{};
  // Of macros, options and tables, for the print.
  uint32_t order_ = 0;
  bool in_loaded_anchor_ = false;
  std::set<std::string, std::less<>> queues_;  // that are defined so far
  std::set<std::string, std::less<>> parent_queues_;  // that have children
  // The first use of each name.
  std::map<std::string, SourcePlace, std::less<>> interface_uses_;
  std::map<std::string, SourcePlace, std::less<>> table_uses_;
  std::map<std::string, SourcePlace, std::less<>> queue_uses_;
  // A file could not be read: what it defines is not known.
  bool misses_definitions_ = false;
};

// Shared by the parsers of numbers in words: decimal, 0x hexadecimal or 0
// octal, as strtoul with base 0 reads them, nothing after.
std::optional<uint64_t> ParseUnsigned(std::string_view text);
// The known word that is nearest to `word`, or empty: for "did you mean".
std::string NearestWord(std::string_view word,
                        const std::vector<std::string_view>& known);
// "did you mean 'x'?" with the nearest, or nothing.
std::string DidYouMean(std::string_view word,
                       const std::vector<std::string_view>& known);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSER_INTERNAL_H_
