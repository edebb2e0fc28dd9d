// States as lines in the form of `pfctl -ss`.
#ifndef SLUICE_DATAPLANE_REPLAY_STATE_TEXT_H_
#define SLUICE_DATAPLANE_REPLAY_STATE_TEXT_H_

#include <string>

#include "conntrack/state_table.h"

namespace sluice {

// "all tcp 10.0.0.1:80 <- 10.0.0.2:1025 ESTABLISHED:ESTABLISHED", single
// blanks. A child's line ends with ", child of " and its parent's without the
// last word, or "nothing" when the parent is gone.
std::string StateLine(const StateTable& states, const StateRecord& record,
                      Tick now);

// A source node in the form of `pfctl -sS`, single blanks: "10.0.0.2 ->
// 0.0.0.0 ( states 1, connections 1, rate 1.0/5s )".
std::string SourceLine(const SourceRecord& record);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_REPLAY_STATE_TEXT_H_
