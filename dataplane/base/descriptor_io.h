// Reading and writing descriptors of which somebody else holds the other end,
// who may be slow, or stop, or never end. Nothing here decides how long that is
// borne: a guard is asked, all the time.
#ifndef SLUICE_DATAPLANE_BASE_DESCRIPTOR_IO_H_
#define SLUICE_DATAPLANE_BASE_DESCRIPTOR_IO_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Asked on the thread that reads or writes: before each piece, after it, and
// about every 20 ms of a wait, with the bytes that have been moved. An error
// ends the work with it. Null: nobody minds.
//
// What sleeps in the kernel where it cannot be waited for (a file of a server
// that is gone) asks nobody; a signal without SA_RESTART makes it ask.
using IoGuard = std::function<absl::Status(uint64_t moved)>;

// All of what a descriptor has from its offset on: a file, or a pipe or
// socket, of which it waits for the end. The descriptor stays open, and its
// flags as they are. Errors: ResourceExhausted: more than `max_bytes`.
// InvalidArgument: it is none of these. Those of the guard.
absl::StatusOr<std::vector<uint8_t>> ReadDescriptor(int fd, size_t max_bytes,
                                                    const IoGuard& guard);

// Writes everything, in pieces; `*moved` counts on. Unavailable: the reader of
// a pipe or socket has gone, which raises no signal if the process ignores
// SIGPIPE. Those of the guard; what the system says.
absl::Status WriteDescriptor(int fd, std::span<const uint8_t> bytes,
                             const IoGuard& guard, uint64_t* moved);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_DESCRIPTOR_IO_H_
