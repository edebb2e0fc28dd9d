#include "pftable/language/words.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() ||
      text.empty()) {
    return std::nullopt;
  }
  return value;
}

std::string DidYouMean(std::string_view word,
                       const std::vector<std::string_view>& known) {
  const std::string nearest = NearestWord(word, known);
  return nearest.empty() ? "" : "did you mean '" + nearest + "'?";
}

std::string NearestWord(std::string_view word,
                        const std::vector<std::string_view>& known) {
  // Optimal string alignment distance, of which up to a third may be wrong.
  const size_t n = word.size();
  if (n < 2 || n > 32) return "";
  size_t best = n <= 3 ? 2 : n <= 7 ? 3 : 4;
  std::string_view nearest;
  std::vector<std::vector<size_t>> d(n + 1, std::vector<size_t>(34));
  for (std::string_view k : known) {
    if (k == word || k.size() > 32 || k.size() + 3 < n || n + 3 < k.size()) {
      continue;
    }
    for (size_t i = 0; i <= n; ++i) d[i][0] = i;
    for (size_t j = 0; j <= k.size(); ++j) d[0][j] = j;
    for (size_t i = 1; i <= n; ++i) {
      for (size_t j = 1; j <= k.size(); ++j) {
        const size_t cost = word[i - 1] == k[j - 1] ? 0 : 1;
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                            d[i - 1][j - 1] + cost});
        if (i > 1 && j > 1 && word[i - 1] == k[j - 2] &&
            word[i - 2] == k[j - 1]) {
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    }
    if (d[n][k.size()] < best) {
      best = d[n][k.size()];
      nearest = k;
    }
  }
  return std::string(nearest);
}

}  // namespace sluice
