// `set fingerprints`: a part of SetParser.
#include <string>
#include <utility>

#include "pftable/language/parse_options.h"
#include "pftable/policy/fingerprint.h"

namespace sluice {
namespace {

constexpr size_t kMaxPathText = 1023;
constexpr size_t kMaxLine = 1023;

}  // namespace

// As pfctl, which leaves lines out that it cannot read, and says so.
bool SetParser::ParseSetFingerprints(SourcePlace place) {
  std::string path;
  const SourcePlace at = in_.token().place;
  if (!in_.TakeName("a file name", path, kMaxPathText)) return false;
  Policy& policy = draft_.policy();
  policy.options.fingerprints_file = path;
  Given(place, "fingerprints \"" + path + "\"");
  // A snapshot has what was in the file instead of it.
  if (draft_.input().unnamed_by_number) {
    policy.fingerprints.emplace();
    return true;
  }
  std::string text;
  if (!files_.Read(path, at, text)) return false;
  FingerprintFile file = ParseFingerprints(text);
  for (const FingerprintFile::Mistake& mistake : file.mistakes) {
    if (mistake.line == 0) {
      return in_.Error(at, "\"" + path + "\": " + mistake.message);
    }
    in_.Warning(at, "\"" + path + "\" line " + std::to_string(mistake.line) +
                        " is left out: " + mistake.message);
  }
  policy.fingerprints = std::move(file.fingerprints);
  return true;
}

// One of them, in a snapshot.
bool SetParser::ParseSetFingerprint() {
  std::string line;
  const SourcePlace at = in_.token().place;
  if (!in_.TakeName("a fingerprint", line, kMaxLine)) return false;
  std::optional<std::vector<Fingerprint>>& all = draft_.policy().fingerprints;
  if (!all) return in_.Error(at, "a fingerprint without `set fingerprints`");
  if (all->size() == kMaxFingerprintLines) {
    return in_.Error(at, "too many fingerprints");
  }
  std::string wrong;
  if (!ParseFingerprint(line, &all->emplace_back(), &wrong)) {
    return in_.Error(at, "no fingerprint: " + wrong);
  }
  return true;
}

}  // namespace sluice
