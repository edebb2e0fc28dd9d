// Chooses what a packet's addresses and ports become: the methods of pools, and
// ports that nobody has for that peer.
//
// Of source ports those are tried first whose answers come to this worker by
// themselves (TranslationDirectory::IsHome). The search begins at a random port
// and takes a bounded number of steps, however full the range is.
#ifndef SLUICE_CONNTRACK_TRANSLATOR_H_
#define SLUICE_CONNTRACK_TRANSLATOR_H_

#include <cstdint>

#include "conntrack/flow_key.h"
#include "packet/embedded_address.h"
#include "pftable/engine/translation.h"

struct rte_mbuf;

namespace sluice {

class StateTable;
class TranslationDirectory;

// pf's ports for nat-to without `port`.
inline constexpr uint16_t kFirstNatPort = 50001;
inline constexpr uint16_t kLastNatPort = 65535;
// Ports and addresses that are looked at for one packet.
inline constexpr uint32_t kMaxPortTries = 1024;
inline constexpr uint32_t kMaxAddressTries = 16;

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
  void Begin(const rte_mbuf& mbuf, const JudgePoint& where) {
    mbuf_ = &mbuf;
    where_ = where;
  }

  bool Choose(const Generation& generation, const CompiledRule& rule,
              Direction direction, PacketInfo* packet) override;

 private:
  // What an address is chosen for.
  struct Wish {
    AddressBytes source;    // of the packet as it came: for source-hash
    AddressBytes original;  // gives its host bits: for bitmask
  };
  struct ChosenAddress {
    AddressBytes address;
    uint8_t length;  // of the network that it is from
  };
  // An address of the pool for this packet: the first choice, or another one.
  bool ChooseAddress(const Generation& generation, uint16_t pool,
                     Family family, const Wish& wish, uint32_t attempt,
                     ChosenAddress* chosen);
  bool Redirect(const Generation& generation, uint16_t pool,
                PacketInfo* packet);
  // `behind`: an IPv4 destination, which goes behind the prefix of the source
  // that is chosen, or null.
  bool ChooseSource(const Generation& generation, uint16_t pool,
                    const Wish& wish, const AddressBytes* behind,
                    PacketInfo* packet);
  // af-to: *packet becomes one of the other family.
  bool ChooseAcross(const Generation& generation, const CompiledRule& rule,
                    PacketInfo* packet);
  // A port for the packet, whose addresses are chosen.
  bool ChoosePort(const CompiledPool& pool, PacketInfo* packet);
  bool IsFree(const PacketInfo& packet) const;
  uint64_t Random();

  const StateTable& states_;
  const TranslationDirectory* const directory_;
  const uint8_t worker_;
  uint64_t random_;
  const rte_mbuf* mbuf_ = nullptr;
  JudgePoint where_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TRANSLATOR_H_
