// Pieces of messages: what one library has to be told of another's strings, and
// the system's own words for what went wrong.
#ifndef SLUICE_DATAPLANE_BASE_TEXT_H_
#define SLUICE_DATAPLANE_BASE_TEXT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/log.h"

namespace sluice {

// Debian's absl::string_view is a type of its own.
inline absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}
// The message of a status, for the log, whose formatter does not know that
// type.
inline std::string Text(const absl::Status& status) {
  return std::string(status.message());
}
// Two lower-case hexadecimal digits a byte.
std::string Hex(std::span<const uint8_t> bytes);

// What others have written, for a terminal or a log: control characters but
// for newlines and tabs are shown as "\x1b". Other bytes stay as they are.
std::string Printable(std::string_view text);
// The same for a name in the midst of a line, without newlines and tabs.
std::string PrintableName(std::string_view text);

// The one of the words that somebody may have meant who wrote `word`; empty:
// none is near.
std::string_view Nearest(std::string_view word,
                         std::span<const std::string_view> words);

// "what: No such file or directory" for ENOENT.
std::string SystemText(std::string_view what, int error);
// The same as a status: NotFound for ENOENT, ResourceExhausted for what is
// full, PermissionDenied, Unavailable for what may pass, otherwise Internal.
absl::Status SystemError(std::string_view what, int error);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_TEXT_H_
