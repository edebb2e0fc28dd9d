// Workers must not allocate. In debug builds one that does ends the program;
// in others this costs nothing.
#ifndef SLUICE_DATAPLANE_BASE_ALLOCATION_GUARD_H_
#define SLUICE_DATAPLANE_BASE_ALLOCATION_GUARD_H_

namespace sluice {

// Whether this build notices allocations: without NDEBUG and without a
// sanitizer, which has an allocator of its own.
extern const bool kAllocationsGuarded;

// While one lives, the thread that made it must not allocate. They nest.
class ForbidAllocations {
 public:
  ForbidAllocations();
  ~ForbidAllocations();
  ForbidAllocations(const ForbidAllocations&) = delete;
  ForbidAllocations& operator=(const ForbidAllocations&) = delete;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_ALLOCATION_GUARD_H_
