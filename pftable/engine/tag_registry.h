// The names of tags as small numbers, which packets and states carry.
#ifndef SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_
#define SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/engine/epochs.h"

namespace sluice {

inline constexpr uint16_t kNoTag = 0;

// Control side, safe from several threads. A number stands for one name until
// the caller has found that no state carries it past its rules (Idle(),
// Forget()).
class TagRegistry {
 public:
  static constexpr size_t kMaxTags = 50000;
  static constexpr size_t kMaxNameLength = 63;

  // At most kMaxTags.
  explicit TagRegistry(size_t max_tags = kMaxTags) : max_tags_(max_tags) {}

  // InvalidArgument for an empty or overlong name, ResourceExhausted when all
  // numbers are taken.
  absl::StatusOr<uint16_t> Intern(std::string_view name);
  // kNoTag for a name without a number.
  uint16_t Find(std::string_view name) const;
  // "" for kNoTag and for a number that nobody has.
  std::string NameOf(uint16_t tag) const;

  // For whoever interns names: a policy, an import.
  std::shared_ptr<const Epoch> Hold() const;
  // A tag that was last interned before all epochs that somebody holds.
  struct IdleTag {
    uint16_t tag = kNoTag;
    uint64_t used = 0;  // a version
  };
  std::vector<IdleTag> Idle() const;
  // Whether there are so many more tags than the last look has left.
  bool IsWorthALook() const;
  // Their numbers may be other tags', unless they were interned meanwhile.
  void Forget(std::span<const IdleTag> tags);

 private:
  struct Tag {
    uint16_t number = kNoTag;
    uint64_t used = 0;
  };

  const size_t max_tags_;
  mutable std::mutex mutex_;
  std::map<std::string, Tag, std::less<>> tags_;
  std::vector<std::string> names_;  // by tag - 1; "": nobody's
  std::deque<uint16_t> free_;       // longest free first
  uint64_t version_ = 0;            // names interned
  size_t left_ = 0;
  mutable Epochs epochs_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_TAG_REGISTRY_H_
