// When what policy stores publish takes effect, for all stores that share it.
//
// Each publication, of one store or of several together, has an epoch, the
// next one. A worker reads the epoch once a round (after the topology) and
// takes of each store what was in force at that epoch (PolicyStore::At()). So
// it sees all of a set or nothing of it, whenever in its round it meets the
// stores. What it goes back to is there for as long as its round lasts: grace
// periods begin behind the epoch's store.
#ifndef SLUICE_PFTABLE_STORE_PUBLICATION_H_
#define SLUICE_PFTABLE_STORE_PUBLICATION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "pftable/engine/generation.h"

namespace sluice {

class PolicyStore;
using Ticket = uint64_t;

// For who does not care: what is in force now.
inline constexpr uint64_t kNewestEpoch = UINT64_MAX;

class Publication {
 public:
  Publication() = default;
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;

  // Workers, once a round. What is published later is not seen with it.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

 private:
  friend class PolicyStore;

  // Held from the first store of a publication to that of its epoch; taken
  // inside of the stores' own.
  std::mutex mutex_;
  // Writer: the control side, under the mutex, release. Readers: workers,
  // acquire.
  alignas(128) std::atomic<uint64_t> epoch_{0};
};

// A generation that was built and is not in force yet.
struct StagedGeneration {
  StagedGeneration() = default;
  // A copy of `base`, to be changed; FinishGeneration() ends that.
  explicit StagedGeneration(const Generation& base);

  std::unique_ptr<Generation> next;  // null: there is nothing to change
  uint64_t base = 0;  // the number of the generation that it was built on
};

// One store's part of what several publish together.
struct StagedCommit {
  PolicyStore* store = nullptr;
  // Of the load whose rules `generation` has, which ends with it; 0: they are
  // those in force.
  Ticket ticket = 0;
  StagedGeneration generation;
};

// All of them come into force with one store of the epoch, or none does. Each
// store has one at most, and all of them share one Publication. Aborted as
// PolicyStore::Commit() and Publish() say, by the member in *culprit: built
// again it may do. ResourceExhausted: no memory.
absl::Status PublishTogether(std::span<StagedCommit> commits,
                             size_t* culprit = nullptr);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_PUBLICATION_H_
