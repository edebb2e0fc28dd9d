#include "tests/unit/restore/allocation_count.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace sluice {
namespace {

std::atomic<size_t> g_used{0};
std::atomic<size_t> g_base{0};
std::atomic<size_t> g_peak{0};
// How many more succeed before one fails; below zero: all do.
std::atomic<int64_t> g_until_failure{-1};
std::atomic<size_t> g_least{0};

void* TakeOrNull(size_t size) {
  if (g_until_failure >= 0 && size >= g_least && g_until_failure-- == 0) {
    return nullptr;
  }
  void* memory = std::malloc(size);
  if (memory == nullptr) return nullptr;
  const size_t used = g_used += malloc_usable_size(memory);
  if (used > g_peak) g_peak = used;
  return memory;
}

void* Take(size_t size) {
  void* memory = TakeOrNull(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void Give(void* memory) {
  if (memory == nullptr) return;
  g_used -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void ResetAllocationPeak() {
  g_base = g_used.load();
  g_peak = g_used.load();
}

void FailAllocation(int64_t number, size_t least) {
  g_least = least;
  g_until_failure = number;
}

bool AllocationHasFailed() { return g_until_failure < 0; }

size_t AllocationPeak() { return g_peak - g_base; }

}  // namespace sluice

void* operator new(size_t size) { return sluice::Take(size); }
void* operator new[](size_t size) { return sluice::Take(size); }
void operator delete(void* memory) noexcept { sluice::Give(memory); }
void operator delete[](void* memory) noexcept { sluice::Give(memory); }
void operator delete(void* memory, size_t) noexcept { sluice::Give(memory); }
void operator delete[](void* memory, size_t) noexcept { sluice::Give(memory); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return sluice::TakeOrNull(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return sluice::TakeOrNull(size);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  sluice::Give(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  sluice::Give(memory);
}
