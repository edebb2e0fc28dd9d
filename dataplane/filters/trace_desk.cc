#include "dataplane/filters/trace_desk.h"

#include <rte_cycles.h>

#include <array>
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/workers/plane.h"
#include "dataplane/workers/worker.h"
#include "packet/drop_reason.h"

namespace sluice {

// Puts a tap into one worker's pipeline, or takes it out. What it holds lives
// until the worker has done so.
class TraceDesk::TapOrder final : public WorkerOrder {
 public:
  TapOrder(std::shared_ptr<Trace> trace, size_t place, TraceTap* tap,
           std::function<void()> done)
      : trace_(std::move(trace)),
        place_(place),
        tap_(tap),
        done_(std::move(done)) {}

  bool Step(const WorkerView& view) override {
    view.pipeline->SetTap(place_, tap_);
    return true;
  }
  void Done() override { done_(); }

 private:
  const std::shared_ptr<Trace> trace_;
  const size_t place_;
  TraceTap* const tap_;
  const std::function<void()> done_;
};

uint64_t TraceDesk::Now() const {
  return environment_.plane->clock.Milliseconds();
}

absl::StatusOr<uint64_t> TraceDesk::OpenTrace(const TraceQuery& query) {
  size_t index = 0;
  while (index < places_.size() && (places_[index].trace != nullptr ||
                                    places_[index].leaving > 0)) {
    ++index;
  }
  if (index == places_.size()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "there are ", places_.size(), " traces already: end one of them"));
  }
  auto trace = std::make_shared<Trace>();
  TraceConditions& conditions = trace->conditions;
  std::optional<uint16_t> filter;
  if (!query.filter.empty()) {
    filter = find_filter_(query.filter);
    if (!filter) {
      return absl::NotFoundError(absl::StrCat(
          "there is no filter \"", query.filter, "\""));
    }
  }
  const auto& ports = environment_.ports->entries();
  if (!query.port.empty() && ports.find(query.port) == ports.end()) {
    return absl::NotFoundError(absl::StrCat("there is no port \"", query.port,
                                            "\""));
  }
  std::set<std::string> reaching;  // segments with a port of the filter
  for (const auto& [name, port] : ports) {
    if (filter && port.filter == *filter && !port.segment.empty()) {
      reaching.insert(port.segment);
    }
  }
  for (const auto& [name, port] : ports) {
    if (port.number == kNoPort) continue;
    if (!query.port.empty() && name != query.port) continue;
    // Where packets that it judges may have come from.
    const auto other = ports.find(port.wire);
    const bool on_wire = other != ports.end() && filter &&
                         other->second.filter == *filter;
    if (filter && port.filter != *filter && !on_wire &&
        !reaching.contains(port.segment)) {
      continue;
    }
    conditions.ports.set(port.number);
  }
  if (!query.reason.empty()) {
    conditions.reason = DropReasonNamed(query.reason);
    if (!conditions.reason) {
      return absl::NotFoundError(absl::StrCat(
          "there is no drop reason \"", query.reason,
          "\"; -s info shows those there are"));
    }
  }
  conditions.source = query.source;
  conditions.destination = query.destination;
  conditions.source_port = query.source_port;
  conditions.destination_port = query.destination_port;
  conditions.protocol = query.protocol;
  conditions.passed = query.passed;
  conditions.sample = query.sample;
  if (query.frames) {
    FrameConditions& frames = trace->frames.emplace();
    frames.arriving = query.frames->arriving;
    frames.leaving = query.frames->leaving;
    frames.snap_length = query.frames->snap_length;
    frames.ports = conditions.ports;
    for (const std::array<uint32_t, 4>& step : query.frames->program) {
      frames.steps.push_back({.code = static_cast<uint16_t>(step[0]),
                              .jump_true = static_cast<uint8_t>(step[1]),
                              .jump_false = static_cast<uint8_t>(step[2]),
                              .value = step[3]});
    }
    if (!frames.steps.empty() && !IsGoodFilter(frames.steps)) {
      return absl::InvalidArgumentError(
          "the filter program is none: steps are unknown or lead out of it");
    }
  }
  trace->number = ++last_number_;
  trace->read_at = Now();
  for (Worker* worker : environment_.workers) {
    TraceTap* const tap =
        trace->taps
            .emplace_back(std::make_unique<TraceTap>(
                &conditions, trace->frames ? &*trace->frames : nullptr))
            .get();
    worker->mailbox().Post(
        std::make_unique<TapOrder>(trace, index, tap, [] {}));
  }
  places_[index].trace = std::move(trace);
  return last_number_;
}

