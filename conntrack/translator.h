// Chooses what a packet's addresses and ports become: the methods of pools, and
// ports that nobody has for that peer.
//
// Of source ports those are tried first whose answers come to this worker by
// themselves (TranslationDirectory::IsHome). The search begins at a random port
// and takes a bounded number of steps, however full the range is.
//
// What a pool has to remember of a source (sticky-address), of an address
// (least-states) or of a port (endpoint-independent) lies among the sources,
// which all workers share. The translator holds it until the state that is made
// takes it, or gives it back.
#ifndef SLUICE_CONNTRACK_TRANSLATOR_H_
#define SLUICE_CONNTRACK_TRANSLATOR_H_

#include <cstdint>

#include "conntrack/flow_key.h"
#include "conntrack/pool_nodes.h"
#include "packet/embedded_address.h"
#include "pftable/engine/translation.h"

struct rte_mbuf;

namespace sluice {

class StateTable;
struct ExpectedEnds;
class TranslationDirectory;

// pf's ports for nat-to without `port`.
inline constexpr uint16_t kFirstNatPort = 50001;
inline constexpr uint16_t kLastNatPort = 65535;
// Ports and addresses that are looked at for one packet.
inline constexpr uint32_t kMaxPortTries = 1024;
inline constexpr uint32_t kMaxAddressTries = 16;
// Addresses that least-states compares for one packet.
inline constexpr uint32_t kMaxLoadsCompared = 1024;

// One a worker, used for one packet at a time.
class Translator final : public PoolChooser {
 public:
  // Both outlive it; `directory` may be null, and then nothing is free.
  Translator(const StateTable& states, const TranslationDirectory* directory,
             uint8_t worker, uint64_t seed)
      : states_(states),
        directory_(directory),
        worker_(worker),
        random_(seed != 0 ? seed : 1) {}

  // What is judged next.
  void Begin(const rte_mbuf& mbuf, const JudgePoint& where, Tick now) {
    mbuf_ = &mbuf;
    where_ = where;
    now_ = now;
  }
  // For the state of what was judged.
  PoolHolds* holds() { return &holds_; }
  // It has its state, or gets none.
  void End();

  bool Choose(const Generation& generation, const CompiledRule& rule,
              Direction direction, PacketInfo* packet) override;
  bool ChooseRoute(const Generation& generation, const CompiledRule& rule,
                   const PacketInfo& original, Family family,
                   PacketRoute* route) override;
  // Puts the ends that a translated parent gives into the first packet of its
  // child. Its source's port stays if it can, and has to where its address
  // does.
  bool Follow(const ExpectedEnds& after, PacketInfo* packet);

 private:
  // What an address is chosen for.
  struct Wish {
    AddressBytes source;    // of the packet as it came: for source-hash
    AddressBytes original;  // gives its host bits: for bitmask
  };
  struct ChosenAddress {
    AddressBytes address;
    uint8_t length;  // of the network that it is from
    const PoolBlock* block;  // the same
  };
  // An address of the pool for this packet: the first choice, or another one.
  bool ChooseAddress(const Generation& generation, uint16_t pool,
                     Family family, const Wish& wish, uint32_t attempt,
                     ChosenAddress* chosen);
  // The same for one end of a packet, with what the pool remembers: `use` says
  // which end it is. *bound: no other address will do for this source.
  bool ChooseEnd(const Generation& generation, const CompiledRule& rule,
                 SourceUse use, const PacketInfo& original, uint32_t attempt,
                 std::array<uint8_t, 16>* address, bool* bound);
  // Under which the source is bound to an address, in its VLAN.
  SourceKey StickyKey(const CompiledRule& rule, SourceUse use,
                      const PacketInfo& original) const;
  // The address that the source has already.
  bool FindSticky(const SourceKey& key, const PoolSpace& space,
                  PoolNode which, std::array<uint8_t, 16>* address);
  // Binds the source to *address, or writes what it has been bound to
  // meanwhile.
  bool Stick(const SourceKey& key, PoolNode which, Family family,
             std::array<uint8_t, 16>* address);
  // A flow joins its inside's mapping, whose outside *packet has as its source.
  bool JoinMapping(const CompiledRule& rule, const CompiledPool& pool,
                   const PacketInfo& original, const PacketInfo& packet);
  // The number of the address with the fewest states for its weight.
  uint64_t LeastLoaded(const PoolSpace& space, uint64_t start) const;
  bool CountLoad(PoolNode which, const Address& address);

  bool Redirect(const Generation& generation, const CompiledRule& rule,
                PacketInfo* packet);
  bool ChooseSource(const Generation& generation, const CompiledRule& rule,
                    PacketInfo* packet);
  // `behind`: an IPv4 destination, which goes behind the prefix of the source
  // that is chosen, or null.
  bool ChooseSourceAcross(const Generation& generation, uint16_t pool,
                          const Wish& wish, const AddressBytes* behind,
                          PacketInfo* packet);
  // af-to: *packet becomes one of the other family.
  bool ChooseAcross(const Generation& generation, const CompiledRule& rule,
                    PacketInfo* packet);
  // port-block: the source's number in the rule's network says all but the
  // port.
  bool ChooseInBlock(const Generation& generation, const CompiledRule& rule,
                     PacketInfo* packet);
  // A port for the packet, whose addresses are chosen; with port-block one of
  // that number's block.
  bool ChoosePort(const CompiledPool& pool, PacketInfo* packet,
                  uint32_t block = 0);
  bool IsFree(const PacketInfo& packet) const;
  // Whether the packet may have that source: it is free, and with `mapped_` the
  // mapping is made.
  bool Accepts(const PacketInfo& packet);
  uint64_t Random();

  const StateTable& states_;
  const TranslationDirectory* const directory_;
  const uint8_t worker_;
  uint64_t random_;
  const rte_mbuf* mbuf_ = nullptr;
  JudgePoint where_;
  Tick now_ = 0;
  PoolHolds holds_;
  // The inside's packet, while a port for its mapping is searched for.
  const PacketInfo* mapped_ = nullptr;
};

// Ends a packet's turn.
class TranslatorTurn {
 public:
  explicit TranslatorTurn(Translator& translator) : translator_(translator) {}
  ~TranslatorTurn() { translator_.End(); }
  TranslatorTurn(const TranslatorTurn&) = delete;
  TranslatorTurn& operator=(const TranslatorTurn&) = delete;

 private:
  Translator& translator_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TRANSLATOR_H_
