// Brings each packet to the worker that owns its flow, or to the one that
// stands in for that.
#ifndef SLUICE_DATAPLANE_WORKERS_STEERER_H_
#define SLUICE_DATAPLANE_WORKERS_STEERER_H_

#include <array>
#include <cstdint>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/round_context.h"
#include "packet/packet.h"
#include "packet/parse.h"

namespace sluice {

class BurstJudge;
struct Plane;
class Transmitter;
struct WorkerTotals;

// One a worker; of no use where there is only one.
class Steerer {
 public:
  // All outlive it.
  Steerer(uint16_t worker, const ParseOptions& parse, Plane* plane,
          const RoundContext* round, BurstJudge* judge,
          Transmitter* transmitter, WorkerTotals* totals)
      : worker_(worker),
        parse_(parse),
        plane_(*plane),
        round_(*round),
        judge_(*judge),
        transmitter_(*transmitter),
        totals_(*totals) {}
  Steerer(const Steerer&) = delete;
  Steerer& operator=(const Steerer&) = delete;

  // Leaves in a parsed burst that has arrived at `port` what is this worker's,
  // in order; hands over what is another's, and has packets judged that it
  // stands in for. Whoever gets them sees `mark` beside the port.
  void Steer(uint16_t port, PacketBurst& burst, uint16_t mark = 0);
  // Has packets judged that another worker has handed over, with `burst` as
  // room for them. Returns how many.
  uint32_t Receive(uint16_t from, PacketBurst& burst);

 private:
  // The worker of a packet that is a flow's answer after a translation, and
  // does not find it by its hash; else that of the hash.
  uint16_t OwnerOf(uint16_t port, const rte_mbuf& mbuf,
                   const PacketInfo& info);

  const uint16_t worker_;
  const ParseOptions parse_;
  Plane& plane_;
  const RoundContext& round_;
  BurstJudge& judge_;
  Transmitter& transmitter_;
  WorkerTotals& totals_;
  PacketBurst orphans_;
  // By owner, packets of the burst that are not this worker's.
  std::array<std::array<rte_mbuf*, kMaxBurst>, kMaxWorkers> foreign_;
  std::array<uint8_t, kMaxWorkers> foreign_count_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_STEERER_H_
