#include "pftable/language/messages.h"

#include <string>
#include <utility>
#include <vector>

namespace sluice {

uint32_t Messages::AddFile(std::string name, std::string text) {
  result_.policy.files.push_back(std::move(name));
  texts_.push_back({.text = std::move(text), .lines = {}});
  return static_cast<uint32_t>(texts_.size() - 1);
}

std::shared_ptr<const std::vector<std::string>> Messages::TakeTexts() {
  std::vector<std::string> texts;
  for (FileText& read : texts_) {
    // It looks into the text that moves away.
    read.lines.reset();
    texts.push_back(std::move(read.text));
  }
  return std::make_shared<const std::vector<std::string>>(std::move(texts));
}

std::string Messages::SourceLine(SourcePlace place) {
  if (place.file >= texts_.size() || place.line == 0) return "";
  FileText& file = texts_[place.file];
  if (!file.lines) file.lines.emplace(file.text);
  return file.lines->Line(place.line);
}

void Messages::Report(Severity severity, SourcePlace place, std::string message,
                      std::string hint) {
  size_t& count = severity == Severity::kError ? error_count_ : warning_count_;
  if (count >= input_.limits.diagnostics) {
    // Too many warnings are no reason to stop.
    result_.truncated |= severity == Severity::kError;
    return;
  }
  Diagnostic d;
  d.severity = severity;
  d.file = place.file < result_.policy.files.size()
               ? result_.policy.files[place.file]
               : input_.file_name;
  d.line = place.line;
  d.column = place.column;
  d.message = std::move(message);
  d.source_line = SourceLine(place);
  d.hint = std::move(hint);
  // The rules of one list often have the same mistake.
  const std::string where =
      d.file + ':' + std::to_string(d.line) + ':' + std::to_string(d.column);
  if (!seen_.insert({where, d.message}).second) return;
  ++count;
  result_.diagnostics.push_back(std::move(d));
}

void Messages::AddErrors(std::vector<Diagnostic> errors) {
  for (Diagnostic& error : errors) {
    if (error_count_ >= input_.limits.diagnostics) {
      result_.truncated = true;
      return;
    }
    ++error_count_;
    result_.diagnostics.push_back(std::move(error));
  }
}

}  // namespace sluice
