// A line of `sluice-replay --verdicts`, which the oracle of the tests prints
// as well.
#ifndef SLUICE_DATAPLANE_REPLAY_VERDICT_TEXT_H_
#define SLUICE_DATAPLANE_REPLAY_VERDICT_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "packet/packet.h"

namespace sluice {

// What stands for the drop reason of a packet that the capture has cut: it
// never was before the firewall.
inline constexpr std::string_view kCutReason = "cut";

struct VerdictLine {
  uint64_t number = 0;         // of the packet, from 1
  std::string_view arrival{};  // the port
  bool passed = false;
  // It waits for other fragments, and goes on or is dropped with the last.
  bool held = false;
  std::string_view reason{};  // when it was dropped
  std::optional<uint32_t> rule{};
  // The judgement that it fell in, or the last one that it passed. Nothing
  // when it was judged at neither port.
  std::optional<Direction> judged{};
  std::string_view judged_at{};  // the port
  // As it was captured, before anything was translated; null: it was cut.
  const PacketInfo* info = nullptr;
};

// "7 outside drop match 4 out@inside udp 192.0.2.1:1000 10.0.0.1:53", without
// the end of the line.
std::string VerdictText(const VerdictLine& line);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_VERDICT_TEXT_H_
