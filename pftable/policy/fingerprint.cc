#include "pftable/policy/fingerprint.h"

#include <array>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "packet/syn_signature.h"

namespace sluice {
namespace {

using Kind = SynValue::Kind;

constexpr size_t kMostMistakes = 100;
constexpr size_t kFields = 9;

// ASCII alone, whatever the locale.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool ParseNumber(std::string_view text, uint32_t most, uint32_t* value) {
  if (text.empty() || !IsDigit(text.front())) return false;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() &&
         *value <= most;
}

// Which of "*%ST" a field may have.
bool ParseValue(std::string_view text, std::string_view forms, uint32_t most,
                SynValue* value) {
  *value = {};
  if (text.empty()) return false;
  const char form = text.front();
  uint32_t number = 0;
  if (!IsDigit(form)) {
    if (forms.find(form) == forms.npos) return false;
    text.remove_prefix(1);
    switch (form) {
      case '*':
        value->kind = Kind::kAny;
        return text.empty();
      case '%':
        value->kind = Kind::kMultiple;
        break;
      case 'S':
        value->kind = Kind::kOfMss;
        break;
      default:
        value->kind = Kind::kOfMtu;
        break;
    }
    // "S" alone is none of it.
    if (text.empty() && form != '%') return true;
  }
  if (!ParseNumber(text, most, &number)) return false;
  value->value = static_cast<uint16_t>(number);
  return true;
}

std::string PrintValue(const SynValue& value) {
  switch (value.kind) {
    case Kind::kExact:
      return absl::StrCat(value.value);
    case Kind::kMultiple:
      return absl::StrCat("%", value.value);
    case Kind::kAny:
      return "*";
    case Kind::kOfMss:
      return absl::StrCat("S", value.value);
    case Kind::kOfMtu:
      return absl::StrCat("T", value.value);
  }
  return "";
}

bool ParseOption(std::string_view text, Fingerprint* fingerprint) {
  if (text.empty()) return false;
  const char letter = Upper(text.front());
  const std::string_view rest = text.substr(1);
  SynOption option;
  bool good = rest.empty();
  switch (letter) {
    case 'N':
      option = SynOption::kNop;
      break;
    case 'S':
      option = SynOption::kSackPermitted;
      break;
    case 'T':
      option = SynOption::kTimestamp;
      if (rest == "0") {
        fingerprint->timestamp_is_zero = true;
        good = true;
      }
      break;
    case 'M':
      option = SynOption::kMss;
      good = ParseValue(rest, "*%", 0xffff, &fingerprint->mss);
      break;
    case 'W':
      option = SynOption::kWindowScale;
      good = ParseValue(rest, "*%", 0xff, &fingerprint->scale);
      break;
    default:
      return false;
  }
  fingerprint->options = fingerprint->options << kSynOptionBits |
                         static_cast<uint8_t>(option);
  ++fingerprint->option_count;
  return good;
}

bool ParseOptions(std::string_view text, Fingerprint* fingerprint) {
  if (text == ".") return true;
  while (true) {
    const size_t comma = text.find(',');
    if (fingerprint->option_count == kMaxSynOptions ||
        !ParseOption(Trim(text.substr(0, comma)), fingerprint)) {
      return false;
    }
    if (comma == text.npos) return true;
    text.remove_prefix(comma + 1);
  }
}

std::string PrintOptions(const Fingerprint& f) {
  if (f.option_count == 0) return ".";
  std::string text;
  for (int i = f.option_count - 1; i >= 0; --i) {
    if (!text.empty()) text += ',';
    switch (static_cast<SynOption>(f.options >> (i * kSynOptionBits) & 7)) {
      case SynOption::kNop:
        text += 'N';
        break;
      case SynOption::kMss:
        text += 'M' + PrintValue(f.mss);
        break;
      case SynOption::kWindowScale:
        text += 'W' + PrintValue(f.scale);
        break;
      case SynOption::kSackPermitted:
        text += 'S';
        break;
      case SynOption::kTimestamp:
        text += f.timestamp_is_zero ? "T0" : "T";
        break;
    }
  }
  return text;
}

// What stands in a listing, in quotes in a rule, and in a snapshot.
bool IsName(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c > '~' || c == '"' || c == '\\') return false;
  }
  return text.size() <= kMaxOsName;
}

