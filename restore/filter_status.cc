#include "restore/filter_status.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<std::string_view, kRestoreStateCount> kNames = {
    "NONE",     "EXPECT", "QUEUED",  "VALIDATING", "COMMITTING",
    "RESTORED", "FAILED", "SKIPPED", "CANCELLED"};

constexpr uint16_t Bit(RestoreState state) {
  return static_cast<uint16_t>(1u << static_cast<unsigned>(state));
}

// By the state that is left: those that may follow in the same incarnation.
// Cancelling comes with another incarnation and is therefore not among them.
constexpr std::array<uint16_t, kRestoreStateCount> kNext = [] {
  using enum RestoreState;
  std::array<uint16_t, kRestoreStateCount> next{};
  const auto at = [&next](RestoreState s) -> uint16_t& {
    return next[static_cast<size_t>(s)];
  };
  at(kNone) = Bit(kQueued);
  at(kExpect) = Bit(kQueued) | Bit(kSkipped);
  at(kQueued) = Bit(kQueued) | Bit(kValidating) | Bit(kFailed) | Bit(kSkipped);
  at(kValidating) =
      Bit(kCommitting) | Bit(kQueued) | Bit(kFailed) | Bit(kSkipped);
  at(kCommitting) = Bit(kRestored) | Bit(kQueued) | Bit(kFailed);
  at(kFailed) = Bit(kQueued);
  at(kSkipped) = Bit(kQueued);
  return next;
}();

// Low to high: state, attempt, flags, incarnation.
constexpr uint64_t Encode(const FilterStatus& status) {
  return static_cast<uint64_t>(status.state) |
         uint64_t{status.attempt} << 8 | uint64_t{status.flags} << 16 |
         uint64_t{status.incarnation} << 32;
}

constexpr FilterStatus Decode(uint64_t word) {
  return {.incarnation = static_cast<uint32_t>(word >> 32),
          .state = static_cast<RestoreState>(word & 0xff),
          .attempt = static_cast<uint8_t>(word >> 8),
          .flags = static_cast<uint16_t>(word >> 16)};
}

constexpr FilterStatus AfterDisable(const FilterStatus& now) {
  const bool ended =
      now.state == RestoreState::kNone || IsFinal(now.state);
  return {.incarnation = now.incarnation + 1,
          .state = ended ? RestoreState::kNone : RestoreState::kCancelled,
          .attempt = 0,
          .flags = 0};
}

}  // namespace

std::string_view Name(RestoreState state) {
  return kNames[static_cast<size_t>(state)];
}

bool IsAllowed(RestoreState from, RestoreState to) {
  return (kNext[static_cast<size_t>(from)] & Bit(to)) != 0;
}

FilterStatus FilterStatusWord::Load() const {
  return Decode(word_.load(std::memory_order_acquire));
}

bool FilterStatusWord::Exchange(uint64_t* expected, const FilterStatus& next) {
  return word_.compare_exchange_strong(*expected, Encode(next),
                                       std::memory_order_acq_rel,
                                       std::memory_order_acquire);
}

FilterStatus FilterStatusWord::Enable(bool expect_restore) {
  uint64_t word = word_.load(std::memory_order_acquire);
  FilterStatus next;
  do {
    next = {.incarnation = Decode(word).incarnation + 1,
            .state = expect_restore ? RestoreState::kExpect
                                    : RestoreState::kNone,
            .attempt = 0,
            .flags = static_cast<uint16_t>(
                kFilterEnabled | (expect_restore ? kFilterExpects : 0))};
  } while (!Exchange(&word, next));
  return next;
}

FilterStatus FilterStatusWord::Disable() {
  uint64_t word = word_.load(std::memory_order_acquire);
  FilterStatus next;
  do {
    next = AfterDisable(Decode(word));
  } while (!Exchange(&word, next));
  return next;
}

bool FilterStatusWord::DisableUnlessCommitting(FilterStatus* status) {
  uint64_t word = word_.load(std::memory_order_acquire);
  do {
    *status = Decode(word);
    if (status->state == RestoreState::kCommitting) return false;
    *status = AfterDisable(*status);
  } while (!Exchange(&word, *status));
  return true;
}

bool FilterStatusWord::RequestRestore() {
  FilterStatus seen = Load();
  return seen.state == RestoreState::kExpect &&
         Advance(&seen, RestoreState::kQueued);
}

bool FilterStatusWord::Advance(FilterStatus* seen, RestoreState next,
                               uint16_t set) {
  if (!seen->enabled() || !IsAllowed(seen->state, next)) return false;
  FilterStatus after = *seen;
  after.state = next;
  after.flags = static_cast<uint16_t>(after.flags | set);
  if (seen->state == RestoreState::kSkipped) {
    after.flags = static_cast<uint16_t>(after.flags & ~kFilterExpects);
  }
  if (next == RestoreState::kQueued && after.attempt != UINT8_MAX) {
    ++after.attempt;
  }
  uint64_t expected = Encode(*seen);
  if (!Exchange(&expected, after)) return false;
  *seen = after;
  return true;
}

}  // namespace sluice
