// Digests of canonical text: identity of rules, the ruleset's checksum.
#ifndef SLUICE_PFTABLE_POLICY_DIGEST_H_
#define SLUICE_PFTABLE_POLICY_DIGEST_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// MD5 (RFC 1321): a name for a text, as in pf; not a defence.
std::array<uint8_t, 16> Md5(std::string_view text);
// 32 lower-case hexadecimal digits.
std::string Md5Hex(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_DIGEST_H_
