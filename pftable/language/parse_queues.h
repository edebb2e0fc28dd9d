// Queues of either pf, ALTQ and limiters: they are read, checked and kept as
// text. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_QUEUES_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_QUEUES_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/language/altq.h"
#include "pftable/language/check_names.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

inline constexpr size_t kMaxQueueName = 63;

class QueueParser {
 public:
  // All outlive this.
  QueueParser(TokenReader& in, PolicyDraft& draft, Names& names,
              HostParser& hosts)
      : in_(in), draft_(draft), names_(names), hosts_(hosts) {}

  bool ParseQueue(const Token& word);
  bool ParseAltq(const Token& word);
  bool ParseLimiter(const Token& word);
  // At the end: queues stand behind their parents, as pfctl loads and prints
  // them.
  void Finish();

 private:
  bool ParseBandwidth(std::string& out);
  bool ParseQueueRate(std::string_view what, std::string& out);
  bool ParseQueueDefinition(const Token& word, const std::string& name,
                            SourcePlace name_place);
  // ALTQ: parse_altq.cc.
  bool ParseAltqBandwidth(AltqBandwidth& out);
  bool ParseAltqCurve(AltqCurve& out);
  bool ParseScheduler(AltqScheduler& out);
  bool ParseAltqDefinition(const Token& word, const std::string& name,
                           SourcePlace name_place);
  bool ParseAltqOptions(AltqDefinition& altq, bool root);
  bool AddAltqRoot(const Token& word, const AltqDefinition& altq);
  bool AddAltqQueue(const Token& word, const AltqDefinition& altq,
                    const std::string& name, SourcePlace name_place);
  bool CheckAltqQueue(const AltqDefinition& altq, const AltqParent& parent,
                      SourcePlace name_place);
  bool ParseInterfaces(std::vector<std::string>& out);
  bool AddForeign(std::string kind, std::string text, SourcePlace place);

  TokenReader& in_;
  AltqState altq_;
  std::set<std::string> queues_;  // name, parent and interface of each
  struct Node {
    std::string name;
    std::string parent;
    size_t index;  // among the policy's foreign definitions
  };
  std::vector<Node> tree_;  // OpenBSD's
  PolicyDraft& draft_;
  Names& names_;
  HostParser& hosts_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_QUEUES_H_
