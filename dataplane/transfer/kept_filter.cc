#include "dataplane/transfer/kept_filter.h"

#include <span>

namespace sluice {
namespace {

ImportTarget TargetOf(PolicyStore* store, InterfaceRegistry* interfaces) {
  ImportTarget target;
  target.store = store;
  target.interfaces = interfaces;
  return target;
}

ImportOptions OptionsOf(const PolicyStore& store, Dialect dialect) {
  ImportOptions options;
  options.policy = true;
  options.dialect = dialect;
  options.limits.rules = store.rule_slots().capacity();
  // It has none; who put some in does not get them in this way.
  options.limits.states = 0;
  options.limits.expectations = 0;
  options.limits.source_nodes = 0;
  return options;
}

}  // namespace

KeptPolicy::KeptPolicy(PolicyStore* store, InterfaceRegistry* interfaces,
                       Dialect dialect)
    : importer_(TargetOf(store, interfaces), OptionsOf(*store, dialect)) {}

absl::Status KeptPolicy::Build(const std::vector<uint8_t>& snapshot) {
  return importer_.Prepare(std::span<const uint8_t>(snapshot));
}

}  // namespace sluice
