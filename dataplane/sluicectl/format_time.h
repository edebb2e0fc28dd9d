// Times of the day.
#ifndef SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_
#define SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_

#include <cstdint>
#include <string>

#include "nlohmann/json_fwd.hpp"

namespace sluice {

// "Sat Nov 21 23:55:04 2026", in local time, as ctime() but for the newline.
std::string FormatTime(uint64_t unix_time);
// "23:55:04.123", in local time, of microseconds.
std::string FormatClock(uint64_t time_us);
// The line with when something was zeroed; none if nobody knows.
void AppendCleared(const nlohmann::json& counted, std::string* text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_
