#include "pftable/rule.h"

namespace sluice {

const std::array<std::string_view, kTimeoutCount> kTimeoutNames = {
    "tcp.first",        "tcp.opening",    "tcp.established",
    "tcp.closing",      "tcp.finwait",    "tcp.closed",
    "tcp.tsdiff",       "sctp.first",     "sctp.opening",
    "sctp.established", "sctp.closing",   "sctp.closed",
    "udp.first",        "udp.single",     "udp.multiple",
    "icmp.first",       "icmp.error",     "other.first",
    "other.single",     "other.multiple", "frag",
    "interval",         "adaptive.start", "adaptive.end",
    "src.track",
};

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