bool IsNoMatch(std::string_view name) {
  constexpr std::string_view kNoMatch = "NOMATCH";
  if (name.size() != kNoMatch.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    if (Upper(name[i]) != kNoMatch[i]) return false;
  }
  return true;
}

}  // namespace

bool ParseFingerprint(std::string_view line, Fingerprint* fingerprint,
                      std::string* wrong) {
  Fingerprint& f = *fingerprint;
  f = Fingerprint();
  std::array<std::string_view, kFields> fields;
  for (size_t i = 0; i < kFields; ++i) {
    const size_t colon = line.find(':');
    if ((colon == line.npos) != (i == kFields - 1)) {
      *wrong = "nine fields between colons are wanted";
      return false;
    }
    fields[i] = Trim(line.substr(0, colon));
    if (colon != line.npos) line.remove_prefix(colon + 1);
  }
  uint32_t ttl = 0, dont_fragment = 0;
  const auto no = [wrong](std::string_view what) {
    *wrong = std::string(what);
    return false;
  };
  if (!ParseValue(fields[0], "*%ST", 0xffff, &f.window)) {
    return no("the window is none: a number to 65535, %number, Snumber, "
              "Tnumber or *");
  }
  if (!ParseNumber(fields[1], 255, &ttl)) return no("the TTL is none");
  if (!ParseNumber(fields[2], 1, &dont_fragment)) {
    return no("the bit of \"do not fragment\" is neither 0 nor 1");
  }
  if (!ParseValue(fields[3], "*%", 8192, &f.size)) {
    return no("the size is none: a number to 8192, %number or *");
  }
  if (!ParseOptions(fields[4], &f)) return no("the TCP options are none");
  f.ttl = static_cast<uint8_t>(ttl);
  f.dont_fragment = dont_fragment == 1;
  std::string_view name = fields[5];
  if (!name.empty() && (name[0] == '@' || name[0] == '*')) {
    f.is_generic = name[0] == '@';
    f.no_detail = name[0] == '*';
    name.remove_prefix(1);
  }
  if (name.empty()) return no("the class has no name");
  if (IsNoMatch(name)) return no("the class \"nomatch\" is reserved");
  if (!IsName(name) || !IsName(fields[6]) || !IsName(fields[7])) {
    return no("a name is longer than 31 characters, or has odd ones");
  }
  f.class_name = std::string(name);
  f.version = std::string(fields[6]);
  // Without a version there is none below it.
  if (!f.version.empty()) f.subtype = std::string(fields[7]);
  return true;
}

std::string PrintFingerprint(const Fingerprint& f) {
  return absl::StrCat(PrintValue(f.window), ":", f.ttl, ":",
                      f.dont_fragment ? 1 : 0, ":", PrintValue(f.size), ":",
                      PrintOptions(f), ":", f.is_generic ? "@" : "",
                      f.no_detail ? "*" : "", f.class_name, ":", f.version,
                      ":", f.subtype, ":", f.class_name);
}

FingerprintFile ParseFingerprints(std::string_view text) {
  FingerprintFile result;
  const auto refuse = [&result](std::string message) {
    result.fingerprints.clear();
    result.mistakes = {{.line = 0, .message = std::move(message)}};
  };
  if (text.size() > kMaxFingerprintFile) {
    refuse(absl::StrCat("larger than ", kMaxFingerprintFile, " bytes"));
    return result;
  }
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (result.fingerprints.size() == kMaxFingerprintLines) {
      refuse(absl::StrCat("more than ", kMaxFingerprintLines,
                          " fingerprints"));
      return result;
    }
    Fingerprint fingerprint;
    std::string wrong;
    if (ParseFingerprint(line, &fingerprint, &wrong)) {
      result.fingerprints.push_back(std::move(fingerprint));
    } else if (result.mistakes.size() < kMostMistakes) {
      result.mistakes.push_back({.line = number, .message = std::move(wrong)});
    }
  }
  if (!OsNames(result.fingerprints).complete()) {
    refuse(absl::StrCat("more than ", kMaxFingerprints,
                        " fingerprints, each of a range counted"));
  }
  return result;
}

const std::vector<Fingerprint>& DefaultFingerprints() {
  static const auto* const kAll = new std::vector<Fingerprint>(
      ParseFingerprints(DefaultFingerprintText()).fingerprints);
  return *kAll;
}

}  // namespace sluice
