// Any bytes as a file of fingerprints: no crash, bounded time and memory; what
// is read prints as a line that reads the same, every name of it is found under
// the name by which it is printed, and every fingerprint without free choice is
// found by the SYN that it describes, unless an earlier one has it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "pftable/engine/fingerprint_table.h"
#include "pftable/policy/fingerprint.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(std::string_view text) {
  const FingerprintFile file = ParseFingerprints(text);
  Require(file.fingerprints.size() <= kMaxFingerprintLines);
  if (!file.usable()) {
    Require(file.fingerprints.empty());
    return;
  }
  for (const Fingerprint& fingerprint : file.fingerprints) {
    Fingerprint again;
    std::string wrong;
    Require(ParseFingerprint(PrintFingerprint(fingerprint), &again, &wrong));
    Require(again == fingerprint);
  }
  const OsNames names(file.fingerprints);
  Require(names.complete() && names.entries().size() <= kMaxFingerprints);
  Require(ListOsNames(names).size() >= names.classes().size());
  // Of a long file some are enough.
  size_t left = 64;
  const FingerprintTable table(names);
  for (const OsNames::Entry& entry : names.entries()) {
    if (left-- == 0) break;
    // A rule names the version of a class up to the first blank.
    const std::string printed = names.Print(entry.name);
    const bool blank =
        entry.fingerprint->class_name.find(' ') != std::string::npos;
    Require(blank || names.Find(printed).has_value());
    const Fingerprint& f = *entry.fingerprint;
    const auto exact = [](const SynValue& v) {
      return v.kind == SynValue::Kind::kExact ||
             v.kind == SynValue::Kind::kAny;
    };
    if (entry.ipv6 || !exact(f.window) || !exact(f.size) || !exact(f.mss) ||
        !exact(f.scale)) {
      continue;
    }
    const SynSignature syn = {.options = f.options,
                              .option_count = f.option_count,
                              .ttl = f.ttl,
                              .scale = static_cast<uint8_t>(f.scale.value),
                              .dont_fragment = f.dont_fragment,
                              .timestamp_is_zero = f.timestamp_is_zero,
                              .window = f.window.value,
                              .size = f.size.value,
                              .mss = f.mss.value};
    Require(table.Find(&syn) != 0);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
