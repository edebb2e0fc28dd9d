#include "dataplane/base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace sluice {

std::string Hex(std::span<const uint8_t> bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

namespace {

std::string Escape(std::string_view text, bool lines) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  shown.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = byte < 0x20 || byte == 0x7f;
    if (!control || (lines && (c == '\n' || c == '\t'))) {
      shown += c;
    } else {
      shown += "\\x";
      shown += kDigits[byte >> 4];
      shown += kDigits[byte & 15];
    }
  }
  return shown;
}

}  // namespace

std::string_view Nearest(std::string_view word,
                         std::span<const std::string_view> words) {
  constexpr size_t kLongest = 32;
  std::string_view nearest;
  // Two slips, but not in a word of which they would leave nothing.
  size_t least = 3;
  if (word.empty() || word.size() > kLongest) return nearest;
  for (const std::string_view known : words) {
    if (known.size() > kLongest || known.size() < 2) continue;
    std::array<size_t, kLongest + 1> row;
    for (size_t j = 0; j <= word.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= known.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j <= word.size(); ++j) {
        const size_t same = diagonal + (known[i - 1] != word[j - 1]);
        diagonal = row[j];
        row[j] = std::min({same, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row[word.size()] < std::min(least, known.size() - 1)) {
      least = row[word.size()];
      nearest = known;
    }
  }
  return nearest;
}

std::string Printable(std::string_view text) { return Escape(text, true); }
std::string PrintableName(std::string_view text) {
  return Escape(text, false);
}

std::string SystemText(std::string_view what, int error) {
  return absl::StrCat(View(what), ": ", std::strerror(error));
}

absl::Status SystemError(std::string_view what, int error) {
  const std::string text = SystemText(what, error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case EPIPE:
    case ECONNRESET:
    case EIO:
    case ESTALE:
    case EAGAIN:
      return absl::UnavailableError(text);
    default:
      return absl::InternalError(text);
  }
}

}  // namespace sluice
