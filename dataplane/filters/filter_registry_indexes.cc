// The tables of filters that have many, indexed anew when edits have left too
// many of them behind: on the builder thread, which others wait for, so that
// it is at it for a tenth of its time at most.
#include <chrono>
#include <memory>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"

namespace sluice {
namespace {

// For each millisecond that it took, so many before the next one.
constexpr uint64_t kRests = 9;

}  // namespace

std::shared_ptr<LiveFilter> FilterRegistry::NextToIndex() {
  // By name, behind the one that was the last.
  if (indexed_last_.empty() && main_.filter->store().WantsIndex()) {
    return main_.filter;
  }
  for (auto it = filters_.upper_bound(indexed_last_); it != filters_.end();
       ++it) {
    if (it->second.filter->store().WantsIndex()) return it->second.filter;
  }
  indexed_last_.clear();
  return nullptr;
}

void FilterRegistry::IndexTables(uint64_t milliseconds) {
  if (indexing_ || milliseconds < index_next_) return;
  std::shared_ptr<LiveFilter> filter = NextToIndex();
  if (filter == nullptr) return;
  struct Work {
    absl::StatusOr<StagedGeneration> staged = StagedGeneration();
    uint64_t took = 0;
  };
  auto work = std::make_shared<Work>();
  auto build = [filter, work] {
    const auto began = std::chrono::steady_clock::now();
    work->staged = filter->store().StageIndex();
    work->took = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - began)
            .count());
  };
  auto finish = [this, filter, work, milliseconds] {
    indexing_ = false;
    index_next_ = milliseconds + (1 + kRests) * work->took;
    // What it was built on may be gone: there will be another one.
    PolicyStore& store = filter->store();
    if (work->staged.ok() && !store.IsUpToDate(*work->staged)) return;
    const absl::Status status = work->staged.ok()
                                    ? store.Publish(*std::move(work->staged))
                                    : work->staged.status();
    if (!status.ok()) {
      LogWarning("filter {}: tables are asked one by one: {}",
                      filter->name(), std::string(status.message()));
    }
  };
  // No filter's name is before this one.
  indexed_last_ =
      filter == main_.filter ? std::string(1, '\0') : filter->name();
  indexing_ = builder_.Submit(std::move(build), std::move(finish));
}

}  // namespace sluice
