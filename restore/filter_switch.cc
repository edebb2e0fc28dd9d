#include "restore/filter_switch.h"

namespace sluice {

FilterSwitch::FilterSwitch(FilterStatusWord* word) : word_(*word) {
  const FilterStatus status = word_.Load();
  wanted_ = {.enabled = status.enabled(), .expects = status.expects()};
}

FilterSwitch::Moves FilterSwitch::Want(const WantedFilter& wanted) {
  if (wanted.enabled != wanted_.enabled) {
    wanted_ = wanted;
    if (!wanted.enabled && word_.Load().enabled()) ending_ = true;
  }
  return Move();
}

FilterSwitch::Moves FilterSwitch::Move() {
  Moves moves;
  FilterStatus status;
  if (ending_) {
    if (!word_.DisableUnlessCommitting(&status)) return moves;
    ending_ = false;
    moves.ended = status;
  }
  if (wanted_.enabled && !word_.Load().enabled()) {
    moves.begun = word_.Enable(wanted_.expects);
  }
  return moves;
}

}  // namespace sluice
