// Which systems a SYN may come from, by the fingerprints of a policy. Made once
// a policy, read by workers: no allocation, no lock.
#ifndef SLUICE_PFTABLE_ENGINE_FINGERPRINT_TABLE_H_
#define SLUICE_PFTABLE_ENGINE_FINGERPRINT_TABLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "packet/syn_signature.h"
#include "pftable/policy/fingerprint.h"

namespace sluice {

// How much of its TTL a packet may have lost on its way.
inline constexpr uint8_t kMaxTtlLost = 40;
// The window that senders count on whose MSS somebody has changed on the way.
inline constexpr uint16_t kUsualMss = 1460;

class FingerprintTable {
 public:
  // What a SYN is: the number of a set of systems with one fingerprint. 0: of
  // none.
  using Group = uint16_t;

  // `names` of the policy's fingerprints.
  explicit FingerprintTable(const OsNames& names);

  // The first fingerprint that the SYN has. Null is no SYN, and of none.
  Group Find(const SynSignature* syn) const;
  // Which of `count()` groups may be that system: as many bits, by number.
  std::vector<uint64_t> GroupsOf(const OsName& os) const;
  size_t count() const { return groups_.size(); }

 private:
  struct Signature {
    // Options, their number, "do not fragment" and the zero of a timestamp:
    // what is equal or is not. Sorted by it, then by order.
    uint64_t options = 0;
    uint16_t rest = 0;
    uint8_t ttl = 0;
    SynValue window, size, mss, scale;
    bool ipv6 = false;  // tells equal ones apart, as in pf
    Group group = 0;

    friend bool operator==(const Signature&, const Signature&) = default;
  };
  static uint16_t RestOf(uint8_t options, bool dont_fragment, bool zero) {
    return static_cast<uint16_t>(options << 2 | dont_fragment << 1 | zero);
  }
  static Signature SignatureOf(const OsNames::Entry& entry);
  static bool Fits(const Signature& signature, const SynSignature& syn);

  std::vector<Signature> signatures_;
  std::vector<std::vector<OsName>> groups_;  // the first is of none
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_FINGERPRINT_TABLE_H_