TraceDesk::Place* TraceDesk::Find(uint64_t trace) {
  for (Place& place : places_) {
    if (place.trace != nullptr && place.trace->number == trace) return &place;
  }
  return nullptr;
}

TracedPacket TraceDesk::Told(const TraceRecord& record) const {
  TracedPacket told;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  // A tick is a millisecond, and the record is at most as old as it says.
  const auto age = static_cast<int32_t>(environment_.plane->clock.Now() -
                                        record.now);
  told.time_us =
      std::chrono::duration_cast<std::chrono::microseconds>(wall).count() -
      int64_t{1000} * (age > 0 ? age : 0);
  told.port = PortName(record.port);
  told.packet = record.packet;
  told.passed = record.passed;
  told.held = record.held;
  if (!record.passed && !record.held) {
    told.reason = std::string(Name(record.reason));
  }
  told.judged = record.judged;
  if (record.rule != kNoRule) {
    told.rule = record.rule;
    const bool out = record.judged == Direction::kOut &&
                     record.departure != kNoPort;
    told.anchor = find_anchor_(out ? record.departure : record.port,
                               record.rule_slot);
  }
  return told;
}

std::string TraceDesk::PortName(uint16_t number) const {
  return environment_.ports->NameOf(number);
}

TracedPacket TraceDesk::Told(const FrameRecord& record) const {
  TracedPacket told = Told(record.traced);
  // Better than a tick.
  const uint64_t age = rte_rdtsc() - record.cycles;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  told.time_us =
      std::chrono::duration_cast<std::chrono::microseconds>(wall).count() -
      static_cast<int64_t>(static_cast<double>(age) * 1e6 /
                           static_cast<double>(rte_get_tsc_hz()));
  told.port = PortName(record.at);
  told.frame = TracedFrame{
      .leaving = record.leaving,
      .answer = record.answer,
      .length = record.length,
      .bytes = std::string(reinterpret_cast<const char*>(record.bytes()),
                           record.captured)};
  return told;
}

void TraceDesk::ReadFrames(FrameTap& tap, size_t limit, size_t* bytes,
                           TraceSlice* slice) const {
  FrameRing& ring = tap.ring();
  slice->lost += ring.lost();
  // What is passed over costs time, too.
  constexpr size_t kMostLooked = 16384;
  for (size_t i = 0; i < kMostLooked && slice->packets.size() < limit &&
                     *bytes < kBytesALook;
       ++i) {
    const auto* const record = static_cast<const FrameRecord*>(ring.Front());
    if (record == nullptr) return;
    if (record->wanted) {
      *bytes += record->captured;
      slice->packets.push_back(Told(*record));
    }
    ring.Pop();
  }
}

absl::StatusOr<TraceSlice> TraceDesk::ReadTrace(uint64_t trace, size_t limit) {
  Place* const place = Find(trace);
  if (place == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        "there is no trace ", trace, ": one that is not read for ",
        kPatience / 1000, " seconds is closed"));
  }
  place->trace->read_at = Now();
  TraceSlice slice;
  size_t bytes = 0;
  for (const std::unique_ptr<TraceTap>& tap : place->trace->taps) {
    slice.matched += tap->matched();
    if (tap->frames() != nullptr) {
      ReadFrames(*tap->frames(), limit, &bytes, &slice);
      continue;
    }
    slice.lost += tap->ring().lost();
    while (slice.packets.size() < limit) {
      const TraceRecord* const record = tap->ring().Front();
      if (record == nullptr) break;
      slice.packets.push_back(Told(*record));
      tap->ring().Pop();
    }
  }
  return slice;
}

absl::Status TraceDesk::CloseTrace(uint64_t trace) {
  Place* const place = Find(trace);
  if (place == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no trace ", trace));
  }
  Close(place);
  return absl::OkStatus();
}

void TraceDesk::Close(Place* place) {
  const std::shared_ptr<Trace> trace = std::exchange(place->trace, nullptr);
  const auto index = static_cast<size_t>(place - places_.data());
  place->leaving = environment_.workers.size();
  for (Worker* worker : environment_.workers) {
    worker->mailbox().Post(std::make_unique<TapOrder>(
        trace, index, nullptr, [place] { --place->leaving; }));
  }
}

void TraceDesk::Poll() {
  const uint64_t now = Now();
  for (Place& place : places_) {
    if (place.trace != nullptr && now - place.trace->read_at > kPatience) {
      Close(&place);
    }
  }
}

}  // namespace sluice
