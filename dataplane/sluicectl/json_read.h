// Reading of the daemon's answers (dataplane/metrics/json_read.h).
#ifndef SLUICE_DATAPLANE_SLUICECTL_JSON_READ_H_
#define SLUICE_DATAPLANE_SLUICECTL_JSON_READ_H_

#include "dataplane/metrics/json_read.h"

#endif  // SLUICE_DATAPLANE_SLUICECTL_JSON_READ_H_
