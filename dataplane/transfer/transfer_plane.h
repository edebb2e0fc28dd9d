// What transfers of states know of the process and of a filter.
#ifndef SLUICE_DATAPLANE_TRANSFER_TRANSFER_PLANE_H_
#define SLUICE_DATAPLANE_TRANSFER_TRANSFER_PLANE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "packet/packet.h"
#include "pftable/policy/policy.h"

namespace sluice {

class ExpectationTable;
struct FilterPlane;
class InterfaceRegistry;
class Mailbox;
class SourceNodes;
class Steering;

// Nothing is owned; all of it outlives every transfer.
struct TransferPlane {
  std::vector<Mailbox*> mailboxes;  // one a worker
  const Steering* steering = nullptr;
  ExpectationTable* expectations = nullptr;
  SourceNodes* sources = nullptr;  // null: none are carried by themselves
  InterfaceRegistry* interfaces = nullptr;
  std::function<Tick()> now;  // of the workers' clock; any thread
};

// A filter, for as long as a transfer of it is under way.
struct TransferFilter {
  std::string name;
  std::array<uint8_t, 16> id{};  // in its snapshots; never that of another one
  FilterPlane* plane = nullptr;
  // Keeps the plane, and the store behind it, while a thread works with them.
  std::shared_ptr<const void> owner = nullptr;
  Dialect dialect = Dialect::kOpenBsd;
  uint32_t state_capacity = 0;  // over all workers
  // Control lcore: a snapshot's policy has come into force.
  std::function<void()> policy_changed = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_TRANSFER_PLANE_H_
