#include "dataplane/filters/route_words.h"

#include "packet/link_address.h"

namespace sluice {

const char* WordOf(RouteType type) {
  switch (type) {
    case RouteType::kNone:
      return "none";
    case RouteType::kLocal:
      return "local";
    case RouteType::kForward:
      return "forward";
    case RouteType::kBlackhole:
      return "blackhole";
    case RouteType::kUnreachable:
      return "unreachable";
    case RouteType::kProhibit:
      return "prohibit";
  }
  return "none";
}

const char* WordOf(NeighborState state) {
  switch (state) {
    case NeighborState::kUnknown:
      return "unknown";
    case NeighborState::kPending:
      return "pending";
    case NeighborState::kKnown:
      return "known";
    case NeighborState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string LinkAddressText(const MacAddress& mac) {
  LinkAddress address;
  for (size_t i = mac.size(); i-- > 0;) {
    address.value = address.value << 8 | mac[i];
  }
  return ToString(address);
}

}  // namespace sluice
