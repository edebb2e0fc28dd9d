// Mbufs for tests: an EAL without hugepages, PCI or root, and one pool.
#ifndef SLUICE_TESTS_SUPPORT_MBUF_POOL_H_
#define SLUICE_TESTS_SUPPORT_MBUF_POOL_H_

#include <cstdint>
#include <span>
#include <vector>

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

// Starts the EAL once in this process (--no-huge --no-pci --no-shconf, one
// lcore, `megabytes` of memory); later calls do nothing. Aborts the program
// with EAL's message when it fails.
void StartEalForTests(uint32_t megabytes = 256);

// A pool of its own for the owner's life. Not thread-safe.
class MbufPool {
 public:
  // `count` mbufs with 2048 bytes of data room behind the usual headroom.
  // Starts the EAL if nobody did.
  explicit MbufPool(uint32_t count = 4095);
  ~MbufPool();
  MbufPool(const MbufPool&) = delete;
  MbufPool& operator=(const MbufPool&) = delete;

  rte_mempool* get() const { return pool_; }

  // A copy of the bytes in as few segments as needed or, with a
  // `segment_size`, in segments of that many bytes. Aborts when the pool is
  // empty.
  rte_mbuf* Make(std::span<const uint8_t> bytes, uint32_t segment_size = 0);

  // Mbufs that are out, by the pool's own count.
  uint32_t InUse() const;

 private:
  rte_mempool* pool_;
};

// The bytes of all segments.
std::vector<uint8_t> BytesOf(const rte_mbuf* mbuf);

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_MBUF_POOL_H_
