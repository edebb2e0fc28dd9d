// Fingerprints of operating systems: what the SYNs of each look like, in the
// form of pf.os(5), one a line,
//
//   window:ttl:df:size:options:class:version:subtype:description
//
// Both families go by the same lines: the IPv6 packet is 20 bytes longer.
#ifndef SLUICE_PFTABLE_POLICY_FINGERPRINT_H_
#define SLUICE_PFTABLE_POLICY_FINGERPRINT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// A number of a SYN, or what it has to be like.
struct SynValue {
  enum class Kind : uint8_t {
    kExact,
    kMultiple,  // "%5": of the value
    kAny,       // "*"
    kOfMss,     // "S4": so many times the MSS; the window alone
    kOfMtu,     // "T4": ... the MSS and 40 bytes
  };
  Kind kind = Kind::kExact;
  uint16_t value = 0;

  friend bool operator==(const SynValue&, const SynValue&) = default;
};

struct Fingerprint {
  SynValue window;
  uint8_t ttl = 0;  // of the packet when it was sent
  bool dont_fragment = false;
  SynValue size;
  uint64_t options = 0;  // as SynSignature has them
  uint8_t option_count = 0;
  SynValue mss = {.kind = SynValue::Kind::kAny, .value = 0};
  SynValue scale = {.kind = SynValue::Kind::kAny, .value = 0};
  bool timestamp_is_zero = false;
  bool is_generic = false;  // "@": what several systems have
  bool no_detail = false;   // "*": not more than the class is known
  std::string class_name;
  std::string version;  // may be a range, "2.0-2.4"
  std::string subtype;

  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

inline constexpr size_t kMaxFingerprintFile = 1 << 20;  // bytes
inline constexpr size_t kMaxFingerprintLines = 8192;
// Ranges of versions written out.
inline constexpr size_t kMaxFingerprints = 32768;
inline constexpr size_t kMaxOsName = 31;  // of a class, version or subtype

// A line without its comment, not empty. False: *wrong says what is wrong.
bool ParseFingerprint(std::string_view line, Fingerprint* fingerprint,
                      std::string* wrong);
// The line that reads as that.
std::string PrintFingerprint(const Fingerprint& fingerprint);

// A file's worth. Lines that cannot be read are left out and told.
struct FingerprintFile {
  struct Mistake {
    uint32_t line = 0;  // from 1; 0: of the whole file, of which nothing is used
    std::string message;
  };
  std::vector<Fingerprint> fingerprints;
  std::vector<Mistake> mistakes;  // the first hundred

  bool usable() const { return mistakes.empty() || mistakes[0].line != 0; }
};
FingerprintFile ParseFingerprints(std::string_view text);

// What there is where no ruleset names a file: a few systems of today, which
// is also installed as a file (configs/sluice.os).
std::string_view DefaultFingerprintText();
const std::vector<Fingerprint>& DefaultFingerprints();

// A name of the list, by number; 0: any.
struct OsName {
  uint16_t class_number = 0;
  uint16_t version = 0;
  uint16_t subtype = 0;
  bool unknown = false;  // "unknown": no fingerprint is like the packet

  // Whether this, of a rule, is also `exact`, of a fingerprint.
  bool Covers(const OsName& exact) const {
    return class_number == exact.class_number &&
           (version == 0 || version == exact.version) &&
           (subtype == 0 || subtype == exact.subtype);
  }
  friend bool operator==(const OsName&, const OsName&) = default;
};

// The classes, versions and subtypes of a list, in the order in which they
// come.
class OsNames {
 public:
  struct Name {
    std::string text;
    std::vector<Name> below;
  };
  // An entry of the list with its versions written out, as pf's kernel has it:
  // each twice, for IPv4 and then for IPv6.
  struct Entry {
    const Fingerprint* fingerprint;
    bool ipv6;
    OsName name;
  };

  // `fingerprints` outlives the entries. Those above kMaxFingerprints are lost.
  explicit OsNames(const std::vector<Fingerprint>& fingerprints);

  const std::vector<Entry>& entries() const { return entries_; }
  // By number, from 1.
  const std::vector<Name>& classes() const { return classes_; }
  bool complete() const { return complete_; }
  // As a rule says it: "Linux", "Linux 2.4", "linux 2.4.20", "Windows XP SP1".
  std::optional<OsName> Find(std::string_view text) const;
  // As pfctl prints it.
  std::string Print(const OsName& name) const;

 private:
  void Add(const Fingerprint& fingerprint, bool ipv6,
           const std::string& version, const std::string& subtype,
           bool expand_version, bool expand_subtype);

  std::vector<Entry> entries_;
  std::vector<Name> classes_;
  bool complete_ = true;
};

// A line of `-s osfp`: a class, a version of it, a subtype of that.
struct OsRow {
  std::string class_name;
  std::string version;
  std::string subtype;

  friend bool operator==(const OsRow&, const OsRow&) = default;
};
// In alphabetical order, each name before those below it.
std::vector<OsRow> ListOsNames(const OsNames& names);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_FINGERPRINT_H_
