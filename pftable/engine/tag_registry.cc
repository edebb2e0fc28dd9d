#include "pftable/engine/tag_registry.h"

#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<uint16_t> TagRegistry::Intern(std::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("an empty tag");
  if (name.size() > kMaxNameLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("tag too long, max ", kMaxNameLength, " chars"));
  }
  const std::lock_guard lock(mutex_);
  if (const auto known = tags_.find(name); known != tags_.end()) {
    return known->second;
  }
  if (names_.size() >= kMaxTags) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no number left for tag ", std::string(name), ": ",
                     kMaxTags, " tags were used since the filter was made"));
  }
  names_.emplace_back(name);
  const uint16_t tag = static_cast<uint16_t>(names_.size());
  tags_.emplace(std::string(name), tag);
  return tag;
}

uint16_t TagRegistry::Find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto known = tags_.find(name);
  return known == tags_.end() ? kNoTag : known->second;
}

std::string TagRegistry::NameOf(uint16_t tag) const {
  const std::lock_guard lock(mutex_);
  return tag == kNoTag || tag > names_.size() ? std::string()
                                              : names_[tag - 1];
}

}  // namespace sluice
