// Fragments put together, and taken apart again.
//
// A datagram that was put together is one chain of segments which every other
// part of the firewall takes for a whole packet. It consists of the mbufs that
// arrived: each keeps its own headers in its headroom, so that it can be taken
// apart into fragments of the sizes in which they came, without a buffer
// and without a copy. What was done meanwhile to the headers of the whole is
// done to those of each fragment then.
//
// The head of each fragment is marked in its mbuf; a datagram so goes by rings
// from worker to worker as it is.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_FRAGMENT_H_
#define SLUICE_PACKET_FRAGMENT_H_

#include <cstdint>
#include <span>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// The mark, in mbuf::ol_flags, of the first segment of each fragment that a
// datagram was put together of: the last of the bits that DPDK leaves to
// applications, and it gives them out from the first on.
inline constexpr uint64_t kFragmentMark = uint64_t{1} << 40;

// Brings a fragment that was parsed (PacketFlag kFragment) into the form that
// the functions below take: nothing behind its IP packet, and all headers in
// the first segment. False: its first buffer has no room for them.
bool TidyFragment(rte_mbuf& mbuf, const PacketInfo& info);

// Of tidy ones, whose headers have `header` bytes.
// Takes away the first or the last `bytes` of its data; some are left.
void CutFront(rte_mbuf& mbuf, uint32_t header, uint32_t bytes);
// Whether both have the same `length` bytes of data.
bool SameData(const rte_mbuf& a, uint32_t a_header, const rte_mbuf& b,
              uint32_t b_header, uint32_t length);

// A fragment on its way into a datagram. Offsets count from the frame's first
// byte.
struct FragmentPiece {
  rte_mbuf* mbuf = nullptr;
  uint16_t header = 0;  // bytes before its data
  uint16_t l3_offset = 0;
  // IPv6: where the byte is that says that a fragment header follows.
  uint16_t name_offset = 0;
};

// Puts together a datagram of `family` from its tidy fragments, of which the
// first has offset 0 and each begins where the one before it ends; two at
// least. `total` is how many bytes of data they have; with the first one's
// headers no more than 65535. Calls next() for one after the other; it returns
// a piece without mbuf at the end. The first one's mbuf is the whole.
template <typename Next>
rte_mbuf* JoinFragments(Family family, uint32_t total, Next next);

// How many fragments the packet was put together of; 1 for any other.
uint32_t CountFragments(const rte_mbuf& mbuf);

// How many bytes the IP packet of the largest of them has when it is taken
// apart; of any other packet `whole`.
uint32_t LargestFragment(const rte_mbuf& mbuf, uint32_t whole);

// Takes a datagram apart. An IPv4 packet that is itself a fragment, put into
// this form, leaves as smaller ones of the same datagram.
class FragmentSplitter {
 public:
  // `mbuf` bears the mark.
  explicit FragmentSplitter(rte_mbuf* mbuf);
  // One fragment after the other, from the first on; null at the end. All are
  // to be taken.
  rte_mbuf* Next();

 private:
  rte_mbuf* rest_;
};

// Parts of JoinFragments().
void BeginDatagram(Family family, uint32_t total, const FragmentPiece& first);
void AppendFragment(rte_mbuf& whole, rte_mbuf** last,
                    const FragmentPiece& piece);

template <typename Next>
rte_mbuf* JoinFragments(Family family, uint32_t total, Next next) {
  const FragmentPiece first = next();
  BeginDatagram(family, total, first);
  rte_mbuf* last = first.mbuf;
  for (;;) {
    const FragmentPiece piece = next();
    if (piece.mbuf == nullptr) break;
    AppendFragment(*first.mbuf, &last, piece);
  }
  return first.mbuf;
}

}  // namespace sluice

#endif  // SLUICE_PACKET_FRAGMENT_H_
