#include "dataplane/base/line_diff.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Cells of a table of common subsequences.
constexpr size_t kMostCells = 1 << 20;

using Lines = std::vector<std::string_view>;
using Numbers = std::vector<uint32_t>;  // equal lines have equal ones

Lines Split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

// Marks the lines of both texts that are kept.
class Matching {
 public:
  Matching(const Numbers& before, const Numbers& after)
      : before_(before),
        after_(after),
        keeps_before(before.size(), false),
        keeps_after(after.size(), false) {
    Match({0, before.size()}, {0, after.size()});
  }

 private:
  struct Range {
    size_t begin;
    size_t end;
    size_t size() const { return end - begin; }
  };

  void Keep(size_t b, size_t a) {
    keeps_before[b] = true;
    keeps_after[a] = true;
  }

  void Match(Range b, Range a) {
    while (b.size() > 0 && a.size() > 0 &&
           before_[b.begin] == after_[a.begin]) {
      Keep(b.begin++, a.begin++);
    }
    while (b.size() > 0 && a.size() > 0 &&
           before_[b.end - 1] == after_[a.end - 1]) {
      Keep(--b.end, --a.end);
    }
    if (b.size() == 0 || a.size() == 0) return;
    const std::vector<std::pair<size_t, size_t>> anchors = Anchors(b, a);
    if (anchors.empty()) {
      if (b.size() * a.size() <= kMostCells) MatchBySubsequence(b, a);
      return;
    }
    // What is between them has fewer lines and no anchor of this range, so
    // that the depth is small: each one ends at an anchor.
    for (size_t i = 0; i <= anchors.size(); ++i) {
      const bool last = i == anchors.size();
      Match({i == 0 ? b.begin : anchors[i - 1].first + 1,
             last ? b.end : anchors[i].first},
            {i == 0 ? a.begin : anchors[i - 1].second + 1,
             last ? a.end : anchors[i].second});
      if (!last) Keep(anchors[i].first, anchors[i].second);
    }
  }

  // The longest ascending chain of lines that each range has once.
  std::vector<std::pair<size_t, size_t>> Anchors(Range b, Range a) const {
    struct Seen {
      uint32_t in_before = 0;
      uint32_t in_after = 0;
      size_t after = 0;
    };
    std::unordered_map<uint32_t, Seen> seen;
    for (size_t i = b.begin; i < b.end; ++i) ++seen[before_[i]].in_before;
    for (size_t i = a.begin; i < a.end; ++i) {
      const auto found = seen.find(after_[i]);
      if (found == seen.end()) continue;
      ++found->second.in_after;
      found->second.after = i;
    }
    std::vector<std::pair<size_t, size_t>> unique;
    for (size_t i = b.begin; i < b.end; ++i) {
      const Seen& s = seen[before_[i]];
      if (s.in_before == 1 && s.in_after == 1) unique.emplace_back(i, s.after);
    }
    // Patience sorting: tails[k] ends the chain of k + 1 that ends earliest.
    std::vector<size_t> tails;
    std::vector<size_t> previous(unique.size(), unique.size());
    for (size_t i = 0; i < unique.size(); ++i) {
      const auto place = std::lower_bound(
          tails.begin(), tails.end(), unique[i].second,
          [&](size_t tail, size_t after) {
            return unique[tail].second < after;
          });
      if (place != tails.begin()) previous[i] = *(place - 1);
      if (place == tails.end()) {
        tails.push_back(i);
      } else {
        *place = i;
      }
    }
    std::vector<std::pair<size_t, size_t>> chain;
    for (size_t i = tails.empty() ? unique.size() : tails.back();
         i != unique.size(); i = previous[i]) {
      chain.push_back(unique[i]);
    }
    std::reverse(chain.begin(), chain.end());
    return chain;
  }

  void MatchBySubsequence(Range b, Range a) {
    const size_t width = a.size() + 1;
    std::vector<uint32_t> longest((b.size() + 1) * width, 0);
    for (size_t i = b.size(); i-- > 0;) {
      for (size_t j = a.size(); j-- > 0;) {
        longest[i * width + j] =
            before_[b.begin + i] == after_[a.begin + j]
                ? longest[(i + 1) * width + j + 1] + 1
                : std::max(longest[(i + 1) * width + j],
                           longest[i * width + j + 1]);
      }
    }
    for (size_t i = 0, j = 0; i < b.size() && j < a.size();) {
      if (before_[b.begin + i] == after_[a.begin + j]) {
        Keep(b.begin + i++, a.begin + j++);
      } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
        ++i;
      } else {
        ++j;
      }
    }
  }

  const Numbers& before_;
  const Numbers& after_;

 public:
  std::vector<bool> keeps_before;
  std::vector<bool> keeps_after;
};

// "3,7" from a first line, counted from 0, and how many.
std::string RangeText(size_t begin, size_t count) {
  // Of no lines it is the one before them.
  const size_t first = count == 0 ? begin : begin + 1;
  return count == 1 ? absl::StrCat(first) : absl::StrCat(first, ",", count);
}

}  // namespace

LineDiff DiffLines(std::string_view before, std::string_view after,
                   size_t context) {
  LineDiff diff;
  const Lines old_lines = Split(before);
  const Lines new_lines = Split(after);
  std::unordered_map<std::string_view, uint32_t> known;
  const auto number = [&known](const Lines& lines) {
    Numbers numbers;
    numbers.reserve(lines.size());
    for (const std::string_view line : lines) {
      numbers.push_back(
          known.emplace(line, static_cast<uint32_t>(known.size()))
              .first->second);
    }
    return numbers;
  };
  const Numbers old_numbers = number(old_lines);
  const Numbers new_numbers = number(new_lines);
  const Matching matching(old_numbers, new_numbers);

  // The lines of a hunk, with where it began in both texts.
  std::string body;
  size_t old_begin = 0, new_begin = 0, old_count = 0, new_count = 0;
  size_t equal = 0;  // lines at the end of `body`
  size_t i = 0, j = 0;
  const auto add = [&body](char mark, std::string_view line) {
    body.append(1, mark).append(line).append(1, '\n');
  };
  const auto end_hunk = [&] {
    if (body.empty()) return;
    // Not all of what is equal behind it.
    for (; equal > context; --equal) {
      body.resize(body.rfind('\n', body.size() - 2) + 1);
      --old_count;
      --new_count;
    }
    absl::StrAppend(&diff.text, "@@ -", RangeText(old_begin, old_count), " +",
                    RangeText(new_begin, new_count), " @@\n", body);
    body.clear();
  };
  while (i < old_lines.size() || j < new_lines.size()) {
    const bool removed =
        i < old_lines.size() && !matching.keeps_before[i];
    const bool added = !removed && j < new_lines.size() &&
                       !matching.keeps_after[j];
    if (!removed && !added) {
      if (!body.empty()) {
        add(' ', old_lines[i]);
        ++old_count;
        ++new_count;
        if (++equal > 2 * context) end_hunk();
      }
      ++i;
      ++j;
      continue;
    }
    if (body.empty()) {
      const size_t back = std::min({context, i, j});
      old_begin = i - back;
      new_begin = j - back;
      old_count = new_count = back;
      for (size_t k = back; k > 0; --k) add(' ', old_lines[i - k]);
    }
    equal = 0;
    if (removed) {
      add('-', old_lines[i++]);
      ++old_count;
      ++diff.removed;
    } else {
      add('+', new_lines[j++]);
      ++new_count;
      ++diff.added;
    }
  }
  end_hunk();
  return diff;
}

}  // namespace sluice
