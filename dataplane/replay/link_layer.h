// From what captures hold below IP to Ethernet, which is all that the pipeline
// knows.
#ifndef SLUICE_DATAPLANE_REPLAY_LINK_LAYER_H_
#define SLUICE_DATAPLANE_REPLAY_LINK_LAYER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace sluice {

// Whether packets of this link type (a LINKTYPE_ number, as
// files have it) can be turned into
// Ethernet frames: Ethernet, raw IP, Linux cooked v1 and v2, BSD null and
// loopback. The error names the type and what to do.
absl::Status CheckLinkType(uint32_t link_type);

// The frame of a packet of a type that CheckLinkType() accepts. For Ethernet
// that is `bytes` itself; for the others an Ethernet header takes the place
// of theirs, made in `buffer`: the source is the sender's address where the
// capture has one, else 02:00:00:00:00:01, the destination is
// 02:00:00:00:00:02, the type is that of what follows. Bytes too few for
// their header give a frame that is too short as well.
std::span<const uint8_t> ToEthernet(uint32_t link_type,
                                    std::span<const uint8_t> bytes,
                                    std::vector<uint8_t>& buffer);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_LINK_LAYER_H_
