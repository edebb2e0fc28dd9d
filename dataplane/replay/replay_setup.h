// What a replay begins with: a firewall with the rules of a file, and captures.
#ifndef SLUICE_DATAPLANE_REPLAY_REPLAY_SETUP_H_
#define SLUICE_DATAPLANE_REPLAY_REPLAY_SETUP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "dataplane/replay/packet_source.h"
#include "dataplane/replay/replay_options.h"
#include "dataplane/replay/simulation.h"

namespace sluice {

// Errors are complete messages, those of the ruleset with their places.
// Warnings go to standard error.
absl::StatusOr<std::unique_ptr<Simulation>> BuildReplay(
    const ReplayOptions& options, const std::string& rules_file,
    rte_mempool* pool,
    void (*on_verdict)(void* context, uint32_t index,
                       const PacketVerdict& verdict),
    void* context);

std::optional<uint16_t> FindPort(const Simulation& simulation,
                                 const std::string& name);

absl::StatusOr<std::unique_ptr<PacketSource>> OpenCaptures(
    const ReplayOptions& options, const Simulation& simulation);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_REPLAY_SETUP_H_
