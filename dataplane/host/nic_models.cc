#include "dataplane/host/nic_models.h"

namespace sluice {
namespace {

constexpr uint16_t kIntel = 0x8086;

struct KnownModel {
  uint16_t vendor;
  uint16_t device;
  NicModel model;
};

constexpr NicModel kOneQueue = {.receive_queues = 1, .rss = RssSupport::kNone};
constexpr NicModel kIxgbe = {.receive_queues = 128, .rss = RssSupport::kFull};
// Their number of queues depends on firmware and virtual functions.
constexpr NicModel kManyQueues = {.rss = RssSupport::kFull};

// As the drivers of DPDK 22.11 report them.
constexpr KnownModel kModels[] = {
    // em
    {kIntel, 0x100e, kOneQueue},  // 82540EM
    {kIntel, 0x100f, kOneQueue},  // 82545EM
    {kIntel, 0x1004, kOneQueue},  // 82543GC
    {kIntel, 0x10d3, kOneQueue},  // 82574L
    {kIntel, 0x10ea, kOneQueue},  // 82577LM
    {kIntel, 0x1502, kOneQueue},  // 82579LM
    {kIntel, 0x153a, kOneQueue},  // I217-LM
    // igb
    {kIntel, 0x10c9, {.receive_queues = 16, .rss = RssSupport::kFull}},
    {kIntel, 0x150e, {.receive_queues = 8, .rss = RssSupport::kFull}},
    {kIntel, 0x1521, {.receive_queues = 8, .rss = RssSupport::kFull}},
    {kIntel, 0x1533, {.receive_queues = 4, .rss = RssSupport::kFull}},
    {kIntel, 0x1539, {.receive_queues = 2, .rss = RssSupport::kFull}},
    // ixgbe: 82599, X540, X550
    {kIntel, 0x10fb, kIxgbe},
    {kIntel, 0x1528, kIxgbe},
    {kIntel, 0x1563, kIxgbe},
    // i40e: X710, XL710, XXV710
    {kIntel, 0x1572, kManyQueues},
    {kIntel, 0x1583, kManyQueues},
    {kIntel, 0x1584, kManyQueues},
    {kIntel, 0x158b, kManyQueues},
    // ice: E810
    {kIntel, 0x1592, kManyQueues},
    {kIntel, 0x1593, kManyQueues},
    {kIntel, 0x159b, kManyQueues},
    // vmxnet3: which packets it hashes depends on the hypervisor's version
    {0x15ad, 0x07b0, {.receive_queues = 16}},
};

}  // namespace

NicModel FindNicModel(uint16_t vendor, uint16_t device) {
  for (const KnownModel& known : kModels) {
    if (known.vendor == vendor && known.device == device) return known.model;
  }
  return {};
}

}  // namespace sluice
