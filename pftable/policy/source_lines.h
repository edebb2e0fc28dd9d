// The lines of a text by number, for messages that quote them.
#ifndef SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_
#define SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class SourceLines {
 public:
  // One pass over the text, which must outlive this.
  explicit SourceLines(std::string_view text);

  // The line from 1, without its end, cut to 512 bytes; empty if there is
  // none of that number.
  std::string Line(uint32_t number) const;

 private:
  std::string_view text_;
  std::vector<size_t> starts_;
};

// The same of the files that a policy was read from, which must outlive this;
// null: nobody has kept their texts.
class SourceTexts {
 public:
  explicit SourceTexts(const std::vector<std::string>* texts)
      : texts_(texts) {}

  // As Line(); empty if there is no such file, too.
  std::string Line(size_t file, uint32_t number);

 private:
  const std::vector<std::string>* texts_;
  std::map<size_t, SourceLines> lines_;  // by file, of those asked for
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_
