// sluice-replay: captures through the pipeline. The same code judges the
// packets as in sluiced; only time comes from the captures' timestamps.
#ifndef SLUICE_DATAPLANE_REPLAY_REPLAY_H_
#define SLUICE_DATAPLANE_REPLAY_REPLAY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/replay/capture.h"
#include "dataplane/replay/frame_pool.h"
#include "dataplane/replay/packet_source.h"
#include "dataplane/replay/replay_options.h"
#include "dataplane/replay/simulation.h"

namespace sluice {

class Replay {
 public:
  // Reads the ruleset and opens the captures. Errors are complete messages,
  // those of the ruleset with their places, and nothing has been written.
  static absl::StatusOr<std::unique_ptr<Replay>> Open(
      const ReplayOptions& options);

  // Replays all packets and writes all files, or none of them.
  absl::Status Run();

  // The report as JSON, and its totals as a few lines for a terminal. The
  // same replay gives the same bytes.
  std::string JsonReport();
  std::string Summary() const;

  // Packets that had a wrong checksum, which captures of a sending host have
  // when its NIC was to compute them.
  uint64_t checksum_drops() const;
  // Packets of which only the beginning was captured.
  uint64_t cut() const { return cut_; }

 private:
  explicit Replay(const ReplayOptions& options) : options_(options) {}
  absl::Status LoadRules();
  absl::Status OpenFiles();
  absl::Status OnePacket(const SourcedPacket& packet);
  // `info`: of the packet as it came; null of one that was cut.
  void WriteVerdict(const SourcedPacket& packet, const PacketInfo* info);
  // An error when the counters do not add up.
  absl::Status CheckSums() const;
  absl::Status Publish();

  static void OnVerdict(void* context, uint32_t index,
                        const PacketVerdict& verdict);

  const ReplayOptions options_;
  std::unique_ptr<FramePool> pool_;
  std::unique_ptr<Simulation> simulation_;
  std::unique_ptr<PacketSource> source_;
  std::vector<std::unique_ptr<CaptureWriter>> writers_;  // by port; or null
  std::string verdicts_;
  std::vector<uint8_t> buffer_;

  uint64_t packets_ = 0;
  uint64_t cut_ = 0;
  PacketVerdict verdict_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_REPLAY_H_
