#include "restore/snapshot_digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdlib>

namespace sluice {

SnapshotDigest DigestOf(std::span<const uint8_t> bytes) {
  SnapshotDigest digest;
  unsigned int length = 0;
  const bool done = EVP_Digest(bytes.data(), bytes.size(), digest.data(),
                               &length, EVP_sha256(), nullptr) == 1;
  // SHA-256 is always there; without it nothing can be told good from bad.
  if (!done || length != digest.size()) std::abort();
  return digest;
}

bool IsSameDigest(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sluice
