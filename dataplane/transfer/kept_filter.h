// What a state directory has of a filter of the process before: enough to make
// it again as it was.
#ifndef SLUICE_DATAPLANE_TRANSFER_KEPT_FILTER_H_
#define SLUICE_DATAPLANE_TRANSFER_KEPT_FILTER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/transfer/snapshot_sources.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/store/policy_store.h"
#include "restore/import.h"

namespace sluice {

struct KeptFilter {
  std::array<uint8_t, 16> id{};
  // A snapshot without states, with the policy that was committed last, and
  // the one before it. Empty: there is none.
  std::vector<uint8_t> policy;
  std::vector<uint8_t> older_policy;
  // Of its states, for its first incarnation.
  std::shared_ptr<TransferSource> states;
};

// A snapshot's policy on its way into a store, in two steps: any thread, then
// the control lcore.
class KeptPolicy {
 public:
  KeptPolicy(PolicyStore* store, InterfaceRegistry* interfaces,
             Dialect dialect);
  absl::Status Build(const std::vector<uint8_t>& snapshot);
  absl::Status Publish() { return importer_.PublishPolicy(); }

 private:
  StateImporter importer_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_KEPT_FILTER_H_
