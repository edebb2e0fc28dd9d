#include "dataplane/base/allocation_guard.h"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>

#if !defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && \
    !__has_feature(memory_sanitizer)
#define SLUICE_GUARD_ALLOCATIONS 1
#endif
#else
#define SLUICE_GUARD_ALLOCATIONS 1
#endif
#endif

#ifdef SLUICE_GUARD_ALLOCATIONS

namespace {
// In the program's own block, so that reading it never allocates.
thread_local int forbidden __attribute__((tls_model("initial-exec"))) = 0;

void Check() {
  if (forbidden == 0) [[likely]] {
    return;
  }
  forbidden = 0;
  constexpr char kMessage[] = "a worker allocated memory\n";
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  std::abort();
}
}  // namespace

// glibc lets a program replace its allocator, and gives it the old one by
// these names.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* pointer, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  Check();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  Check();
  return __libc_calloc(count, size);
}
void* realloc(void* pointer, size_t size) {
  Check();
  return __libc_realloc(pointer, size);
}
void* memalign(size_t alignment, size_t size) {
  Check();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  Check();
  return __libc_memalign(alignment, size);
}
}

namespace sluice {
const bool kAllocationsGuarded = true;
ForbidAllocations::ForbidAllocations() { ++forbidden; }
ForbidAllocations::~ForbidAllocations() { --forbidden; }
}  // namespace sluice

#else

namespace sluice {
const bool kAllocationsGuarded = false;
ForbidAllocations::ForbidAllocations() = default;
ForbidAllocations::~ForbidAllocations() = default;
}  // namespace sluice

#endif
