// States in the form in which they stand in a snapshot, as many as a filter
// may have: what an export collects. A state takes its 136 bytes or little
// more, and 16 for its place, and is never copied when the collection grows.
#ifndef SLUICE_RESTORE_SNAPSHOT_STATES_H_
#define SLUICE_RESTORE_SNAPSHOT_STATES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "restore/snapshot.h"
#include "restore/snapshot_bytes.h"

namespace sluice {

// One thread at a time. Any call may throw std::bad_alloc, and what was there
// is still there then.
class SnapshotStates {
 public:
  SnapshotStates() = default;
  SnapshotStates(SnapshotStates&&) = default;
  SnapshotStates& operator=(SnapshotStates&&) = default;

  // In any order.
  void Add(const SnapshotState& state);

  // Brings them into the order of a snapshot: ascending by id, TFTP's children
  // apart. Of two states of one flow, seen as the reader sees them,
  // the younger stays: the other one had ended when that was recorded. A child
  // whose parent is not there, or cannot be one, becomes a state without.
  // Returns how many ties were cut so. Nothing can be added afterwards.
  uint64_t Finish();

  // Instead of Finish(): as they were added, the first so many without a
  // parent. Whoever added them answers for their order.
  void Keep(size_t parents);

  std::span<const uint8_t> parent(size_t i) const { return At(parents_[i]); }
  std::span<const uint8_t> child(size_t i) const { return At(children_[i]); }
  size_t parents() const { return parents_.size(); }  // with FTP's children
  size_t children() const { return children_.size(); }
  // Of memory.
  uint64_t bytes() const {
    return chunks_.size() * kChunkBytes +
           (parents_.capacity() + children_.capacity()) * sizeof(Place);
  }

  // After Finish(): the state among parent() that has this id, as far as
  // WhatIsWrongWithLink() looks at it; false: there is none.
  bool FindParent(uint64_t id, SnapshotState* state) const;

 private:
  static constexpr size_t kChunkBytes = size_t{1} << 20;
  struct Place {
    uint64_t id = 0;
    uint32_t chunk = 0;
    uint32_t offset = 0;
  };

  std::span<const uint8_t> At(const Place& place) const;
  uint8_t* ValueOf(const Place& place) const;
  VlanId VlanAt(const Place& place) const;
  // What WhatIsWrongWithLink() looks at.
  void ReadLink(const Place& place, SnapshotState* state) const;
  bool LinkIsSound(const Place& place) const;
  // Takes the ties of FTP's and SCTP's children away that are not sound.
  uint64_t CutFlowTies();
  // `given`: of those that have given out one translated flow.
  void DropOlderOfAFlow(bool given);

  SnapshotBytes scratch_;
  std::vector<std::unique_ptr<uint8_t[]>> chunks_;
  size_t used_ = kChunkBytes;  // of the last chunk
  bool translated_ = false;    // some state is
  bool names_parents_ = false;  // some state does, as an attribute
  std::vector<Place> parents_;   // before Finish(): all
  std::vector<Place> children_;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_STATES_H_
