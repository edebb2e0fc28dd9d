// A frame in plain memory as one mbuf, for those who read packets beside the
// packet path: no pool, nothing of it may be freed or changed in length.
#ifndef SLUICE_PACKET_FRAME_VIEW_H_
#define SLUICE_PACKET_FRAME_VIEW_H_

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

namespace sluice {

class FrameView {
 public:
  static constexpr size_t kMostBytes = 65535;

  // `bytes` outlives it, kMostBytes at most.
  explicit FrameView(std::span<uint8_t> bytes) {
    mbuf_.buf_addr = bytes.data();
    mbuf_.buf_len = static_cast<uint16_t>(bytes.size());
    mbuf_.data_len = static_cast<uint16_t>(bytes.size());
    mbuf_.pkt_len = static_cast<uint32_t>(bytes.size());
    mbuf_.nb_segs = 1;
  }
  FrameView(const FrameView&) = delete;
  FrameView& operator=(const FrameView&) = delete;

  const rte_mbuf& mbuf() const { return mbuf_; }

 private:
  rte_mbuf mbuf_{};
};

}  // namespace sluice

#endif  // SLUICE_PACKET_FRAME_VIEW_H_
