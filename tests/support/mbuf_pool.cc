#include "tests/support/mbuf_pool.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sluice {
namespace {

constexpr uint32_t kDataRoom = 2048;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "tests: %s: %s\n", what, rte_strerror(rte_errno));
  std::abort();
}

}  // namespace

void StartEalForTests(uint32_t megabytes) {
  static bool started = false;
  if (started) return;
  started = true;
  std::string words[] = {"tests",          "--no-huge", "--no-pci",
                         "--no-telemetry", "--no-shconf",
                         "--log-level",    "lib.eal:error",
                         "--lcores",       "0",
                         "-m",             std::to_string(megabytes)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
    Die("cannot start the EAL");
  }
}

MbufPool::MbufPool(uint32_t count) {
  StartEalForTests();
  static int number = 0;
  const std::string name = "test" + std::to_string(number++);
  pool_ = rte_pktmbuf_pool_create(name.c_str(), count, 0, 0,
                                  RTE_PKTMBUF_HEADROOM + kDataRoom,
                                  SOCKET_ID_ANY);
  if (pool_ == nullptr) Die("cannot make an mbuf pool");
}

MbufPool::~MbufPool() { rte_mempool_free(pool_); }

rte_mbuf* MbufPool::Make(std::span<const uint8_t> bytes,
                         uint32_t segment_size) {
  if (segment_size == 0 || segment_size > kDataRoom) segment_size = kDataRoom;
  rte_mbuf* head = nullptr;
  rte_mbuf* last = nullptr;
  do {
    rte_mbuf* segment = rte_pktmbuf_alloc(pool_);
    if (segment == nullptr) Die("the mbuf pool is empty");
    const size_t count = std::min<size_t>(segment_size, bytes.size());
    if (count > 0) {
      std::memcpy(rte_pktmbuf_append(segment, static_cast<uint16_t>(count)),
                  bytes.data(), count);
    }
    bytes = bytes.subspan(count);
    if (head == nullptr) {
      head = segment;
    } else {
      last->next = segment;
      ++head->nb_segs;
      head->pkt_len += segment->data_len;
    }
    last = segment;
  } while (!bytes.empty());
  return head;
}

uint32_t MbufPool::InUse() const { return rte_mempool_in_use_count(pool_); }

std::vector<uint8_t> BytesOf(const rte_mbuf* mbuf) {
  std::vector<uint8_t> bytes;
  for (; mbuf != nullptr; mbuf = mbuf->next) {
    const auto* first = rte_pktmbuf_mtod(mbuf, const uint8_t*);
    bytes.insert(bytes.end(), first, first + mbuf->data_len);
  }
  return bytes;
}

}  // namespace sluice
