// Which names filters, tables and anchors may have, and whatever else a
// snapshot carries by name.
#ifndef SLUICE_PFTABLE_POLICY_NAME_H_
#define SLUICE_PFTABLE_POLICY_NAME_H_

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace sluice {

inline constexpr size_t kMaxTableName = 31;

// Letters and digits of ASCII and _ . : - alone. pf takes others between
// quotes, but a filter with one could not be moved.
constexpr bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' ||
         c == '-';
}

// 1 to `longest` such characters.
constexpr bool IsName(std::string_view text, size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::ranges::all_of(text, IsNameCharacter);
}

// The path of an anchor, "a/b", without a leading slash; "" is the main ruleset.
inline constexpr size_t kMaxAnchorPathSize = 1023;
inline constexpr size_t kMaxAnchorNameSize = 63;
constexpr bool IsAnchorPath(std::string_view text) {
  if (text.size() > kMaxAnchorPathSize) return false;
  while (!text.empty()) {
    const size_t slash = text.find('/');
    if (!IsName(text.substr(0, slash), kMaxAnchorNameSize)) return false;
    if (slash == text.npos) return true;
    text.remove_prefix(slash + 1);
    if (text.empty()) return false;
  }
  return true;
}

// The same for a filter, whose name becomes a word of command lines and a part
// of file names: neither "-x" nor "." nor "..".
constexpr bool IsFilterName(std::string_view text, size_t longest) {
  return IsName(text, longest) && text.front() != '-' && text.front() != '.' &&
         text.front() != ':';
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_NAME_H_
