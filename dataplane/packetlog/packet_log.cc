#include "dataplane/packetlog/packet_log.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

constexpr uint64_t kMillion = 1'000'000;
constexpr uint64_t kWarningInterval = 10 * kMillion;  // microseconds

}  // namespace

PacketLog::PacketLog(std::string folder, uint32_t rate, uint16_t workers,
                     Resolver resolve)
    : rate_(rate),
      resolve_(std::move(resolve)),
      files_(std::move(folder)),
      tokens_(rate * kMillion) {
  for (uint16_t i = 0; i < workers; ++i) {
    rings_.push_back(std::make_unique<LogRing>(kRingRecords));
  }
}

void PacketLog::Drain(Tick now, uint64_t wall) {
  if (last_wall_ != 0 && wall > last_wall_) {
    const uint64_t elapsed = std::min(wall - last_wall_, kMillion);
    tokens_ = std::min(tokens_ + elapsed * rate_, rate_ * kMillion);
  }
  last_wall_ = wall;
  followers_.Poll(wall);

  std::map<uint8_t, Batch> batches;
  for (const auto& ring : rings_) {
    for (uint32_t i = 0; i < ring->capacity(); ++i) {
      const LogRecord* const record = ring->Front();
      if (record == nullptr) break;
      if (tokens_ < kMillion) {
        ++suppressed_;
      } else {
        tokens_ -= kMillion;
        PflogContext context;
        const uint8_t number = resolve_(*record, &context);
        // Ticks are milliseconds and wrap around. A worker's may be ahead of
        // the caller's, which was taken before the record came: then it is of
        // this moment.
        const Tick since = now - record->now;
        const Tick age = since > UINT32_MAX / 2 ? 0 : since;
        context.time = wall - std::min<uint64_t>(uint64_t{age} * 1000, wall);
        Batch& batch = batches[number];
        const size_t begin = batch.records.size();
        AppendPflogRecord(*record, context, &batch.records);
        if (followers_.any()) {
          followers_.Add(*record, context, number,
                         std::string_view(batch.records).substr(begin));
        }
        ++batch.count;
      }
      ring->Pop();
    }
  }
  for (auto& [number, batch] : batches) {
    files_.Append(number, std::move(batch.records), batch.count);
  }

  const PacketLogCounts all = counts();
  const uint64_t missing = all.suppressed + all.lost;
  if (missing > warned_ && wall - last_warning_ >= kWarningInterval) {
    LogWarning("{} packet(s) of `log` rules were not written: {} over the "
                 "rate of {} a second so far, {} for want of room",
                 missing - warned_, all.suppressed, rate_, all.lost);
    warned_ = missing;
    last_warning_ = wall;
  }
}

PacketLogCounts PacketLog::counts() const {
  PacketLogCounts counts{.written = files_.written(),
                         .suppressed = suppressed_,
                         .lost = files_.lost()};
  for (const auto& ring : rings_) counts.lost += ring->lost();
  return counts;
}

}  // namespace sluice
