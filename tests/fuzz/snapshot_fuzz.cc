// Any bytes as a snapshot. Refused: nothing came out, and the memory was
// bounded. Accepted: writing it again is canonical and has the same values.
//
// The mutator computes checksums, length and digest anew after each change, so
// that the search reaches what lies behind them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/allocation_count.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

constexpr size_t kMemoryFactor = 8;
// What a message takes.
constexpr size_t kMemoryAnyway = 8192;

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::span<const uint8_t> input) {
  ResetAllocationPeak();
  const auto read = ReadSnapshot(input);
  Require(AllocationPeak() <= kMemoryFactor * input.size() + kMemoryAnyway);
  if (!read.ok()) return;
  const auto again = WriteSnapshot(read->snapshot);
  Require(again.ok());
  if (read->skips == SnapshotSkips{} && read->minor == kSnapshotMinor &&
      !read->divided) {
    Require(again->size() == input.size());
    for (size_t i = 0; i < input.size(); ++i) Require((*again)[i] == input[i]);
  }
  const auto canonical = ReadSnapshot(*again);
  Require(canonical.ok());
  Require(canonical->snapshot == read->snapshot);
  Require(canonical->skips == SnapshotSkips{});
}

}  // namespace
}  // namespace sluice

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                   size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  // Some stay broken.
  if (seed % 16 == 0) return size;
  std::vector<uint8_t> bytes(data, data + size);
  sluice::FixSnapshot(bytes);
  std::copy(bytes.begin(), bytes.end(), data);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({data, size});
  return 0;
}
