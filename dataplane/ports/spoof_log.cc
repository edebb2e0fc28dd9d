#include "dataplane/ports/spoof_log.h"

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"

namespace sluice {

std::string SpoofText(const SpoofRecord& record) {
  std::string text = absl::StrCat("a frame from ", MacText(record.mac));
  if (record.vlan.IsSet()) {
    absl::StrAppend(&text, " in VLAN ", ToString(record.vlan));
  }
  absl::StrAppend(
      &text, " was dropped: ",
      View(kSpoofFaultTexts[static_cast<size_t>(record.fault)]));
  if (record.address.family != Family::kNone) {
    absl::StrAppend(&text, " (", ToString(record.address), ")");
  }
  return absl::StrCat(text, " is not what the port is bound to");
}

SpoofLog::SpoofLog(uint16_t workers) {
  for (uint16_t i = 0; i < workers; ++i) {
    rings_.push_back(std::make_unique<SpoofRing>(kRingRecords));
  }
}

uint64_t SpoofLog::Lost() const {
  uint64_t lost = 0;
  for (const auto& ring : rings_) lost += ring->lost();
  return lost;
}

void SpoofLog::Drain(uint64_t now, const Write& write) {
  if (now / 1000 != second_) {
    second_ = now / 1000;
    lines_ = 0;
    const uint64_t lost = Lost();
    untold_ += lost - lost_;
    lost_ = lost;
    if (untold_ != 0) {
      write(0xffff, absl::StrCat(untold_,
                                 " more frames were dropped as spoofed"));
      untold_ = 0;
    }
  }
  for (const auto& ring : rings_) {
    for (uint32_t i = 0; i < ring->capacity(); ++i) {
      const SpoofRecord* const record = ring->Front();
      if (record == nullptr) break;
      if (lines_ < kLinesASecond) {
        ++lines_;
        write(record->port, SpoofText(*record));
      } else {
        ++untold_;
      }
      ring->Pop();
    }
  }
}

}  // namespace sluice
