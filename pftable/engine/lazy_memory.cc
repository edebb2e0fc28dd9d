#include "pftable/engine/lazy_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <new>

namespace sluice {

LazyMemory::LazyMemory(size_t bytes) : bytes_(BytesFor<char>(bytes)) {
  if (bytes_ == 0) return;
  void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  // The first element would pay for all of a large page.
  madvise(data, bytes_, MADV_NOHUGEPAGE);
  data_ = data;
}

LazyMemory::~LazyMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

size_t LazyMemory::Resident() const {
  std::array<unsigned char, 1024> pages;
  size_t resident = 0;
  for (size_t at = 0; at < bytes_; at += pages.size() * kPage) {
    const size_t length = std::min(bytes_ - at, pages.size() * kPage);
    if (mincore(static_cast<char*>(data_) + at, length, pages.data()) != 0) {
      continue;
    }
    for (size_t i = 0; i < length / kPage; ++i) {
      resident += (pages[i] & 1) != 0 ? kPage : 0;
    }
  }
  return resident;
}

}  // namespace sluice
