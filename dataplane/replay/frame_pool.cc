#include "dataplane/replay/frame_pool.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Room for a burst of the largest frames, and for answers.
constexpr uint32_t kMbufs = 1023;

}  // namespace

absl::StatusOr<std::unique_ptr<FramePool>> FramePool::Create() {
  std::string words[] = {"sluice-replay",  "--no-huge",   "--no-pci",
                         "--no-telemetry", "--no-shconf", "--log-level",
                         "lib.eal:error",  "--lcores",    "0",
                         "-m",             "64"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot start DPDK: ", rte_strerror(rte_errno)));
  }
  rte_mempool* pool = rte_pktmbuf_pool_create(
      "replay", kMbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make an mbuf pool: ", rte_strerror(rte_errno)));
  }
  return std::unique_ptr<FramePool>(new FramePool(pool));
}

FramePool::~FramePool() { rte_mempool_free(pool_); }

rte_mbuf* FramePool::Make(std::span<const uint8_t> frame) {
  rte_mbuf* head = rte_pktmbuf_alloc(pool_);
  rte_mbuf* last = head;
  while (last != nullptr) {
    const size_t count =
        std::min<size_t>(rte_pktmbuf_tailroom(last), frame.size());
    std::memcpy(rte_pktmbuf_mtod(last, void*), frame.data(), count);
    last->data_len = static_cast<uint16_t>(count);
    head->pkt_len += static_cast<uint32_t>(count);
    frame = frame.subspan(count);
    if (frame.empty()) return head;
    last->next = rte_pktmbuf_alloc(pool_);
    if (last->next != nullptr) ++head->nb_segs;
    last = last->next;
  }
  rte_pktmbuf_free(head);  // the pool ended before the frame did
  return nullptr;
}

uint32_t FramePool::InUse() const { return rte_mempool_in_use_count(pool_); }

std::span<const uint8_t> FrameBytes(const rte_mbuf& mbuf,
                                    std::vector<uint8_t>& buffer) {
  if (mbuf.next == nullptr) {
    return {rte_pktmbuf_mtod(&mbuf, const uint8_t*), mbuf.data_len};
  }
  buffer.clear();
  for (const rte_mbuf* segment = &mbuf; segment; segment = segment->next) {
    const auto* bytes = rte_pktmbuf_mtod(segment, const uint8_t*);
    buffer.insert(buffer.end(), bytes, bytes + segment->data_len);
  }
  return buffer;
}

}  // namespace sluice
