// Zeroed memory for tables that are sized once, in huge pages where there are.
#ifndef SLUICE_CONNTRACK_MEMORY_H_
#define SLUICE_CONNTRACK_MEMORY_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"

namespace sluice {

class TableMemory {
 public:
  TableMemory() = default;
  TableMemory(TableMemory&& other) noexcept { *this = std::move(other); }
  TableMemory& operator=(TableMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(huge_, other.huge_);
    return *this;
  }
  ~TableMemory();

  // At least `bytes`, aligned to a page. Without huge pages to be had, or with
  // `huge` false, ordinary ones (which the kernel may join by itself).
  static absl::StatusOr<TableMemory> Allocate(size_t bytes, bool huge,
                                              bool prefault);

  void* data() const { return data_; }
  size_t size() const { return size_; }
  bool huge() const { return huge_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
  bool huge_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_MEMORY_H_
