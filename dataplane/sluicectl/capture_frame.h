// One packet of a capture, for explain.
#ifndef SLUICE_DATAPLANE_SLUICECTL_CAPTURE_FRAME_H_
#define SLUICE_DATAPLANE_SLUICECTL_CAPTURE_FRAME_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace sluice {

// "FILE:N", the N-th packet, from 1; "FILE": the first. As an Ethernet frame,
// which it gets if the capture has none.
absl::StatusOr<std::vector<uint8_t>> ReadFrame(const std::string& file);

// The packet as rules.explain takes it, and the frame itself.
absl::StatusOr<nlohmann::json> PacketOf(std::vector<uint8_t>& frame);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_CAPTURE_FRAME_H_
