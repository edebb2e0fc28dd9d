// What an evaluation does about addresses: the packet as the rules that follow
// see it, and who chooses what it becomes.
#ifndef SLUICE_PFTABLE_ENGINE_TRANSLATION_H_
#define SLUICE_PFTABLE_ENGINE_TRANSLATION_H_

#include "packet/packet.h"
#include "pftable/engine/evaluate.h"
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
  // Writes where the rule, which has a route, sends a packet that has come as
  // `original` and goes on in that family. False: the pool is empty.
  virtual bool ChooseRoute(const Generation& generation,
                           const CompiledRule& rule,
                           const PacketInfo& original, Family family,
                           PacketRoute* route) = 0;
};

// Of one packet that is judged. Rules that translate or route need one; an
// evaluation without it leaves the packet as it is.
struct Translation {
  PoolChooser* chooser = nullptr;
  bool translated = false;  // some rule has taken effect
  bool failed = false;      // some pool had nothing to give
  bool unfit = false;       // the other family has no such packet
  // One of FreeBSD's translation rules has: such a flow has a state whatever
  // the filter's rule says.
  bool by_rule = false;
  PacketInfo packet;        // if translated: as it goes on
};

// The spaces of a rule's route that a packet which goes on in that family may
// take from, the first one first; an IPv4 one may have two. Empty ones left out.
struct RouteSpaces {
  std::array<Family, 2> families{};
  uint32_t count = 0;
};
RouteSpaces RouteSpacesOf(const Generation& generation, uint16_t pool,
                          Family family);

// rdr-to and af-to with `port`: a range for a range goes port by port, and again
// from its start.
void RedirectPort(const CompiledPool& pool, PacketInfo* packet);

// What FreeBSD's translation rules say of a packet. `rule` is null if none
// matched, or one that begins with `no`.
struct TranslationMatch {
  const CompiledRule* rule = nullptr;
  uint32_t anchor_slot = kNoRuleSlot;
  uint16_t tag = kNoTag;  // of the packet from here on
};
// Asks binat and nat for a packet that goes out, rdr and binat for one that
// comes in, and puts what the rule gives into input.translation, which is
// there.
TranslationMatch ApplyTranslationRules(const Generation& generation,
                                       const EvaluationInput& input,
                                       WorkerCounters& counters);

// What a translation rule with `pass` decides by itself.
Verdict VerdictOfTranslation(const Generation& generation,
                             const TranslationMatch& match,
                             const EvaluationInput& input);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_TRANSLATION_H_
