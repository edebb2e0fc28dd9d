// What is different between two texts, line by line, as diff(1) says it.
#ifndef SLUICE_DATAPLANE_BASE_LINE_DIFF_H_
#define SLUICE_DATAPLANE_BASE_LINE_DIFF_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

struct LineDiff {
  // Unified hunks ("@@ -3,7 +3,8 @@"), each line with ' ', '-' or '+' before
  // it, without the two lines that name the files. Empty: the texts are equal.
  std::string text;
  uint64_t removed = 0;  // lines
  uint64_t added = 0;
};

// `context`: so many equal lines are shown around what differs. Lines that
// each text has once and both have are kept where that makes the fewest
// differences (as in patience diff); between them the work is bounded, and
// what is too much for that counts as different. O(n log n) for texts that are
// much the same.
LineDiff DiffLines(std::string_view before, std::string_view after,
                   size_t context = 3);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_LINE_DIFF_H_
