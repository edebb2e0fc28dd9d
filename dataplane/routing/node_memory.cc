#include "dataplane/routing/node_memory.h"

#include <sys/mman.h>

#include <algorithm>

namespace sluice {

NodeMemory::NodeMemory(size_t bytes, size_t reserve)
    // Numbers have 31 bits.
    : memory_(std::min(bytes, kUnit << 31)),
      data_(static_cast<char*>(memory_.data())),
      room_(memory_.size() - std::min(reserve, memory_.size())),
      next_(kLine) {
  if (memory_.size() > kLarge) {
    madvise(data_ + kLarge, memory_.size() - kLarge, MADV_HUGEPAGE);
  }
}

size_t NodeMemory::ClassOf(int words) {
  const size_t bytes = sizeof(Node) + static_cast<size_t>(words) * 4;
  size_t size_class = 0;
  while (kSizes[size_class] < bytes) ++size_class;
  return size_class;
}

void NodeMemory::Push(size_t size_class, uint32_t number) {
  At(number).runs = free_[size_class];
  free_[size_class] = number;
}

uint32_t NodeMemory::Allocate(int words) {
  const size_t size_class = ClassOf(words);
  const size_t size = kSizes[size_class];
  if (free_[size_class] == 0) {
    const size_t end = next_ + std::max(size, kLine);
    for (; next_ < end; next_ += size) {
      Push(size_class, static_cast<uint32_t>(next_ / kUnit));
    }
  }
  const uint32_t number = free_[size_class];
  free_[size_class] = static_cast<uint32_t>(At(number).runs);
  return number;
}

void NodeMemory::Free(uint32_t number) {
  Push(ClassOf(std::popcount(At(number).runs)), number);
}

}  // namespace sluice
