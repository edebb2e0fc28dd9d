// Times of the day.
#ifndef SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_
#define SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_

#include <cstdint>
#include <string>

namespace sluice {

// "Sat Nov 21 23:55:04 2026", in local time, as ctime() but for the newline.
std::string FormatTime(uint64_t unix_time);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_FORMAT_TIME_H_
