// What workers have of a filter, and the table of all filters by number.
//
// A filter comes and goes while packets flow: the control lcore publishes it
// here, gives ports to it by the next Topology, and when it goes takes the
// ports away first, has the workers remove its states, withdraws it, and frees
// it a grace period later. Numbers are given out again, serials never.
//
// Its status has to say that its ports are enabled (FilterStatusWord::Enable)
// before packets come, or they are dropped. What workers hold of a filter
// leaves their queues within a round after its status says so, without any
// packet; before the filter is withdrawn, a grace period has to pass without
// ports and each worker has to have found its queue empty (ForgetOrder).
#ifndef SLUICE_DATAPLANE_FORWARD_FILTER_PLANE_H_
#define SLUICE_DATAPLANE_FORWARD_FILTER_PLANE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "restore/filter_status.h"
#include "restore/hold_queue.h"
#include "restore/restore_queue.h"

namespace sluice {

class PolicyStore;
class StateBudget;
struct HandshakeLoad;
struct SourceBudget;

// The filter that judges at every port that has none of its own.
inline constexpr uint16_t kMainFilter = 0;

struct FilterPlane {
  // Fixed before it is published.
  uint16_t number = 0;
  uint64_t serial = 0;  // never given out twice
  PolicyStore* policy = nullptr;
  StateBudget* budget = nullptr;
  SourceBudget* sources = nullptr;
  HandshakeLoad* handshakes = nullptr;
  // With FailPolicy::kOpen: the filter, with a number and states of its own,
  // whose ruleset holds then. Never null with it.
  FilterPlane* emergency = nullptr;
  // One a worker, which owns it.
  std::vector<std::unique_ptr<HoldQueue>> holds;
  void MakeHolds(uint16_t workers, HoldBudget* budget) {
    for (uint16_t i = 0; i < workers; ++i) {
      holds.push_back(std::make_unique<HoldQueue>(budget));
    }
  }

  // Whether its ports are enabled, in which incarnation, and how far the
  // restore of that one has come.
  FilterStatusWord status;
  // Writer: the control lcore. Readers: workers, which may see a change a round
  // later; in any order, since nothing else goes with it.
  // What holds after its restore has failed, or when it cannot be judged.
  std::atomic<FailPolicy> fail_policy{FailPolicy::kClosed};
  // ARP, neighbour discovery and DHCP pass while the others are held.
  std::atomic<bool> bypass_hold{true};

  // Writer of both: the control lcore, release. Readers: workers, acquire.
  // False: no ruleset was ever loaded, and nothing passes.
  std::atomic<bool> loaded{false};
  // The epochs (pftable/store/publication.h) of the ruleset that was loaded
  // first and of the last restore's: in a round that began before them the
  // filter is as it was before. Writer: the control lcore, before `loaded` and
  // the status that tell of them.
  std::atomic<uint64_t> loaded_from{0};
  std::atomic<uint64_t> restored_from{0};
  // A ruleset was published, of that epoch or an earlier one.
  void NoteLoaded(uint64_t epoch) {
    if (loaded.load(std::memory_order_relaxed)) return;
    loaded_from.store(epoch, std::memory_order_relaxed);
    loaded.store(true, std::memory_order_release);
  }
  // False: `sluicectl -d`.
  std::atomic<bool> enabled{true};
};

class FilterTable {
 public:
  FilterTable() = default;
  FilterTable(const FilterTable&) = delete;
  FilterTable& operator=(const FilterTable&) = delete;

  // Any lcore. Null: there is none with that number. Valid until the worker's
  // next quiescent state.
  FilterPlane* at(uint16_t number) const {
    return filters_[number].load(std::memory_order_acquire);
  }
  // Numbers in use are below this.
  uint16_t end() const { return end_.load(std::memory_order_acquire); }

  // Control lcore.
  void Publish(FilterPlane* filter) {
    filters_[filter->number].store(filter, std::memory_order_release);
    if (filter->number >= end()) {
      end_.store(static_cast<uint16_t>(filter->number + 1),
                 std::memory_order_release);
    }
  }
  void Withdraw(uint16_t number) {
    filters_[number].store(nullptr, std::memory_order_release);
  }

 private:
  std::array<std::atomic<FilterPlane*>, kMaxFilters> filters_{};
  std::atomic<uint16_t> end_{0};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FILTER_PLANE_H_
