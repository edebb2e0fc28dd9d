// What rules would make of a packet's addresses and ports, for somebody who only
// asks: nothing is taken. Where a pool has one answer it is that, else its first
// address and its first port stand for what it might be. Control side.
#ifndef SLUICE_PFTABLE_ENGINE_SAMPLE_POOL_H_
#define SLUICE_PFTABLE_ENGINE_SAMPLE_POOL_H_

#include <cstdint>

#include "pftable/engine/translation.h"

namespace sluice {

class SamplePool final : public PoolChooser {
 public:
  bool Choose(const Generation& generation, const CompiledRule& rule,
              Direction direction, PacketInfo* packet) override;

  // Whether an address, or the source's port, might be another one.
  bool one_of_several() const { return one_of_several_; }

 private:
  // Of the pool's family `packet->family`; `host` gives what bitmask keeps.
  bool Pick(const Generation& generation, uint16_t pool, Family family,
            const std::array<uint8_t, 16>& host, Address* address,
            uint8_t* length);
  void PickPort(const CompiledPool& pool, PacketInfo* packet);
  bool Cross(const Generation& generation, const CompiledRule& rule,
             PacketInfo* packet);

  bool one_of_several_ = false;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_SAMPLE_POOL_H_
