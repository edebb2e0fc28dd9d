// Ties of children and expectations to their parents: what the one says of the
// other fits, and no state is its own ancestor.
#include <utility>

#include "conntrack/ftp.h"
#include "restore/snapshot_check.h"

namespace sluice {
namespace {

using SnapshotEnd = std::pair<Address, uint16_t>;

// An end of a state in front of its translation, and behind it.
SnapshotEnd NearEnd(const SnapshotState& state, size_t i) {
  return {state.peers[i].address, state.peers[i].port};
}
SnapshotEnd FarEnd(const SnapshotState& state, size_t i) {
  return state.is_translated()
             ? SnapshotEnd(state.translated[i], state.translated_port[i])
             : NearEnd(state, i);
}

// The ends of an FTP control connection's data connections whose first packet
// is judged in a direction: who sends it, and who has named a port for it.
struct FtpEnds {
  SnapshotEnd from;
  SnapshotEnd to;
  uint16_t own_behind = 0;  // the control connection's port there
};
FtpEnds FtpEndsOf(const SnapshotState& control, Direction direction) {
  return direction != control.direction
             ? FtpEnds{FarEnd(control, 1), FarEnd(control, 0),
                       NearEnd(control, 0).second}
             : FtpEnds{NearEnd(control, 0), NearEnd(control, 1),
                       FarEnd(control, 1).second};
}

bool IsFtpControl(const SnapshotState& state) {
  return state.proto == protocol::kTcp && !state.translates_family() &&
         (NearEnd(state, 1).second == kFtpPort ||
          FarEnd(state, 1).second == kFtpPort);
}

// What was expected when it came: between the control connection's hosts.
const char* WhatIsWrongWithFtpChild(const SnapshotState& child,
                                    const SnapshotState& parent) {
  if (!IsFtpControl(parent)) return "its parent has no helper";
  const FtpEnds ends = FtpEndsOf(parent, child.direction);
  return child.peers[0].address == ends.from.first &&
                 child.peers[1].address == ends.to.first
             ? nullptr
             : "its flow is not its parent's";
}

// Another path has the association's ports, whichever way it was made.
const char* WhatIsWrongWithSctpChild(const SnapshotState& child,
                                     const SnapshotState& parent) {
  if (parent.is_translated()) return "its parent has no helper";
  const size_t turned = child.direction == parent.direction ? 0 : 1;
  return child.peers[0].port == parent.peers[turned].port &&
                 child.peers[1].port == parent.peers[turned ^ 1].port
             ? nullptr
             : "its flow is not its parent's";
}

}  // namespace

const char* WhatIsWrongWithLink(const SnapshotState& child,
                                const SnapshotState* parent) {
  if (child.parent == 0) return "no parent";
  if (child.parent == child.id) return "it is its own parent";
  if (child.parent > child.id) return "its parent is younger";
  if (parent == nullptr || parent->parent != 0) {
    return "its parent is no state without a parent";
  }
  if (parent->proto != child.proto || parent->family() != child.family()) {
    return "its parent is of another protocol";
  }
  if (!(parent->vlan == child.vlan)) return "its parent is in another VLAN";
  if (child.translates_family()) return "it goes on in another family";
  switch (child.proto) {
    case protocol::kTcp: return WhatIsWrongWithFtpChild(child, *parent);
    case protocol::kSctp: return WhatIsWrongWithSctpChild(child, *parent);
    default:
      return parent->helper == SnapshotHelper::kNone
                 ? "its parent has no helper"
                 : nullptr;
  }
}

bool IsBeyond(const SnapshotExpectation& expectation,
              const SnapshotState& parent) {
  return parent.is_translated() &&
         parent.translated[0] == expectation.client &&
         parent.translated_port[0] == expectation.client_port &&
         parent.translated[1] == expectation.server;
}

namespace {

// A data connection: between the control connection's hosts, as each of them
// knows the other, and never that connection itself.
const char* WhatIsWrongWithFtp(const SnapshotExpectation& expectation,
                               const SnapshotState& parent) {
  if (!IsFtpControl(parent)) return "its parent has another helper";
  const bool translated = parent.is_translated();
  if ((expectation.port_behind != 0) != translated) {
    return "it is translated without its parent, or not with it";
  }
  // Whoever waits for it has named a port of its own.
  const FtpEnds ends = FtpEndsOf(parent, expectation.direction);
  if (expectation.client != ends.to.first ||
      expectation.server != ends.from.first) {
    return "its flow is not its parent's";
  }
  return expectation.client_port == ends.to.second ||
                 (translated && expectation.port_behind == ends.own_behind)
             ? "it is its own parent"
             : nullptr;
}

// Another path: the association's ports, and not the path that it came by.
const char* WhatIsWrongWithSctp(const SnapshotExpectation& expectation,
                                const SnapshotState& parent) {
  if (parent.proto != protocol::kSctp || parent.is_translated()) {
    return "its parent has another helper";
  }
  const size_t first = parent.direction == Direction::kIn ? 0 : 1;
  const SnapshotPeer& client = parent.peers[first];
  const SnapshotPeer& server = parent.peers[first ^ 1];
  for (const Address& address : {expectation.client, expectation.server}) {
    if (address.family != parent.family() || !IsHostAddress(address)) {
      return "an address that no host has";
    }
  }
  if (expectation.client_port != client.port ||
      expectation.server_port != server.port) {
    return "its flow is not its parent's";
  }
  return expectation.client == client.address &&
                 expectation.server == server.address
             ? "it is its own parent"
             : nullptr;
}

}  // namespace

const char* WhatIsWrongWithLink(const SnapshotExpectation& expectation,
                                const SnapshotState* parent) {
  if (parent == nullptr || parent->parent != 0) {
    return "its parent is no state without a parent";
  }
  if (expectation.helper == SnapshotHelper::kFtp) {
    return WhatIsWrongWithFtp(expectation, *parent);
  }
  if (expectation.helper == SnapshotHelper::kSctp) {
    return WhatIsWrongWithSctp(expectation, *parent);
  }
  if (parent->helper != expectation.helper ||
      parent->proto != expectation.proto) {
    return "its parent has another helper";
  }
  const bool near = parent->peers[0].address == expectation.client &&
                    parent->peers[0].port == expectation.client_port &&
                    parent->peers[1].address == expectation.server;
  return near || IsBeyond(expectation, *parent)
             ? nullptr
             : "its flow is not its parent's";
}

}  // namespace sluice
