// Who may still mean something by numbers that names had once. Whoever resolves
// names holds the registry's epoch, taken before the first of them, for as long
// as the numbers may be used; what was given up after the oldest epoch that
// somebody holds is nobody else's yet.
#ifndef SLUICE_PFTABLE_ENGINE_EPOCHS_H_
#define SLUICE_PFTABLE_ENGINE_EPOCHS_H_

#include <cstdint>
#include <deque>
#include <memory>

namespace sluice {

struct Epoch {
  uint64_t version = 0;
};

// Of a registry, under its mutex. Its versions ascend.
class Epochs {
 public:
  std::shared_ptr<const Epoch> Hold(uint64_t version) {
    if (!held_.empty()) {
      std::shared_ptr<const Epoch> newest = held_.back().lock();
      if (newest != nullptr && newest->version == version) return newest;
    }
    auto epoch = std::make_shared<const Epoch>(Epoch{version});
    Oldest(version);  // lets go of what nobody holds
    held_.push_back(epoch);
    return epoch;
  }
  // The oldest version that somebody holds, or `version`, the present one.
  uint64_t Oldest(uint64_t version) {
    // Their owners let go on any thread and say nothing.
    while (!held_.empty()) {
      const std::shared_ptr<const Epoch> oldest = held_.front().lock();
      if (oldest != nullptr) return oldest->version;
      held_.pop_front();
    }
    return version;
  }

 private:
  std::deque<std::weak_ptr<const Epoch>> held_;  // ascending
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_EPOCHS_H_
