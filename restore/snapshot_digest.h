// The digest that ends a snapshot.
#ifndef SLUICE_RESTORE_SNAPSHOT_DIGEST_H_
#define SLUICE_RESTORE_SNAPSHOT_DIGEST_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "restore/snapshot_format.h"

namespace sluice {

using SnapshotDigest = std::array<uint8_t, kDigestBytes>;

// SHA-256 (FIPS 180-4), or with a key HMAC-SHA-256 (RFC 2104).
SnapshotDigest DigestOf(std::span<const uint8_t> bytes, std::string_view key);

// In a time that does not depend on where they differ.
bool IsSameDigest(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_DIGEST_H_
