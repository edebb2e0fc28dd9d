// The lines of a text by number, for messages that quote them.
#ifndef SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_
#define SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_

#include <cstddef>
#include <cstdint>
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

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_SOURCE_LINES_H_
