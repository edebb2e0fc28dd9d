// Memory that costs where it is used only.
#ifndef SLUICE_PFTABLE_ENGINE_LAZY_MEMORY_H_
#define SLUICE_PFTABLE_ENGINE_LAZY_MEMORY_H_

#include <cstddef>
#include <type_traits>
#include <utility>

namespace sluice {

// Zeros, in pages that the system provides when one is first written; an
// access costs what it costs anywhere. For arrays that are sized for the
// largest filter while thousands of filters use their beginnings. One mapping
// a piece: a process may have some ten thousands of those.
class LazyMemory {
 public:
  static constexpr size_t kPage = 4096;

  // Throws std::bad_alloc if there is no room in the address space.
  explicit LazyMemory(size_t bytes);
  LazyMemory(LazyMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  LazyMemory& operator=(LazyMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~LazyMemory();

  void* data() const { return data_; }
  size_t size() const { return bytes_; }
  // Of those the bytes that have been provided.
  size_t Resident() const;

  // What `count` elements take up, so that the next array begins on a page of
  // its own.
  template <typename T>
  static constexpr size_t BytesFor(size_t count) {
    return (count * sizeof(T) + kPage - 1) / kPage * kPage;
  }
  // An array of elements whose initial value is all zero bytes, `offset` bytes
  // from the beginning.
  template <typename T>
  T* ArrayAt(size_t offset) const {
    static_assert(std::is_trivially_destructible_v<T>);
    static_assert(alignof(T) <= kPage);
    return reinterpret_cast<T*>(static_cast<char*>(data_) + offset);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_LAZY_MEMORY_H_
