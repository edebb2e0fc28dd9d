#include "dataplane/base/turn_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

TurnWatch::Nanoseconds SteadyNow() {
  return static_cast<TurnWatch::Nanoseconds>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// "ran waited slices", of which the second is wanted. 0: this kernel does not
// say.
TurnWatch::Nanoseconds WaitedFor(int schedule) {
  std::array<char, 64> text;
  const ssize_t size = ::pread(schedule, text.data(), text.size(), 0);
  if (size <= 0) return 0;
  const char* const end = text.data() + size;
  const char* const space =
      std::find(static_cast<const char*>(text.data()), end, ' ');
  TurnWatch::Nanoseconds waited = 0;
  if (space != end) std::from_chars(space + 1, end, waited);
  return waited;
}

}  // namespace

TurnWatch::TurnWatch() {
  clocks_.now = SteadyNow;
  clocks_.starved = [this]() -> Nanoseconds {
    if (!schedule_.valid()) {
      schedule_.Reset(
          ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
    }
    return schedule_.valid() ? WaitedFor(schedule_.get()) : 0;
  };
}

void TurnWatch::Begin() {
  in_turn_ = true;
  longest_part_ = 0;
  began_ = clocks_.now();
  starved_ = clocks_.starved();
}

void TurnWatch::End() {
  if (!in_turn_) return;
  in_turn_ = false;
  ++totals_.turns;
  if (const Nanoseconds so_far = clocks_.now() - began_;
      so_far <= totals_.longest && so_far <= kSlow) {
    return;
  }
  // All that was waited lies within the length, in which the look at it does.
  const Nanoseconds waited = clocks_.starved() - starved_;
  const Nanoseconds length = std::max(clocks_.now() - began_, waited);
  const Nanoseconds busy = length - waited;
  if (busy > totals_.longest) {
    totals_.longest = busy;
    totals_.operation = longest_part_ > 0 ? operation_ : "";
  }
  if (busy <= kSlow) return;
  ++totals_.slow;
  constexpr Nanoseconds kMillisecond = 1'000'000;
  LogWarning("control: nobody was answered for {} ms{}", busy / kMillisecond,
             longest_part_ == 0
                 ? std::string()
                 : fmt::format(", {} ms of it because of {}",
                               longest_part_ / kMillisecond, operation_));
}

TurnWatch::Part::Part(TurnWatch* watch, std::string_view name)
    : watch_(watch),
      name_(name),
      outer_(watch == nullptr ? nullptr : watch->part_),
      began_(watch == nullptr ? 0 : watch->clocks_.now()) {
  if (watch_ != nullptr) watch_->part_ = this;
}

TurnWatch::Part::~Part() {
  if (watch_ == nullptr) return;
  watch_->part_ = outer_;
  const Nanoseconds whole = watch_->clocks_.now() - began_;
  if (outer_ != nullptr) outer_->inner_ += whole;
  const Nanoseconds own = whole - std::min(whole, inner_);
  if (own <= watch_->longest_part_) return;
  watch_->longest_part_ = own;
  watch_->operation_ = name_;
}

}  // namespace sluice
