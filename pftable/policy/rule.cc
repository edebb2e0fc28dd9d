#include "pftable/policy/rule.h"

namespace sluice {

bool PortMatch::Matches(uint16_t port) const {
  switch (op) {
    case CompareOperator::kNone:
      return false;
    case CompareOperator::kEqual:
      return port == low;
    case CompareOperator::kNotEqual:
      return port != low;
    case CompareOperator::kLess:
      return port < low;
    case CompareOperator::kLessOrEqual:
      return port <= low;
    case CompareOperator::kGreater:
      return port > low;
    case CompareOperator::kGreaterOrEqual:
      return port >= low;
    case CompareOperator::kRange:
      return port >= low && port <= high;
    case CompareOperator::kExclusiveRange:
      return port > low && port < high;
    case CompareOperator::kExceptRange:
      return port < low || port > high;
  }
  return false;
}

}  // namespace sluice
