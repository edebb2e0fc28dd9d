// Whether a filter is to be enabled, kept beside whether it is, and the one
// machine that moves the second towards the first.
//
// What is, is the incarnation's word. An order takes effect at once, but for
// one thing: nothing ends an incarnation in which a commit is being published.
// Then it waits for the commit's end, and for it alone. An incarnation that was
// to end in the meantime does end, whatever was ordered afterwards: who had the
// filter disabled is told so when nothing passes by that incarnation any more,
// and who had it enabled again gets a new one.
//
// Belongs to the control lcore.
#ifndef SLUICE_RESTORE_FILTER_SWITCH_H_
#define SLUICE_RESTORE_FILTER_SWITCH_H_

#include <optional>

#include "restore/filter_status.h"

namespace sluice {

struct WantedFilter {
  bool enabled = false;
  // Of the incarnation that begins: nothing is judged before its restore.
  bool expects = false;
};

class FilterSwitch {
 public:
  // What was done, in this order: with the status that came of it.
  struct Moves {
    std::optional<FilterStatus> ended;
    std::optional<FilterStatus> begun;
  };

  // `word` is not owned. Wanted is what it says.
  explicit FilterSwitch(FilterStatusWord* word);

  // Enabling what is wanted to be enabled changes nothing, not even what it
  // expects; and so with disabling.
  Moves Want(const WantedFilter& wanted);
  // As far as it goes now. To be called when a commit has ended.
  Moves Move();

  // The present incarnation is to end, and has not.
  bool is_ending() const { return ending_; }
  // What is, is what is wanted.
  bool is_settled() const {
    return !ending_ && word_.Load().enabled() == wanted_.enabled;
  }

 private:
  FilterStatusWord& word_;
  WantedFilter wanted_;
  bool ending_ = false;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_FILTER_SWITCH_H_
