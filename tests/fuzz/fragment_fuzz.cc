// Any bytes as a sequence of fragments, four bytes each and their data made of
// them, into the fragment cache and into the map of bytes that it is measured
// by. The first byte says the family and how frames are segmented.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/property/fragment_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static MbufPool pool(8191);
  if (size == 0) return 0;
  FragmentCheck check(&pool, (data[0] & 1) != 0);
  const uint32_t segment = (data[0] & 2) != 0 ? 3u + (data[0] >> 2) : 0;
  // Below the limits of the cache, which the model does not have.
  constexpr size_t kMost = 48;
  size_t count = 0;
  for (size_t at = 1; at + 4 <= size && count < kMost; at += 4, ++count) {
    ModelFragment fragment;
    fragment.id = 1u + (data[at] & 3);
    fragment.more = (data[at] & 4) != 0;
    fragment.offset = 8u * (data[at + 1] & 31);
    uint32_t length = 1u + (data[at + 2] & 63);
    if (fragment.more) length = (length + 7) / 8 * 8;
    // A single packet is no fragment.
    if (fragment.offset == 0) {
      fragment.more = true;
      length = (length + 7) / 8 * 8;
    }
    fragment.data.assign(length, data[at + 3]);
    if (const auto wrong = check.Step(fragment, segment, data[at] >> 6)) {
      std::fprintf(stderr, "%s\n", wrong->c_str());
      std::abort();
    }
  }
  if (!check.Finish()) std::abort();
  return 0;
}
