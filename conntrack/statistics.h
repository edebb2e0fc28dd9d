// What a shard counts.
#ifndef SLUICE_CONNTRACK_STATISTICS_H_
#define SLUICE_CONNTRACK_STATISTICS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "packet/counter.h"

namespace sluice {

// Why a packet of an existing state was refused.
enum class Mismatch : uint8_t {
  kSequence,       // TCP data outside of the window
  kAcknowledgment,  // TCP acknowledgment too far ahead or behind
  kReset,          // RST with a sequence number that is not exact
  kSynInOpen,      // SYN in an open connection
  kHandshake,      // wrong answer to a SYN
  kIcmpDirection,  // an ICMP query or answer the wrong way round
  kIcmpError,      // an ICMP error that does not fit its state
  kIcmpErrorOuter,  // ... whose outer and inner addresses contradict
};
inline constexpr size_t kMismatchCount = 8;

// One writer, the worker; the control side reads.
struct StateStatistics {
  Counter searches;  // packets looked up, as in `pfctl -si`
  Counter inserts;
  Counter removals;
  Counter refused_limit;   // no slot or no budget
  Counter refused_insert;  // no room in the index, or the key is taken
  Counter challenge_acks;
  Counter links_refused;   // a parent that may not be one
  std::array<Counter, kMismatchCount> mismatches;
  // States now; the worker's own part of StateBudget::used().
  Counter states;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATISTICS_H_
