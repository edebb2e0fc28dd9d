#include "conntrack/memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t RoundUp(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

TableMemory::~TableMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

absl::StatusOr<TableMemory> TableMemory::Allocate(size_t bytes, bool huge,
                                                  bool prefault) {
  TableMemory memory;
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  // A table smaller than a huge page would waste most of it.
  if (huge && bytes >= kHugePage) {
    const size_t size = RoundUp(bytes, kHugePage);
    void* data = mmap(nullptr, size, kProtection,
                      flags | MAP_HUGETLB | (prefault ? MAP_POPULATE : 0), -1,
                      0);
    if (data != MAP_FAILED) {
      memory.data_ = data;
      memory.size_ = size;
      memory.huge_ = true;
      return memory;
    }
  }
  const size_t size = RoundUp(bytes, 4096);
  void* data = mmap(nullptr, size, kProtection, flags, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("state table: no ", size, " bytes of memory (",
                     std::strerror(errno), "): set fewer states"));
  }
  memory.data_ = data;
  memory.size_ = size;
  madvise(data, size, MADV_HUGEPAGE);
  // By hand and after the advice, so that the pages may be large ones.
  if (prefault) {
    for (size_t at = 0; at < size; at += 4096) {
      static_cast<volatile char*>(data)[at] = 0;
    }
  }
  return memory;
}

}  // namespace sluice
