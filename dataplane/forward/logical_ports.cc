#include "dataplane/forward/logical_ports.h"

#include <algorithm>
#include <bit>

namespace sluice {

LogicalPorts::LogicalPorts(std::span<const Child> children) {
  single_.fill(kNoPort);
  const auto pairs = static_cast<size_t>(
      std::count_if(children.begin(), children.end(),
                    [](const Child& child) { return child.tags.inner != 0; }));
  if (pairs > 0) {
    const size_t places = std::bit_ceil(std::max<size_t>(2 * pairs, 2));
    pairs_.resize(places);
    shift_ = 32u - static_cast<uint32_t>(std::countr_zero(places));
  }
  for (const Child& child : children) {
    if (child.tags.inner == 0) {
      single_[child.tags.outer] = child.port;
      continue;
    }
    const uint32_t key = KeyOf(child.tags);
    size_t place = PlaceOf(key);
    while (pairs_[place].key != 0) place = (place + 1) % pairs_.size();
    pairs_[place] = {.key = key, .port = child.port};
  }
}

uint16_t LogicalPorts::FindPair(VlanTags tags) const {
  const uint32_t key = KeyOf(tags);
  size_t place = PlaceOf(key);
  while (pairs_[place].key != 0) {
    if (pairs_[place].key == key) return pairs_[place].port;
    place = (place + 1) & (pairs_.size() - 1);
  }
  return kNoPort;
}

}  // namespace sluice
