#include "dataplane/packetlog/log_followers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "packet/drop_reason.h"

namespace sluice {
namespace {

// What a capture file has before each record.
constexpr size_t kCaptureHeader = 16;

int64_t NumberOf(uint32_t rule) {
  return rule == kNoPflogRule ? -1 : int64_t{rule};
}

const char* ActionName(RuleAction action) {
  switch (action) {
    case RuleAction::kPass:
      return "pass";
    case RuleAction::kBlock:
      return "block";
    default:
      return "match";
  }
}

}  // namespace

std::vector<LogFollowers::Follower>::iterator LogFollowers::Find(
    uint64_t number) {
  return std::ranges::find(followers_, number, &Follower::number);
}

void LogFollowers::Add(const LogRecord& packet, const PflogContext& context,
                       uint8_t pflog, std::string_view record) {
  LoggedPacket logged;
  logged.time_us = context.time;
  logged.pflog = pflog;
  logged.filter = packet.filter;
  logged.length = packet.length;
  logged.interface = context.interface;
  logged.direction = packet.direction == Direction::kIn ? "in" : "out";
  logged.action = ActionName(packet.action);
  logged.reason = Name(packet.reason);
  logged.rule = NumberOf(context.rule);
  logged.subrule = NumberOf(context.subrule);
  logged.anchor = context.anchor;
  logged.record = record.substr(kCaptureHeader);
  logged.header =
      static_cast<uint32_t>(logged.record.size() - packet.captured);
  for (Follower& follower : followers_) {
    if (follower.unread.size() == kUnread) {
      ++follower.lost;
    } else {
      follower.unread.push_back(logged);
    }
  }
}

void LogFollowers::Poll(uint64_t wall) {
  now_ = wall;
  std::erase_if(followers_, [&](const Follower& follower) {
    return wall > follower.read_at && wall - follower.read_at > kPatience;
  });
}

absl::StatusOr<uint64_t> LogFollowers::OpenLog() {
  if (followers_.size() == kMost) {
    return absl::ResourceExhaustedError(absl::StrCat(
        kMost, " follow the log already: end one of them"));
  }
  followers_.push_back({.number = ++last_number_, .read_at = now_});
  return last_number_;
}

absl::StatusOr<LogSlice> LogFollowers::ReadLog(uint64_t follower,
                                               size_t limit) {
  const auto found = Find(follower);
  if (found == followers_.end()) {
    return absl::NotFoundError(absl::StrCat(
        "there is no follower ", follower, ": one that does not read for ",
        kPatience / 1'000'000, " seconds is forgotten"));
  }
  found->read_at = now_;
  LogSlice slice;
  slice.lost = found->lost;
  while (slice.packets.size() < limit && !found->unread.empty()) {
    slice.packets.push_back(std::move(found->unread.front()));
    found->unread.pop_front();
  }
  return slice;
}

absl::Status LogFollowers::CloseLog(uint64_t follower) {
  const auto found = Find(follower);
  if (found == followers_.end()) {
    return absl::NotFoundError(
        absl::StrCat("there is no follower ", follower));
  }
  followers_.erase(found);
  return absl::OkStatus();
}

}  // namespace sluice
