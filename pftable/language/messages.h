// What is said about a ruleset, and the lines that it is said about. Internal
// to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_MESSAGES_H_
#define SLUICE_PFTABLE_LANGUAGE_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/parser.h"
#include "pftable/policy/source_lines.h"

namespace sluice {

class Messages {
 public:
  // Messages and the names of the files go into `result`. Both outlive this.
  Messages(const ParseInput& input, ParseResult& result)
      : input_(input), result_(result) {}

  // The number that places in this file have.
  uint32_t AddFile(std::string name, std::string text);
  // Of a file; it stays where it is.
  std::string_view text(uint32_t file) const { return texts_[file].text; }
  const std::string& file_name(uint32_t file) const {
    return result_.policy.files[file];
  }
  // The texts of all files, for whoever keeps the policy. The last call.
  std::shared_ptr<const std::vector<std::string>> TakeTexts();

  // Unless the same was said of this place already.
  void Report(Severity severity, SourcePlace place, std::string message,
              std::string hint);
  // Errors that are complete.
  void AddErrors(std::vector<Diagnostic> errors);
  size_t errors() const { return error_count_; }
  // Whether there were more errors than the limit: reading ends then.
  bool truncated() const { return result_.truncated; }

 private:
  struct FileText {
    std::string text;
    std::optional<SourceLines> lines;  // made for the first message
  };

  std::string SourceLine(SourcePlace place);

  const ParseInput& input_;
  ParseResult& result_;
  std::deque<FileText> texts_;  // the lexer points into it
  size_t error_count_ = 0;
  size_t warning_count_ = 0;
  std::set<std::pair<std::string, std::string>> seen_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_MESSAGES_H_
