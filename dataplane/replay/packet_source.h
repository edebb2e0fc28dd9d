// Several captures as one stream of packets, in the order of their
// timestamps, each with the port that it arrives at.
#ifndef SLUICE_DATAPLANE_REPLAY_PACKET_SOURCE_H_
#define SLUICE_DATAPLANE_REPLAY_PACKET_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/replay/capture.h"
#include "packet/address.h"

namespace sluice {

struct SourcedPacket {
  uint64_t nanoseconds = 0;  // as captured
  uint16_t port = 0;
  std::span<const uint8_t> frame;  // valid until the next call
  bool cut = false;                // only its beginning was captured
  // How far the clock moves before this packet, in milliseconds since the
  // first one. Never goes back.
  uint64_t clock = 0;
};

// Which side a packet of a capture of both sides comes from.
struct SidesByAddress {
  std::vector<Prefix> inside_nets;
  uint16_t inside = 0;
  uint16_t outside = 0;

  // The inside port when the source (of ARP: the sender's protocol address)
  // is in one of the networks, else the outside port.
  uint16_t PortOf(std::span<const uint8_t> frame) const;
};

class PacketSource {
 public:
  explicit PacketSource(CaptureOptions options = {}) : options_(options) {}

  // Adds a capture whose packets arrive at `port`, or where `sides` says.
  absl::Status Add(const std::string& path, uint16_t port);
  absl::Status Add(const std::string& path, SidesByAddress sides);

  // The packet with the earliest timestamp; of equal ones that of the capture
  // that was added first. False at the end of all. Errors are the readers'.
  absl::StatusOr<bool> Next(SourcedPacket& packet);

  // Packets that were captured before their predecessor: for them the clock
  // stands still.
  uint64_t clamped() const { return clamped_; }
  // Packets without a length of their own, see FillOffloadedLength().
  uint64_t filled() const { return filled_; }
  uint64_t first() const { return first_; }  // nanoseconds, 0 without packets
  uint64_t last() const { return last_; }    // where the clock stands

 private:
  struct Input {
    std::unique_ptr<CaptureReader> reader;
    uint16_t port = 0;
    std::optional<SidesByAddress> sides;
    CapturedPacket next;
    bool at_end = false;
  };
  absl::Status Add(const std::string& path, uint16_t port,
                   std::optional<SidesByAddress> sides);
  absl::Status Read(Input& input);

  const CaptureOptions options_;
  std::vector<Input> inputs_;
  std::vector<uint8_t> buffer_;
  std::optional<size_t> taken_;  // whose packet the caller holds
  bool started_ = false;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
  uint64_t clamped_ = 0;
  uint64_t filled_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_PACKET_SOURCE_H_
