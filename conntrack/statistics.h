// What a shard counts.
#ifndef SLUICE_CONNTRACK_STATISTICS_H_
#define SLUICE_CONNTRACK_STATISTICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// A counter with one writer. Readers on other threads see some recent value.
class WorkerCounter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

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
inline constexpr std::array<std::string_view, kMismatchCount> kMismatchNames =
    {"sequence",       "acknowledgment", "reset",      "syn-in-open",
     "handshake",      "icmp-direction", "icmp-error", "icmp-error-outer"};

// One writer, the worker; the control side reads.
struct StateStatistics {
  WorkerCounter searches;  // packets looked up, as in `pfctl -si`
  WorkerCounter inserts;
  WorkerCounter removals;
  WorkerCounter refused_limit;   // no slot or no budget
  WorkerCounter refused_insert;  // no room in the index, or the key is taken
  WorkerCounter challenge_acks;
  WorkerCounter profiles_full;   // a rule's own timeouts could not be kept
  WorkerCounter links_refused;   // a parent that may not be one
  std::array<WorkerCounter, kMismatchCount> mismatches;
  // States now; the worker's own part of StateBudget::used().
  WorkerCounter states;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATISTICS_H_
