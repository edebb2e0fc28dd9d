// Packets of `log` rules as they are written: log.*.
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "dataplane/base/text.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kPacketsAPage = 256;

// Null, and that was the answer: none are kept.
LogControl* LogOf(Call& call) {
  if (call.log() == nullptr) {
    call.Error(RpcError::kRefused,
               "packets of `log` rules are not kept: set packets in [log] of "
               "sluice.toml");
  }
  return call.log();
}

json ToJson(const LoggedPacket& packet) {
  json told = {{"time_us", packet.time_us},
               {"pflog", packet.pflog},
               {"interface", packet.interface},
               {"direction", packet.direction},
               {"action", packet.action},
               {"reason", packet.reason},
               {"length", packet.length},
               {"header", packet.header},
               {"record", Hex(std::span(
                              reinterpret_cast<const uint8_t*>(
                                  packet.record.data()),
                              packet.record.size()))}};
  if (packet.rule >= 0) told["rule"] = packet.rule;
  if (packet.subrule >= 0) {
    told["subrule"] = packet.subrule;
    told["anchor"] = packet.anchor;
  }
  return told;
}

Action ParseOpen(Params&) {
  return [](std::shared_ptr<Call> call) {
    LogControl* const log = LogOf(*call);
    if (log == nullptr) return;
    const absl::StatusOr<uint64_t> follower = log->OpenLog();
    if (!follower.ok()) return call->Error(follower.status());
    call->Result({{"follower", *follower}});
  };
}

Action ParseRead(Params& params) {
  std::optional<uint64_t> follower;
  size_t limit = kPacketsAPage;
  params.Number("follower", UINT64_MAX, &follower);
  params.PageSize("limit", kPacketsAPage, &limit);
  return [follower = follower.value_or(0),
          limit](std::shared_ptr<Call> call) {
    LogControl* const log = LogOf(*call);
    if (log == nullptr) return;
    const absl::StatusOr<LogSlice> slice = log->ReadLog(follower, limit);
    if (!slice.ok()) return call->Error(slice.status());
    json packets = json::array();
    for (const LoggedPacket& packet : slice->packets) {
      packets.push_back(ToJson(packet));
    }
    call->Result({{"packets", std::move(packets)}, {"lost", slice->lost}});
  };
}

Action ParseClose(Params& params) {
  std::optional<uint64_t> follower;
  params.Number("follower", UINT64_MAX, &follower);
  return [follower = follower.value_or(0)](std::shared_ptr<Call> call) {
    LogControl* const log = LogOf(*call);
    if (log == nullptr) return;
    call->StatusOnly(log->CloseLog(follower));
  };
}

}  // namespace

const std::vector<Method> kLogMethods = {
    {"log.close", ParseClose, Access::kOperate, /*asks_filter=*/false},
    {"log.open", ParseOpen, Access::kOperate, /*asks_filter=*/false},
    {"log.read", ParseRead, Access::kWatch, /*asks_filter=*/false},
};

}  // namespace sluice
