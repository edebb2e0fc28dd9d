// The names of tags as small numbers, which packets and states carry.
#ifndef SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_
#define SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

inline constexpr uint16_t kNoTag = 0;

// Control side, safe from several threads. A number stands for one name for
// as long as the filter lives, because states carry it past their rules.
class TagRegistry {
 public:
  static constexpr size_t kMaxTags = 50000;
  static constexpr size_t kMaxNameLength = 63;

  // InvalidArgument for an empty or overlong name, ResourceExhausted when all
  // numbers are taken.
  absl::StatusOr<uint16_t> Intern(std::string_view name);
  // kNoTag for a name without a number.
  uint16_t Find(std::string_view name) const;
  // "" for kNoTag and for a number that was never given out.
  std::string NameOf(uint16_t tag) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, uint16_t, std::less<>> tags_;
  std::vector<std::string> names_;  // by tag - 1
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_
