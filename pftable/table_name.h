// Which names tables may have.
#ifndef SLUICE_PFTABLE_TABLE_NAME_H_
#define SLUICE_PFTABLE_TABLE_NAME_H_

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace sluice {

inline constexpr size_t kMaxTableName = 31;

// Letters, digits and _ . : - alone: what a snapshot can carry. pf takes
// others between quotes, but a filter with one could not be moved.
constexpr bool HasTableNameCharacters(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' ||
           c == '-';
  });
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_TABLE_NAME_H_
