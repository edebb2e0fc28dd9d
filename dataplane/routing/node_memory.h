// Memory for nodes of tries, named by 31-bit numbers: the address space for all
// that may ever be is taken at once, the pages as they are used.
#ifndef SLUICE_DATAPLANE_ROUTING_NODE_MEMORY_H_
#define SLUICE_DATAPLANE_ROUTING_NODE_MEMORY_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "pftable/engine/lazy_memory.h"

namespace sluice {

class NodeMemory {
 public:
  struct Node {
    uint64_t runs = 0;

    // As many as there are bits in `runs`.
    std::atomic<uint32_t>* words() const {
      return reinterpret_cast<std::atomic<uint32_t>*>(
          const_cast<Node*>(this) + 1);
    }
  };
  // Nodes begin at multiples of it, and small ones do not cross lines.
  static constexpr size_t kUnit = 16;
  static constexpr std::array<uint32_t, 6> kSizes = {16,  32,  64,
                                                     128, 192, 320};

  // `reserve` of the bytes are for nodes that are allocated without asking.
  // Throws std::bad_alloc.
  NodeMemory(size_t bytes, size_t reserve);

  Node& At(uint32_t number) const {
    return *reinterpret_cast<Node*>(data_ + size_t{number} * kUnit);
  }
  // Whether so many nodes of any size can be allocated, the reserve aside.
  bool HasRoom(size_t nodes) const {
    return next_ <= room_ && room_ - next_ >= nodes * kSizes.back();
  }
  // A node for so many words, 1 to 64. There has to be room, or something left
  // of the reserve, of which a node takes no more than the largest size.
  uint32_t Allocate(int words);
  // `runs` must still be there.
  void Free(uint32_t number);

  // Bytes in nodes, those that were freed included.
  size_t used() const { return next_; }

 private:
  static constexpr size_t kLine = 64;
  // From here on pages are large where the system has them: a table of this
  // size is worth it.
  static constexpr size_t kLarge = 2 << 20;

  static size_t ClassOf(int words);
  void Push(size_t size_class, uint32_t number);

  LazyMemory memory_;
  char* const data_;
  const size_t room_;  // up to the reserve
  size_t next_ = 0;
  // Of each size: the first free one, which has the next one's number where
  // its runs were, and so on; 0 ends it, which is no node.
  std::array<uint32_t, kSizes.size()> free_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_NODE_MEMORY_H_
