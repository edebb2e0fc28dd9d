// Where neighbours are that packets are redirected to: the MAC address and the
// port of each, as it has said itself. One small table of fixed size for all
// workers, asked when the first packet of a flow goes to an address that the
// firewall has chosen; its state remembers the answer after that.
//
// Nothing is entered but what was asked for, so that nobody fills the table by
// telling of himself. What is full loses what was used longest ago. An answer
// is good for a minute and asked for again after half of it; a question is
// repeated after a second; all workers together ask 256 a second at most.
//
// Workers only, under a spinlock for a short section without a call out of it.
#ifndef SLUICE_DATAPLANE_FORWARD_NEIGHBOR_TABLE_H_
#define SLUICE_DATAPLANE_FORWARD_NEIGHBOR_TABLE_H_

#include <array>
#include <cstdint>
#include <memory>

#include "conntrack/expectation_entry.h"
#include "packet/neighbor.h"
#include "packet/vlan.h"

namespace sluice {

// Whom a question is about. Both ends of a wire are one link.
struct NeighborKey {
  Address address;
  VlanId vlan;
  uint16_t wire = 0;  // the lower number of its ports

  friend bool operator==(const NeighborKey&, const NeighborKey&) = default;
};

struct Neighbor {
  MacAddress mac{};
  uint16_t port = 0;
};

enum class NeighborAnswer : uint8_t {
  kKnown,
  kKnownAsk,  // ... and it is time to ask again
  kAsk,       // it is not, and the caller is to ask
  kWait,      // it is not, and has been asked for
};

class NeighborTable {
 public:
  static constexpr uint32_t kWays = 4;
  static constexpr uint32_t kAnswerLife = 60'000;  // ticks
  static constexpr uint32_t kFresh = 30'000;
  static constexpr uint32_t kAskInterval = 1'000;
  static constexpr uint32_t kQuestionsASecond = 256;

  // Room for kWays times a power of two.
  explicit NeighborTable(uint32_t buckets = 1024);

  // With kAsk and kKnownAsk the question counts as put.
  NeighborAnswer Find(const NeighborKey& key, Tick now, Neighbor* neighbor);
  // Whether Find() would say something else than kWait; nothing changes.
  bool HasNews(const NeighborKey& key, Tick now);
  // Somebody says that the address is there. Nothing, if nobody has asked.
  void Learn(const NeighborKey& key, const Neighbor& neighbor, Tick now);

 private:
  struct Entry {
    NeighborKey key{};  // an address of kNone: nobody
    Neighbor neighbor;
    bool known = false;
    Tick learned = 0;
    Tick asked = 0;
    Tick used = 0;
  };
  using Bucket = std::array<Entry, kWays>;

  Bucket& BucketOf(const NeighborKey& key);
  static Entry* FindIn(Bucket& bucket, const NeighborKey& key);
  // Under the lock. Whether one more question may be put now.
  bool MayAsk(Tick now);

  internal::Spinlock lock_;
  const uint32_t mask_;
  const std::unique_ptr<Bucket[]> buckets_;
  Tick second_ = 0;  // when the present one began
  uint32_t questions_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_NEIGHBOR_TABLE_H_
