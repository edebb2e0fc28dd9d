// From the workers' records of states to the session log and to a collector of
// flows. Belongs to the control lcore, which empties the rings and finds the
// names.
#ifndef SLUICE_DATAPLANE_PACKETLOG_FLOW_LOG_H_
#define SLUICE_DATAPLANE_PACKETLOG_FLOW_LOG_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/forward/flow_ring.h"
#include "dataplane/packetlog/flow_messages.h"
#include "dataplane/packetlog/flow_socket.h"
#include "dataplane/packetlog/session_file.h"
#include "dataplane/packetlog/session_text.h"

namespace sluice {

struct FlowLogOptions {
  std::string sessions{};  // the session log's file; empty: there is none
  SessionForm form = SessionForm::kJson;
  // Of a collector; without an address there is none.
  FlowEndpoint collector{};
  FlowEndpoint source{};   // without an address: the system chooses
  uint8_t protocol = 10;   // 10: IPFIX, 5: NetFlow
  uint32_t domain = 0;     // observation domain, or the engine's number

  bool exports() const { return collector.address.family != Family::kNone; }
  bool wanted() const { return !sessions.empty() || exports(); }

  friend bool operator==(const FlowLogOptions&,
                         const FlowLogOptions&) = default;
};

struct FlowLogCounts {
  uint64_t ring_lost = 0;      // records: a worker's ring was full
  uint64_t sessions = 0;       // lines written
  uint64_t sessions_lost = 0;  // lines: no room in memory or on the disk
  uint64_t exported = 0;       // flows sent
  uint64_t export_lost = 0;    // flows that the system did not take
  uint64_t unfit = 0;          // flows that the protocol has no form for
};

class FlowLog {
 public:
  // Fills in what is known of a record but its time. The names live until the
  // next call.
  using Resolver = std::function<void(const FlowRecord&, SessionContext*)>;

  // Errors: the collector cannot be sent to. `now`: the moment by the workers'
  // clock.
  static absl::StatusOr<std::unique_ptr<FlowLog>> Open(
      const FlowLogOptions& options, uint16_t workers, Tick now,
      Resolver resolve);

  FlowRing* ring(uint16_t worker) { return rings_[worker].get(); }
  // Whether each state is to be told of, and not only those with `pflow`.
  bool wants_all() const { return file_ != nullptr; }

  // Takes what the rings hold, for about as long as `patience`; more() says
  // whether something is left. `now` and `wall` (microseconds since 1970) are
  // the same moment.
  void Drain(Tick now, uint64_t wall,
             std::chrono::microseconds patience = kTurn);
  bool more() const { return more_; }
  void Reopen() {
    if (file_ != nullptr) file_->Reopen();
  }
  FlowLogCounts counts() const;

 private:
  // Of each worker: 400 a millisecond between two looks of 20 ms.
  static constexpr uint32_t kRingRecords = 8192;
  // Of the control lcore, at a stretch.
  static constexpr std::chrono::milliseconds kTurn{5};
  // Records between two looks at the clock.
  static constexpr uint32_t kRecordsALook = 64;
  // Bytes of lines that the file gets as one: far less than it has room for.
  static constexpr size_t kLinesAtOnce = 1u << 20;

  FlowLog(const FlowLogOptions& options, uint16_t workers, Resolver resolve);
  void SendDatagram(std::string_view datagram, uint32_t flows);
  void Take(const FlowRecord& record, const FlowTime& time);
  // The lines to the file.
  void HandOver();

  const SessionForm form_;
  const Resolver resolve_;
  std::vector<std::unique_ptr<FlowRing>> rings_;
  std::unique_ptr<SessionFile> file_;       // null: no session log
  std::optional<FlowSocket> socket_;
  std::unique_ptr<FlowMessages> messages_;  // null: no collector
  std::string lines_;       // that the file has not got yet
  uint64_t line_count_ = 0;
  size_t first_ = 0;   // the ring that comes first
  bool more_ = false;  // the last turn has left something
  uint64_t exported_ = 0;
  uint64_t export_lost_ = 0;
  uint64_t warned_ = 0;  // losses that were spoken of
  uint64_t last_warning_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_FLOW_LOG_H_
