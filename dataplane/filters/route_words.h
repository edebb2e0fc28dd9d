// Routes and neighbours in the words of the control protocol.
#ifndef SLUICE_DATAPLANE_FILTERS_ROUTE_WORDS_H_
#define SLUICE_DATAPLANE_FILTERS_ROUTE_WORDS_H_

#include <string>

#include "dataplane/routing/routing_tables.h"

namespace sluice {

const char* WordOf(RouteType type);
const char* WordOf(NeighborState state);
std::string LinkAddressText(const MacAddress& mac);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_ROUTE_WORDS_H_
