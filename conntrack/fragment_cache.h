// Fragments that wait for the rest of their datagrams. One cache a worker, used
// by that worker alone; all memory is taken when it is built.
//
// What overlaps is decided as pf decides it. IPv4: of two fragments with the
// same bytes the one that begins earlier keeps its end, whichever came first;
// of two that begin at the same byte, the older one; one that is covered whole
// goes. IPv6 (RFC 5722): the whole datagram goes, and what still comes of it; an
// exact copy of a fragment is dropped alone (RFC 8200, section 4.5).
//
// Bounds. No more fragments than the filter allows and no more segments than
// there is room for; 64 fragments in each 4 KiB of a datagram, as in pf. A
// source (sources share a place when their hashes do) has at most an eighth of
// the room: what it sends beyond that costs it its own oldest datagram. When all
// is full, the oldest of all goes.
//
// Every mbuf that is held leaves as part of a datagram, or is handed to the
// owner to be dropped.
#ifndef SLUICE_CONNTRACK_FRAGMENT_CACHE_H_
#define SLUICE_CONNTRACK_FRAGMENT_CACHE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "conntrack/flow_key.h"
#include "packet/counter.h"
#include "packet/packet.h"
#include "packet/vlan.h"

struct rte_mbuf;

namespace sluice {

// Where a fragment was met: datagrams of different places are never mixed.
struct FragmentPlace {
  uint16_t port = 0;    // of arrival; kept in the mbuf
  uint16_t filter = 0;  // that wants them put together
  uint32_t limit = 0;     // fragments of all datagrams, of this worker
  uint32_t life = 60000;  // ticks from a datagram's first fragment on
};

struct FragmentResult {
  enum class Kind : uint8_t { kHeld, kWhole, kDropped } kind = Kind::kHeld;
  rte_mbuf* whole = nullptr;  // kWhole
  DropReason reason = DropReason::kFragment;  // kDropped: the caller's still
};

struct FragmentStatistics {
  Counter held;        // now, fragments
  Counter datagrams;   // put together
  Counter expired;     // fragments dropped because the rest did not come
  Counter displaced;   // because there was no room for newer ones
  Counter overlapping;  // because of their offsets

  struct Field {
    std::string_view name;
    Counter FragmentStatistics::*value;
    bool gauge = false;
  };
  static constexpr std::array<Field, 5> Fields() {
    using S = FragmentStatistics;
    return {{{"held", &S::held, true},
             {"reassembled", &S::datagrams},
             {"expired", &S::expired},
             {"displaced", &S::displaced},
             {"overlapping", &S::overlapping}}};
  }
};

class FragmentCache {
 public:
  // Drops a fragment that was held, with `context`.
  using DropFunction = void (*)(void* context, rte_mbuf* mbuf);

  // Room for `capacity` fragments; 0: none, everything is dropped.
  FragmentCache(uint32_t capacity, const HashSecret& secret,
                DropFunction drop, void* context);
  ~FragmentCache();
  FragmentCache(const FragmentCache&) = delete;
  FragmentCache& operator=(const FragmentCache&) = delete;

  // Takes a parsed fragment, unless it is to be dropped.
  FragmentResult Add(rte_mbuf* mbuf, const PacketInfo& info,
                     const FragmentPlace& place, Tick now);
  // Looks at no more than `budget` datagrams, drops those that are too old.
  void Expire(Tick now, uint32_t budget);
  // Drops no more than `budget` datagrams, whatever their age. True: none is
  // left.
  bool Clear(uint32_t budget);
  // Drops all datagrams of whose places gone(port, filter) says that they are
  // no more. Looks at all.
  template <typename Gone>
  void ClearGone(Gone gone) {
    for (uint32_t i = 0; i < capacity_ && datagrams_in_use_ > 0; ++i) {
      const Datagram& d = datagrams_[i];
      if (d.in_use && gone(d.key.port, d.key.filter)) {
        Evict(i, statistics_.expired);
      }
    }
  }

  // Mbufs of packets that are held.
  uint32_t held() const { return entries_in_use_; }
  // Mbufs that they consist of.
  uint32_t segments() const { return segments_in_use_; }
  bool empty() const { return datagrams_in_use_ == 0; }
  uint32_t capacity() const { return capacity_; }
  const FragmentStatistics& statistics() const { return statistics_; }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kSources = 1024;
  static constexpr uint32_t kParts = 16;  // of a datagram's 64 KiB
  static constexpr uint8_t kMostInPart = 64;

  struct Key {
    std::array<uint8_t, 16> source;
    std::array<uint8_t, 16> destination;
    uint32_t id;
    VlanId vlan;
    uint16_t port;
    uint16_t filter;
    uint8_t proto;  // IPv4
    Family family;
    uint16_t zero;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Entry {
    rte_mbuf* mbuf;
    uint32_t next;  // of the datagram, ascending; or the next free one
    uint16_t offset;
    uint16_t length;
    uint16_t header;
    uint16_t name_offset;
    uint8_t l3_offset;
    bool more;
  };
  struct Datagram {
    Key key;
    uint32_t first;
    uint32_t last;
    uint32_t bytes;     // of all its fragments
    Tick made;
    uint32_t life;
    uint32_t chain;     // in its bucket; or the next free one
    uint32_t bucket;
    uint32_t source;
    // Of all, and of its source: older and newer ones.
    uint32_t older, newer;
    uint32_t source_older, source_newer;
    bool in_use;
    bool dead;  // IPv6: its fragments overlapped; what comes of it is dropped
    std::array<uint8_t, kParts> in_part;
  };
  struct Source {
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
    uint32_t segments = 0;
  };

  Key KeyOf(const rte_mbuf& mbuf, const PacketInfo& info,
            const FragmentPlace& place) const;
  uint64_t HashKey(const Key& key) const;
  uint32_t Find(const Key& key, uint32_t bucket) const;
  uint32_t Make(const Key& key, uint32_t bucket, uint32_t source, Tick now,
                uint32_t life);
  // Makes room for one more of so many segments. False: there is none.
  bool MakeRoom(uint32_t segments, uint32_t source, uint32_t limit,
                uint32_t spared);
  FragmentResult Insert(uint32_t datagram, const Entry& fragment);
  rte_mbuf* Join(uint32_t datagram, DropReason* reason);
  void Charge(uint32_t source, rte_mbuf* mbuf);
  void Refund(uint32_t source, rte_mbuf* mbuf);
  // Frees an entry whose mbuf is somebody else's now.
  void FreeEntry(uint32_t index);
  void DropEntry(uint32_t index, uint32_t source, Counter& counter);
  void DropEntries(Datagram& datagram, Counter& counter);
  void Free(uint32_t datagram);
  void Evict(uint32_t datagram, Counter& counter);

  const uint32_t capacity_;
  const HashSecret secret_;
  const DropFunction drop_;
  void* const context_;
  std::vector<Entry> entries_;
  std::vector<Datagram> datagrams_;
  std::vector<uint32_t> buckets_;
  std::array<Source, kSources> sources_;
  uint32_t free_entry_ = kNone;
  uint32_t free_datagram_ = kNone;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  uint32_t entries_in_use_ = 0;
  uint32_t segments_in_use_ = 0;
  uint32_t datagrams_in_use_ = 0;
  uint32_t sweep_ = 0;
  FragmentStatistics statistics_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FRAGMENT_CACHE_H_
