#include "dataplane/transfer/transfer_lanes.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

// Ends a system call that sleeps. Its handler does nothing.
constexpr int kInterrupt = SIGUSR2;
// Milliseconds between two of them to one thread.
constexpr uint64_t kInterruptInterval = 10;

void HandleInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  sigaction(kInterrupt, &action, nullptr);
}

absl::Status Refused(std::string_view who, uint32_t limit,
                     std::string_view key) {
  return absl::ResourceExhaustedError(absl::StrCat(
      View(who), " ", limit, " transfers under way already ([transfer] ",
      View(key), " of sluice.toml); try again when one of them has ended"));
}

}  // namespace

absl::Status MemoryLease::Grow(uint64_t bytes) {
  if (bytes <= bytes_) return absl::OkStatus();
  const uint64_t more = bytes - bytes_;
  uint64_t used = memory_->used();
  do {
    // What is alone may be as long as a snapshot may be at all.
    if (more > memory_->limit_ || used > memory_->limit_ - more) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the snapshots on their way take ", used, " of the ",
          memory_->limit_,
          " bytes that they may ([transfer] memory of sluice.toml); try again "
          "when one of them has ended"));
    }
  } while (!memory_->used_.compare_exchange_weak(used, used + more));
  bytes_ = bytes;
  return absl::OkStatus();
}

absl::Status LaneIo::Guard(uint64_t moved) {
  moved_.store(moved, std::memory_order_relaxed);
  return why();
}

void LaneIo::Stop(absl::Status why) {
  if (stopped_.load(std::memory_order_relaxed)) return;
  why_ = std::move(why);
  stopped_.store(true, std::memory_order_release);
}

TransferLanes::TransferLanes(const TransferLimits& limits,
                             std::function<uint64_t()> clock)
    : limits_(limits),
      clock_(clock != nullptr ? std::move(clock) : TransferClock),
      memory_(std::make_shared<TransferMemory>(limits.memory)) {
  HandleInterrupts();
}

TransferLanes::~TransferLanes() {
  for (const auto& lane : lanes_) {
    if (lane->io_ != nullptr) Stop(*lane, absl::CancelledError("it stops"));
  }
  const uint64_t end = TransferClock() + kLost;
  const auto sleeps = [](const auto& lane) {
    return lane->builder_->at_work() && lane->io_ != nullptr &&
           lane->io_->inside();
  };
  while (std::ranges::any_of(lanes_, sleeps) && TransferClock() < end) {
    for (const auto& lane : lanes_) {
      if (sleeps(lane)) lane->builder_->Interrupt(kInterrupt);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const auto& lane : lanes_) {
    if (!sleeps(lane)) continue;
    lane->builder_->Abandon();
    if (lane->lost_ != nullptr) lane->lost_(lane->why_);
  }
}

absl::StatusOr<TransferLanes::Lane*> TransferLanes::Take(
    const TransferClient& client, const FilterPlane& filter,
    std::string_view filter_name, std::function<void()> stop,
    std::function<void(const absl::Status&)> lost) {
  uint32_t all = 0;
  uint32_t of_client = 0;
  uint32_t of_filter = 0;
  for (const auto& lane : lanes_) {
    if (lane->io_ == nullptr) continue;
    ++all;
    of_client += lane->client_.uid == client.uid;
    of_filter += lane->filter_ == &filter;
  }
  std::erase_if(lost_, [](const Lost& lost) { return lost.io.expired(); });
  for (const Lost& lost : lost_) {
    ++all;
    of_client += lost.uid == client.uid;
  }
  absl::Status refused;
  if (of_filter >= limits_.per_filter) {
    refused = Refused(absl::StrCat("filter ", View(filter_name), " has"),
                      of_filter, "per_filter");
  } else if (of_client >= limits_.per_client) {
    refused = Refused(absl::StrCat("user ", client.uid, " has"), of_client,
                      "per_client");
  } else if (all >= limits_.parallel) {
    refused = Refused("there are", all, "parallel");
  }
  if (!refused.ok()) {
    ++counts_.over_limits;
    return refused;
  }
  auto free = std::ranges::find_if(
      lanes_, [](const auto& lane) { return lane->io_ == nullptr; });
  if (free == lanes_.end()) {
    free = lanes_.insert(free, std::make_unique<Lane>());
  }
  Lane& lane = **free;
  if (lane.builder_ == nullptr) lane.builder_ = std::make_unique<Builder>();
  lane.io_ = std::make_shared<LaneIo>(memory_);
  lane.client_ = client;
  lane.filter_ = &filter;
  lane.stop_ = std::move(stop);
  lane.lost_ = std::move(lost);
  lane.pace_.reset();
  lane.why_ = absl::OkStatus();
  return &lane;
}

void TransferLanes::Release(Lane* lane) {
  lane->io_.reset();
  lane->stop_ = nullptr;
  lane->lost_ = nullptr;
  lane->filter_ = nullptr;
  lane->client_ = {};
}

void TransferLanes::Stop(Lane& lane, absl::Status why) {
  if (!lane.why_.ok()) return;
  lane.why_ = why;
  lane.told_at_ = clock_();
  lane.last_signal_ = 0;
  lane.io_->Stop(std::move(why));
  if (lane.stop_ != nullptr) lane.stop_();
}

void TransferLanes::LookAfter(Lane& lane) {
  const uint64_t now = clock_();
  if (lane.why_.ok()) {
    if (lane.client_.is_gone()) {
      ++counts_.abandoned;
      return Stop(lane, absl::CancelledError("the client has gone"));
    }
    if (!lane.io_->inside()) return;
    if (!lane.pace_.has_value()) lane.pace_.emplace(limits_, now);
    absl::Status slow = lane.pace_->Look(lane.io_->moved(), now);
    if (slow.ok()) return;
    ++counts_.too_slow;
    return Stop(lane, std::move(slow));
  }
  if (!lane.builder_->at_work() || !lane.io_->inside()) {
    lane.told_at_ = now;
    return;
  }
  if (now - lane.last_signal_ >= kInterruptInterval) {
    lane.last_signal_ = now;
    lane.builder_->Interrupt(kInterrupt);
  }
  if (now - lane.told_at_ < kLost) return;
  LogWarning("a transfer's thread does not come back from its descriptor: {}",
             Text(lane.why_));
  const auto lost = std::move(lane.lost_);
  const absl::Status why = lane.why_;
  lost_.push_back({lane.io_, lane.client_.uid});
  lane.builder_->Abandon();
  lane.builder_.reset();
  Release(&lane);
  if (lost != nullptr) lost(why);
}

void TransferLanes::Poll() {
  // What is finished may ask for more, and lanes be added.
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = *lanes_[i];
    if (lane.builder_ != nullptr) lane.builder_->Finish();
    if (lane.io_ != nullptr) LookAfter(lane);
  }
}

void TransferLanes::Cancel(const FilterPlane& filter) {
  for (const auto& lane : lanes_) {
    if (lane->io_ == nullptr || lane->filter_ != &filter) continue;
    ++counts_.abandoned;
    Stop(*lane, absl::CancelledError("the filter goes away"));
  }
}

bool TransferLanes::Uses(const FilterPlane& filter) const {
  return std::ranges::any_of(lanes_, [&filter](const auto& lane) {
    return lane->io_ != nullptr && lane->filter_ == &filter;
  });
}

uint64_t TransferLanes::busy() const {
  return static_cast<uint64_t>(std::ranges::count_if(
      lanes_, [](const auto& lane) { return lane->io_ != nullptr; }));
}

}  // namespace sluice
