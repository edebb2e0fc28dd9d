// Packets whose length the sender left to its NIC.
#ifndef SLUICE_DATAPLANE_REPLAY_OFFLOADED_LENGTH_H_
#define SLUICE_DATAPLANE_REPLAY_OFFLOADED_LENGTH_H_

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// A capture taken on a sending host may hold packets that its NIC was to cut
// into segments, with a length of 0 in the IP header: IPv4's total length, or
// IPv6's payload length before TCP or UDP. True if `frame` is such a one and
// all that was captured fits into a length: `filled` is then the frame with
// the captured length, and the right header checksum of IPv4, which was the
// NIC's to compute, too.
bool FillOffloadedLength(std::span<const uint8_t> frame,
                         std::vector<uint8_t>& filled);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_OFFLOADED_LENGTH_H_
