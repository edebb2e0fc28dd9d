// The digest that ends a snapshot.
#ifndef SLUICE_RESTORE_SNAPSHOT_DIGEST_H_
#define SLUICE_RESTORE_SNAPSHOT_DIGEST_H_

#include <array>
#include <cstdint>
#include <span>

#include "restore/snapshot_format.h"

struct evp_md_ctx_st;  // OpenSSL's

namespace sluice {

using SnapshotDigest = std::array<uint8_t, kDigestBytes>;

// SHA-256 (FIPS 180-4).
SnapshotDigest DigestOf(std::span<const uint8_t> bytes);

// The same of bytes that come in pieces.
class SnapshotHasher {
 public:
  SnapshotHasher();
  ~SnapshotHasher();
  SnapshotHasher(const SnapshotHasher&) = delete;
  SnapshotHasher& operator=(const SnapshotHasher&) = delete;

  void Add(std::span<const uint8_t> bytes);
  // Once, at the end.
  SnapshotDigest Finish();

 private:
  evp_md_ctx_st* const context_;
};

// In a time that does not depend on where they differ.
bool IsSameDigest(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_DIGEST_H_
