// Packets that somebody watches: the taps of all workers, and what they told.
#ifndef SLUICE_DATAPLANE_FILTERS_TRACE_DESK_H_
#define SLUICE_DATAPLANE_FILTERS_TRACE_DESK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/api/trace_control.h"
#include "dataplane/filters/filter_core.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/trace_tap.h"

namespace sluice {

// Control lcore.
class TraceDesk final : public TraceControl {
 public:
  // After so many milliseconds without a look, a trace is closed.
  static constexpr uint64_t kPatience = 10'000;

  // Of frames that one look may bring: they go through a message.
  static constexpr size_t kBytesALook = size_t{1} << 20;

  // Finds the number of a filter by its name; none: there is no such.
  using FindFilter =
      std::function<std::optional<uint16_t>(const std::string& name)>;
  // The anchor of the rule in a place of a filter's, by the number of the
  // port where it decided; "": the main ruleset, or it is not known any more.
  using FindAnchor =
      std::function<std::string(uint16_t port, uint32_t rule_slot)>;

  // The environment outlives it.
  TraceDesk(const FilterEnvironment* environment, FindFilter find_filter,
            FindAnchor find_anchor)
      : environment_(*environment),
        find_filter_(std::move(find_filter)),
        find_anchor_(std::move(find_anchor)) {}

  absl::StatusOr<uint64_t> OpenTrace(const TraceQuery& query) override;
  absl::StatusOr<TraceSlice> ReadTrace(uint64_t trace, size_t limit) override;
  absl::Status CloseTrace(uint64_t trace) override;

  // Closes those that nobody reads. Now and then.
  void Poll();

 private:
  class TapOrder;

  // Kept by the orders that bring it to the workers and take it from them.
  struct Trace {
    TraceConditions conditions;
    std::optional<FrameConditions> frames;
    std::vector<std::unique_ptr<TraceTap>> taps;  // by worker
    uint64_t number = 0;
    uint64_t read_at = 0;
  };
  struct Place {
    std::shared_ptr<Trace> trace;
    size_t leaving = 0;  // workers that may still have the one before
  };

  uint64_t Now() const;
  Place* Find(uint64_t trace);
  void Close(Place* place);
  TracedPacket Told(const TraceRecord& record) const;
  TracedPacket Told(const FrameRecord& record) const;
  void ReadFrames(FrameTap& tap, size_t limit, size_t* bytes,
                  TraceSlice* slice) const;
  std::string PortName(uint16_t number) const;

  const FilterEnvironment& environment_;
  const FindFilter find_filter_;
  const FindAnchor find_anchor_;
  std::array<Place, Pipeline::kMaxTaps> places_;
  uint64_t last_number_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_TRACE_DESK_H_
