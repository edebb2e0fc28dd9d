#include "dataplane/forward/route_wait.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr Tick kAskHopAgain = 1'000;

}  // namespace

uint32_t RouteWait::packets() const {
  uint32_t packets = 0;
  for (uint32_t k = 0; k < count_; ++k) packets += waiting_[k].pieces;
  return packets;
}

uint32_t RouteWait::CountOf(uint16_t to, const Address& next_hop) const {
  uint32_t count = 0;
  for (uint32_t k = 0; k < count_; ++k) {
    if (waiting_[k].to == to && waiting_[k].next_hop == next_hop) ++count;
  }
  return count;
}

bool RouteWait::Add(const WaitingHop& one, WaitingHop* displaced) {
  const uint32_t there = CountOf(one.to, one.next_hop);
  const bool full = there == kForOne || count_ == kRoom;
  if (full) {
    // The oldest of those for that hop, or of all.
    uint32_t k = 0;
    while (there == kForOne && (waiting_[k].to != one.to ||
                                waiting_[k].next_hop != one.next_hop)) {
      ++k;
    }
    *displaced = Take(k);
  }
  if (there == 0) Ask(one.to, one.next_hop);
  if (count_ == 0) asked_ = one.since;
  waiting_[count_++] = one;
  return full;
}

WaitingHop RouteWait::Take(uint32_t k) {
  const WaitingHop taken = waiting_[k];
  std::move(waiting_.begin() + k + 1, waiting_.begin() + count_,
            waiting_.begin() + k);
  --count_;
  return taken;
}

void RouteWait::Ask(uint16_t to, const Address& next_hop) {
  if (questions_count_ == questions_.size()) return;
  questions_[questions_count_++] = {.port = to, .address = next_hop};
}

void RouteWait::AskAgain(Tick now) {
  if (count_ == 0 ||
      TickDiff(now, asked_) < static_cast<int32_t>(kAskHopAgain)) {
    return;
  }
  asked_ = now;
  for (uint32_t k = 0; k < count_; ++k) {
    const WaitingHop& one = waiting_[k];
    // Each hop by the first that waits for it.
    const bool known = std::any_of(
        waiting_.begin(), waiting_.begin() + k, [&](const WaitingHop& other) {
          return other.to == one.to && other.next_hop == one.next_hop;
        });
    if (!known) Ask(one.to, one.next_hop);
  }
}

bool RouteWait::NextQuestion(uint16_t* port, Address* address) {
  if (questions_count_ == 0) return false;
  const Question& question = questions_[--questions_count_];
  *port = question.port;
  *address = question.address;
  return true;
}

}  // namespace sluice
