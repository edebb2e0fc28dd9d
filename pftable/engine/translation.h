// What an evaluation does about addresses: the packet as the rules that follow
// see it, and who chooses what it becomes.
#ifndef SLUICE_PFTABLE_ENGINE_TRANSLATION_H_
#define SLUICE_PFTABLE_ENGINE_TRANSLATION_H_

#include "packet/packet.h"
#include "pftable/engine/generation.h"

namespace sluice {

// Chooses addresses and ports from a rule's pools; conntrack/translator.h does
// it, which knows what is taken. One a worker. Neither allocates nor locks for
// long.
class PoolChooser {
 public:
  virtual ~PoolChooser() = default;
  // Puts the ends that the rule gives into *packet. False: nothing was free,
  // or a pool is empty.
  virtual bool Choose(const Generation& generation, const CompiledRule& rule,
                      Direction direction, PacketInfo* packet) = 0;
};

// Of one packet that is judged. Rules that translate need one; an evaluation
// without it leaves the packet as it is.
struct Translation {
  PoolChooser* chooser = nullptr;
  bool translated = false;  // some rule has taken effect
  bool failed = false;      // some pool had nothing to give
  PacketInfo packet;        // if translated: as it goes on
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_TRANSLATION_H_
