// How long the control lcore is busy at a stretch, and with what: for so long
// nobody else is answered. Belongs to the control lcore.
//
//   TurnWatch turns;
//   for (;;) {
//     wait();
//     turns.Begin();
//     { const TurnWatch::Part part(&turns, "table.show"); ... }
//     turns.End();
//   }
//
// Time in which the thread waited for a processor does not count: it is the
// machine that was busy then.
#ifndef SLUICE_DATAPLANE_BASE_TURN_WATCH_H_
#define SLUICE_DATAPLANE_BASE_TURN_WATCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class TurnWatch {
 public:
  using Nanoseconds = uint64_t;
  // Longer turns are spoken of.
  static constexpr Nanoseconds kSlow = 100'000'000;

  // What a watch measures by.
  struct Clocks {
    std::function<Nanoseconds()> now;
    std::function<Nanoseconds()> starved;  // waited for a processor, so far
  };
  // The steady clock, and what the kernel says of the thread that calls first.
  TurnWatch();
  explicit TurnWatch(Clocks clocks) : clocks_(std::move(clocks)) {}
  TurnWatch(const TurnWatch&) = delete;
  TurnWatch& operator=(const TurnWatch&) = delete;

  void Begin();
  // Logs a turn above kSlow.
  void End();

  // An operation within a turn. Those within it are counted as themselves and
  // not as it. `name` outlives the part. Null: no watch, nothing is measured.
  class Part {
   public:
    Part(TurnWatch* watch, std::string_view name);
    ~Part();
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

   private:
    TurnWatch* const watch_;
    const std::string_view name_;
    Part* const outer_;
    const Nanoseconds began_;
    Nanoseconds inner_ = 0;  // of it in parts within
  };

  struct Totals {
    Nanoseconds longest = 0;    // turn since the start
    std::string operation;      // that took most of it; empty: none was long
    uint64_t turns = 0;
    uint64_t slow = 0;          // longer than kSlow
  };
  const Totals& totals() const { return totals_; }

 private:
  Clocks clocks_;
  UniqueFd schedule_;  // of the thread, in /proc
  bool in_turn_ = false;
  Nanoseconds began_ = 0;
  Nanoseconds starved_ = 0;
  Part* part_ = nullptr;  // innermost
  // The longest part of this turn.
  Nanoseconds longest_part_ = 0;
  std::string operation_;
  Totals totals_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_TURN_WATCH_H_
