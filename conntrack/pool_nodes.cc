#include "conntrack/pool_nodes.h"

namespace sluice {
namespace {

// The node of one end with its other end as the target, or kNoSourceNode.
SourceNodeIndex TakeEnd(SourceNodes& nodes, const SourceKey& key,
                        const Address& target, uint16_t port, Tick now) {
  const SourceOwner owner = {.budget = nodes.unlimited()};
  const SourceNodeIndex node =
      nodes.Take(key, owner, 0, now, &target, port).node;
  if (node == kNoSourceNode) return kNoSourceNode;
  if (nodes.target(node) == target && nodes.target_port(node) == port) {
    return node;
  }
  nodes.GiveBack(node, now);
  return kNoSourceNode;
}

}  // namespace

SourceKey LoadKey(uint16_t filter, const Address& address) {
  return {.address = address.bytes,
          .filter = filter,
          .family = address.family,
          .use = SourceUse::kLoad};
}

SourceKey MappingKey(SourceUse use, uint16_t filter, VlanId vlan,
                     const Address& address, uint16_t port) {
  return {.address = address.bytes,
          .vlan = vlan,
          .rule_slot = port,
          .filter = filter,
          .family = address.family,
          .use = use};
}

void Hold(SourceNodes& nodes, PoolNode which, SourceNodeIndex node, Tick now,
          PoolHolds* holds) {
  const SourceNodeIndex before = holds->nodes[which];
  holds->Set(which, node);
  if (before != kNoSourceNode) nodes.GiveBack(before, now);
}

void GiveBack(SourceNodes& nodes, Tick now, PoolHolds* holds) {
  for (const SourceNodeIndex node : holds->nodes) {
    if (node != kNoSourceNode) nodes.GiveBack(node, now);
  }
  *holds = PoolHolds();
}

bool TakeMapping(SourceNodes& nodes, const PoolMapping& mapping,
                 uint16_t filter, Tick now, PoolHolds* holds) {
  const SourceNodeIndex outside = TakeEnd(
      nodes,
      MappingKey(SourceUse::kMappingOutside, filter, mapping.vlan,
                 mapping.outside, mapping.outside_port),
      mapping.inside, mapping.inside_port, now);
  if (outside == kNoSourceNode) return false;
  const SourceNodeIndex inside = TakeEnd(
      nodes,
      MappingKey(SourceUse::kMappingInside, filter, mapping.vlan,
                 mapping.inside, mapping.inside_port),
      mapping.outside, mapping.outside_port, now);
  if (inside == kNoSourceNode) {
    nodes.GiveBack(outside, now);
    return false;
  }
  Hold(nodes, kMappedInside, inside, now, holds);
  Hold(nodes, kMappedOutside, outside, now, holds);
  return true;
}

bool FindMapping(SourceNodes& nodes, uint16_t filter, Tick now,
                 PoolMapping* mapping, PoolHolds* holds) {
  const SourceNodeIndex inside =
      nodes.Find(MappingKey(SourceUse::kMappingInside, filter, mapping->vlan,
                            mapping->inside, mapping->inside_port));
  if (inside == kNoSourceNode) return false;
  mapping->outside = nodes.target(inside);
  mapping->outside_port = nodes.target_port(inside);
  const SourceNodeIndex outside = TakeEnd(
      nodes,
      MappingKey(SourceUse::kMappingOutside, filter, mapping->vlan,
                 mapping->outside, mapping->outside_port),
      mapping->inside, mapping->inside_port, now);
  if (outside == kNoSourceNode) {
    // Its last state has just ended, and somebody has taken the port.
    nodes.GiveBack(inside, now);
    return false;
  }
  Hold(nodes, kMappedInside, inside, now, holds);
  Hold(nodes, kMappedOutside, outside, now, holds);
  return true;
}

}  // namespace sluice
