#include "dataplane/ports/port_sums.h"

namespace sluice {
namespace {

// Calls use(a's, b's) for each pair of numbers.
template <typename Use>
void Pairwise(PortSums& a, const PortSums& b, Use use) {
  use(a.received_packets, b.received_packets);
  use(a.received_bytes, b.received_bytes);
  use(a.forwarded_packets, b.forwarded_packets);
  use(a.transmitted_packets, b.transmitted_packets);
  use(a.transmitted_bytes, b.transmitted_bytes);
  use(a.address_conflicts, b.address_conflicts);
  use(a.copies, b.copies);
  use(a.copies_lost, b.copies_lost);
  use(a.to_host, b.to_host);
  use(a.from_host, b.from_host);
  use(a.errors_limited, b.errors_limited);
  for (size_t i = 0; i < a.drops.size(); ++i) use(a.drops[i], b.drops[i]);
  for (const size_t family : {0, 1}) {
    for (const size_t direction : {0, 1}) {
      for (const size_t verdict : {0, 1}) {
        use(a.judged.packets[family][direction][verdict],
            b.judged.packets[family][direction][verdict]);
        use(a.judged.bytes[family][direction][verdict],
            b.judged.bytes[family][direction][verdict]);
      }
    }
  }
}

}  // namespace

void PortSums::Add(const PortCounters& counters) {
  received_packets += counters.received_packets.value();
  received_bytes += counters.received_bytes.value();
  forwarded_packets += counters.forwarded_packets.value();
  transmitted_packets += counters.transmitted_packets.value();
  transmitted_bytes += counters.transmitted_bytes.value();
  address_conflicts += counters.address_conflicts.value();
  copies += counters.copies.value();
  copies_lost += counters.copies_lost.value();
  to_host += counters.to_host.value();
  from_host += counters.from_host.value();
  errors_limited += counters.errors_limited.value();
  for (size_t i = 0; i < drops.size(); ++i) {
    drops[i] += counters.drops[i].value();
  }
  for (const size_t direction : {0, 1}) {
    for (const size_t family : {0, 1}) {
      for (const size_t verdict : {0, 1}) {
        const PortCounters::Judged& of =
            counters.judged[direction][family][verdict];
        judged.packets[family][direction][verdict] += of.packets.value();
        judged.bytes[family][direction][verdict] += of.bytes.value();
      }
    }
  }
}

PortSums& PortSums::operator+=(const PortSums& more) {
  Pairwise(*this, more, [](uint64_t& a, uint64_t b) { a += b; });
  return *this;
}

PortSums& PortSums::operator-=(const PortSums& less) {
  Pairwise(*this, less, [](uint64_t& a, uint64_t b) { a -= b; });
  return *this;
}

}  // namespace sluice
