#include "pftable/engine/tag_registry.h"

#include <algorithm>

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
    known->second.used = ++version_;
    return known->second.number;
  }
  if (tags_.size() >= max_tags_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no number left for tag ", std::string(name), ": ",
                     max_tags_, " tags are those of rules or states"));
  }
  const auto made = tags_.emplace(std::string(name), Tag()).first;
  uint16_t tag;
  if (names_.size() < max_tags_) {
    names_.emplace_back(name);
    tag = static_cast<uint16_t>(names_.size());
  } else {
    tag = free_.front();
    free_.pop_front();
    names_[tag - 1] = std::string(name);
  }
  made->second = {.number = tag, .used = ++version_};
  return tag;
}

uint16_t TagRegistry::Find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto known = tags_.find(name);
  return known == tags_.end() ? kNoTag : known->second.number;
}

std::string TagRegistry::NameOf(uint16_t tag) const {
  const std::lock_guard lock(mutex_);
  return tag == kNoTag || tag > names_.size() ? std::string()
                                              : names_[tag - 1];
}

std::shared_ptr<const Epoch> TagRegistry::Hold() const {
  const std::lock_guard lock(mutex_);
  return epochs_.Hold(version_);
}

std::vector<TagRegistry::IdleTag> TagRegistry::Idle() const {
  const std::lock_guard lock(mutex_);
  const uint64_t oldest = epochs_.Oldest(version_);
  std::vector<IdleTag> idle;
  for (const auto& [name, tag] : tags_) {
    // Whoever holds an epoch has interned its names after it.
    if (tag.used <= oldest) idle.push_back({tag.number, tag.used});
  }
  return idle;
}

bool TagRegistry::IsWorthALook() const {
  constexpr size_t kMany = 1024;
  const std::lock_guard lock(mutex_);
  return tags_.size() >= std::min(left_ + kMany, max_tags_);
}

void TagRegistry::Forget(std::span<const IdleTag> tags) {
  const std::lock_guard lock(mutex_);
  for (const IdleTag& idle : tags) {
    const auto tag = tags_.find(names_[idle.tag - 1]);
    if (tag == tags_.end() || tag->second.used != idle.used) continue;
    tags_.erase(tag);
    names_[idle.tag - 1].clear();
    free_.push_back(idle.tag);
  }
  left_ = tags_.size();
}

}  // namespace sluice
