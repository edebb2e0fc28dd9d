// mbufs over plain memory, for tests that need no pool and no EAL.
#ifndef SLUICE_TESTS_SUPPORT_PLAIN_MBUF_H_
#define SLUICE_TESTS_SUPPORT_PLAIN_MBUF_H_

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace sluice {

// One packet over segments of the given lengths (the last one takes the
// rest). Each segment's data lies in a block of exactly its size, so that a
// sanitizer sees any read beyond it. `tailroom` bytes can be appended to the
// last segment.
class PlainMbuf {
 public:
  explicit PlainMbuf(std::span<const uint8_t> data,
                     std::span<const uint32_t> lengths = {},
                     uint32_t tailroom = 0) {
    size_t at = 0;
    for (const uint32_t length : lengths) {
      if (length == 0 || at + length >= data.size()) break;
      AddSegment(data.subspan(at, length), 0);
      at += length;
    }
    AddSegment(data.subspan(at), tailroom);
    rte_mbuf& head = *segments_.front()->mbuf;
    head.pkt_len = static_cast<uint32_t>(data.size());
    head.nb_segs = static_cast<uint16_t>(segments_.size());
    for (size_t i = 0; i + 1 < segments_.size(); ++i) {
      segments_[i]->mbuf->next = segments_[i + 1]->mbuf.get();
    }
  }

  rte_mbuf* get() { return segments_.front()->mbuf.get(); }
  const rte_mbuf& operator*() const { return *segments_.front()->mbuf; }

  std::vector<uint8_t> bytes() const {
    std::vector<uint8_t> all;
    for (const rte_mbuf* m = segments_.front()->mbuf.get(); m; m = m->next) {
      const auto* data = rte_pktmbuf_mtod(m, const uint8_t*);
      all.insert(all.end(), data, data + m->data_len);
    }
    return all;
  }

 private:
  struct Segment {
    std::unique_ptr<uint8_t[]> memory;
    std::unique_ptr<rte_mbuf> mbuf;
  };

  void AddSegment(std::span<const uint8_t> data, uint32_t tailroom) {
    auto segment = std::make_unique<Segment>();
    const size_t size = data.size() + tailroom;
    segment->memory = std::make_unique<uint8_t[]>(size);
    if (!data.empty()) {
      std::memcpy(segment->memory.get(), data.data(), data.size());
    }
    segment->mbuf = std::make_unique<rte_mbuf>();
    std::memset(static_cast<void*>(segment->mbuf.get()), 0, sizeof(rte_mbuf));
    segment->mbuf->buf_addr = segment->memory.get();
    segment->mbuf->buf_len = static_cast<uint16_t>(size);
    segment->mbuf->data_len = static_cast<uint16_t>(data.size());
    segment->mbuf->nb_segs = 1;
    segments_.push_back(std::move(segment));
  }

  std::vector<std::unique_ptr<Segment>> segments_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_PLAIN_MBUF_H_
