// FreeBSD's rules for layer 2: what frames a filter lets in and out at all,
// before its rules for packets on the way in and after them on the way out.
// They are walked one by one, make no state and answer nothing; a frame that
// no rule matches passes. (FreeBSD's pf.c, pf_test_eth_rule.)
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PFTABLE_ENGINE_ETHER_H_
#define SLUICE_PFTABLE_ENGINE_ETHER_H_

#include <cstdint>

#include "packet/packet.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/rule.h"

namespace sluice {

struct EtherInput {
  // Six bytes each, the first in the lowest bits.
  uint64_t source = 0;
  uint64_t destination = 0;
  // Of the frame itself, and of what it carries behind its VLAN tags.
  uint16_t outer_type = 0;
  uint16_t inner_type = 0;
  // Family and addresses; null: the frame carries no IP.
  const PacketInfo* packet = nullptr;
  uint32_t bytes = 0;  // of the frame
  Direction direction = Direction::kIn;
  InterfaceView interface;
  uint16_t tag = kNoTag;
};

struct EtherVerdict {
  bool pass = true;
  uint16_t tag = kNoTag;  // what the frame has from now on
  // It leaves by that interface, and nobody judges it any more.
  bool bridges = false;
  uint16_t bridge_to = 0;
};

// Counts the frame for the rule that decides.
EtherVerdict EvaluateEther(const Generation& generation,
                           const EtherInput& input, WorkerCounters& counters);

// The addresses and types of a frame, as far as it has them. False for less
// than an Ethernet header.
bool ReadFrame(const rte_mbuf& frame, const PacketInfo& info,
               EtherInput* input);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_ETHER_H_
