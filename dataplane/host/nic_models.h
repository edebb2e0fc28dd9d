// What is known of NIC models before their driver looks at them.
#ifndef SLUICE_DATAPLANE_HOST_NIC_MODELS_H_
#define SLUICE_DATAPLANE_HOST_NIC_MODELS_H_

#include <cstdint>

namespace sluice {

enum class RssSupport : uint8_t {
  kUnknown,  // the device says so itself when DPDK drives it
  kNone,
  kFull,  // own key, addresses and ports of both families, table
};

struct NicModel {
  uint16_t receive_queues = 0;  // that DPDK's driver gives; 0: unknown
  RssSupport rss = RssSupport::kUnknown;
};

// A model that is not in the table is all unknown.
NicModel FindNicModel(uint16_t vendor, uint16_t device);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_HOST_NIC_MODELS_H_
