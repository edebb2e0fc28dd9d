// What the control socket asks of a filter. The operations of the socket
// (operations.h) know a filter only by these interfaces: the daemon implements
// them over its workers, a test over a fake.
//
// Every function is called on the control lcore, unless it says otherwise, and
// waits for nobody. What is long is either a BuildJob, whose slow part runs on
// the builder thread, or asynchronous (states), or given out by slices with a
// cursor: a slice of a table costs what is in it. The first slice of rules
// costs as much as there are rules, and a list of tables as there are tables.
//
// A cursor is the text with which a slice says where the next one starts. Only
// the filter that made it knows its form. Empty: the beginning when asked, the
// end when answered. A client may send any text: what is not a cursor of this
// filter is an InvalidArgumentError.
#ifndef SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_

#include "dataplane/control/api/rule_control.h"
#include "dataplane/control/api/state_control.h"
#include "dataplane/control/api/status_control.h"
#include "dataplane/control/api/table_control.h"

namespace sluice {

class FilterControl {
 public:
  virtual ~FilterControl() = default;

  virtual RuleControl& Rules() = 0;
  virtual StateControl& States() = 0;
  virtual TableControl& Tables() = 0;
  virtual StatusControl& Status() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_FILTER_CONTROL_H_
