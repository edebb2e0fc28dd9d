#include "restore/snapshot_digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <new>

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

SnapshotHasher::SnapshotHasher() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  if (EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) != 1) std::abort();
}

SnapshotHasher::~SnapshotHasher() { EVP_MD_CTX_free(context_); }

void SnapshotHasher::Add(std::span<const uint8_t> bytes) {
  if (EVP_DigestUpdate(context_, bytes.data(), bytes.size()) != 1) {
    std::abort();
  }
}

SnapshotDigest SnapshotHasher::Finish() {
  SnapshotDigest digest;
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(context_, digest.data(), &length) != 1 ||
      length != digest.size()) {
    std::abort();
  }
  return digest;
}

bool IsSameDigest(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sluice
