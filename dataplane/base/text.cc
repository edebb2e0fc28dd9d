#include "dataplane/base/text.h"

#include <cerrno>
#include <cstring>

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
