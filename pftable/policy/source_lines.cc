#include "pftable/policy/source_lines.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kMaxBytes = 512;

}  // namespace

SourceLines::SourceLines(std::string_view text) : text_(text), starts_{0} {
  for (size_t at = text.find('\n'); at != text.npos;
       at = text.find('\n', at + 1)) {
    starts_.push_back(at + 1);
  }
}

std::string SourceLines::Line(uint32_t number) const {
  if (number == 0 || number > starts_.size()) return std::string();
  const size_t begin = starts_[number - 1];
  const size_t end = std::min(text_.find('\n', begin), text_.size());
  std::string line(text_.substr(begin, std::min(end - begin, kMaxBytes)));
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

std::string SourceTexts::Line(size_t file, uint32_t number) {
  if (texts_ == nullptr || file >= texts_->size()) return std::string();
  return lines_.try_emplace(file, (*texts_)[file]).first->second.Line(number);
}

}  // namespace sluice
