// Anchors: their calls, names and bodies, and files to load into them.
// Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_ANCHORS_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_ANCHORS_H_

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pftable/language/expand.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class AnchorParser {
 public:
  // What `load anchor` asks for.
  struct Load {
    std::string path;
    std::string file;
    SourcePlace place;
  };

  // All outlive this. `read_body` reads statements up to the '}' that ends the
  // body of an anchor.
  AnchorParser(TokenReader& in, PolicyDraft& draft, HeadParser& heads,
               RuleOptionParser& options, RuleExpander& expander,
               std::function<void()> read_body)
      : in_(in),
        draft_(draft),
        heads_(heads),
        options_(options),
        expander_(expander),
        read_body_(std::move(read_body)) {}

  bool ParseAnchor(SourcePlace place);
  bool ParseTranslationAnchor(const Token& word);
  bool ParseLoadAnchor(SourcePlace place);
  bool ParseAnchorName(std::string& name, bool& wildcard);
  // The absolute path of an anchor named in the present one.
  bool AnchorPath(const std::string& name, SourcePlace place,
                  std::string& path);
  // The statements of the anchor `path`, to behind the '}' of what `opened`.
  bool ParseBody(std::string path, SourcePlace opened);

  // In the order of the text; reading one may add others.
  const std::vector<Load>& loads() const { return pending_; }

 private:
  TokenReader& in_;
  PolicyDraft& draft_;
  HeadParser& heads_;
  RuleOptionParser& options_;
  RuleExpander& expander_;
  const std::function<void()> read_body_;
  std::vector<Load> pending_;
  std::set<std::string> bodies_;  // anchors that had one, by path
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_ANCHORS_H_
