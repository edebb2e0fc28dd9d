#include "pftable/policy/digest.h"

#include <openssl/evp.h>

#include <memory>
#include <new>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace sluice {
namespace {

// Looked up once, since that takes longer than the digest of a rule. In a
// library context of its own: a machine whose openssl.cnf allows nothing but
// FIPS has no MD5 in the common one, and names must be the same on all.
const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = [] {
    OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
    const EVP_MD* const fetched =
        library == nullptr ? nullptr : EVP_MD_fetch(library, "MD5", nullptr);
    if (fetched == nullptr) {
      OSSL_LIB_CTX_free(library);
      throw std::bad_alloc();
    }
    return fetched;
  }();
  return algorithm;
}

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Context NewContext() {
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (context == nullptr) throw std::bad_alloc();
  return context;
}

}  // namespace

std::array<uint8_t, 16> Md5(std::string_view text) {
  // Kept for the next text of this thread: a load digests every rule.
  thread_local const Context context = NewContext();
  std::array<uint8_t, 16> digest;
  // Nothing but a lack of memory makes it fail.
  if (EVP_DigestInit_ex2(context.get(), Algorithm(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  return digest;
}

std::string Md5Hex(std::string_view text) {
  const std::array<uint8_t, 16> digest = Md5(text);
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace sluice
