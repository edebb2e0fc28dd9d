// Chooses from pools for packets that are only asked about: what a worker would
// choose where only one answer is possible, else one of those that are.
#ifndef SLUICE_PFTABLE_ENGINE_EXPLAIN_POOL_H_
#define SLUICE_PFTABLE_ENGINE_EXPLAIN_POOL_H_

#include "packet/packet.h"
#include "pftable/engine/translation.h"

namespace sluice {

// Control side. It takes nothing: no address, no port, no turn.
class ExplainPool final : public PoolChooser {
 public:
  bool Choose(const Generation& generation, const CompiledRule& rule,
              Direction direction, PacketInfo* packet) override;
  bool ChooseRoute(const Generation& generation, const CompiledRule& rule,
                   const PacketInfo& original, Family family,
                   PacketRoute* route) override;
  // Whether another address, or another source port, could have come out.
  bool guessed_address() const { return guessed_address_; }
  bool guessed_port() const { return guessed_port_; }

 private:
  struct Chosen {
    std::array<uint8_t, 16> address{};
    uint8_t length = 0;  // of the network that it is from
  };
  // `original`: what gives its host bits.
  bool Address(const Generation& generation, uint16_t pool, Family family,
               const std::array<uint8_t, 16>& original, Chosen* chosen);
  bool Across(const Generation& generation, const CompiledRule& rule,
              PacketInfo* packet);
  void SourcePort(const CompiledPool& pool, PacketInfo* packet);

  bool guessed_address_ = false;
  bool guessed_port_ = false;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_EXPLAIN_POOL_H_
