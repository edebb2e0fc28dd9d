#include "dataplane/packetlog/flow_log.h"

#include <utility>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

constexpr uint64_t kFlowWarningInterval = 10'000'000;  // microseconds

}  // namespace

FlowLog::FlowLog(const FlowLogOptions& options, uint16_t workers,
                 Resolver resolve)
    : form_(options.form), resolve_(std::move(resolve)) {
  for (uint16_t i = 0; i < workers; ++i) {
    rings_.push_back(std::make_unique<FlowRing>(kRingRecords));
  }
  if (!options.sessions.empty()) {
    file_ = std::make_unique<SessionFile>(options.sessions);
  }
}

absl::StatusOr<std::unique_ptr<FlowLog>> FlowLog::Open(
    const FlowLogOptions& options, uint16_t workers, Tick now,
    Resolver resolve) {
  std::unique_ptr<FlowLog> log(
      new FlowLog(options, workers, std::move(resolve)));
  if (!options.exports()) return log;
  absl::StatusOr<FlowSocket> socket =
      FlowSocket::Open(options.collector, options.source);
  if (!socket.ok()) return socket.status();
  log->socket_ = *std::move(socket);
  const auto send = [to = log.get()](std::string_view datagram,
                                     uint32_t flows) {
    to->SendDatagram(datagram, flows);
  };
  if (options.protocol == 5) {
    log->messages_ = std::make_unique<NetflowMessages>(
        static_cast<uint8_t>(options.domain), now, send);
  } else {
    log->messages_ = std::make_unique<IpfixMessages>(options.domain, send);
  }
  return log;
}

void FlowLog::SendDatagram(std::string_view datagram, uint32_t flows) {
  (socket_->Send(datagram) ? exported_ : export_lost_) += flows;
}

void FlowLog::Take(const FlowRecord& record, const FlowTime& time) {
  if (file_ != nullptr) {
    SessionContext context;
    resolve_(record, &context);
    context.time = time.WallOf(record.now) * 1000;
    AppendSession(record, context, form_, &lines_);
    ++line_count_;
    if (lines_.size() >= kLinesAtOnce) HandOver();
  }
  if (messages_ != nullptr && record.exported &&
      record.end != FlowEnd::kNone) {
    messages_->Add(record, time);
  }
}

void FlowLog::HandOver() {
  if (line_count_ == 0) return;
  file_->Append(std::exchange(lines_, std::string()),
                std::exchange(line_count_, 0));
}

void FlowLog::Drain(Tick now, uint64_t wall,
                    std::chrono::microseconds patience) {
  using Clock = std::chrono::steady_clock;
  const FlowTime time = {.now = now, .wall = wall};
  const Clock::time_point end = Clock::now() + patience;
  // Each worker's is the first one in its turn.
  first_ = (first_ + 1) % rings_.size();
  more_ = false;
  uint32_t taken = 0;
  for (size_t n = 0; n < rings_.size() && !more_; ++n) {
    FlowRing* const ring = rings_[(first_ + n) % rings_.size()].get();
    while (const FlowRecord* const record = ring->Front()) {
      if (taken == kRecordsALook) {
        if (Clock::now() >= end) {
          more_ = true;
          break;
        }
        taken = 0;
      }
      ++taken;
      Take(*record, time);
      ring->Pop();
    }
  }
  HandOver();
  if (messages_ != nullptr) messages_->Flush(time);

  const FlowLogCounts all = counts();
  const uint64_t missing = all.ring_lost + all.sessions_lost + all.export_lost;
  if (missing > warned_ && wall - last_warning_ >= kFlowWarningInterval) {
    LogWarning("{} record(s) of sessions and flows were lost: so far {} for "
               "want of room in a worker's ring, {} that the file and {} that "
               "the network did not take",
               missing - warned_, all.ring_lost, all.sessions_lost,
               all.export_lost);
    warned_ = missing;
    last_warning_ = wall;
  }
}

FlowLogCounts FlowLog::counts() const {
  FlowLogCounts counts{.exported = exported_, .export_lost = export_lost_};
  if (file_ != nullptr) {
    counts.sessions = file_->written();
    counts.sessions_lost = file_->lost();
  }
  if (messages_ != nullptr) counts.unfit = messages_->unfit();
  for (const auto& ring : rings_) counts.ring_lost += ring->lost();
  return counts;
}

}  // namespace sluice
