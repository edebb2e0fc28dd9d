#include <algorithm>

#include "pftable/policy/fingerprint.h"

namespace sluice {
namespace {

char LowerCase(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool IsNumeral(char c) { return c >= '0' && c <= '9'; }

int CompareNames(std::string_view a, std::string_view b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const int difference = static_cast<unsigned char>(LowerCase(a[i])) -
                           static_cast<unsigned char>(LowerCase(b[i]));
    if (difference != 0) return difference;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

// The number of `text`, from 1; 0: it is not there.
uint16_t NumberOf(const std::vector<OsNames::Name>& names,
                  std::string_view text) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (CompareNames(names[i].text, text) == 0) {
      return static_cast<uint16_t>(i + 1);
    }
  }
  return 0;
}

uint16_t NumberOrNew(std::vector<OsNames::Name>& names,
                     const std::string& text) {
  const uint16_t known = NumberOf(names, text);
  if (known != 0) return known;
  names.push_back({.text = text, .below = {}});
  return static_cast<uint16_t>(names.size());
}

// "3-12", or "2.0-2.11" with the same number before both dots.
struct VersionRange {
  int major = -1;  // -1: none
  int first = 0;
  int last = -1;
};

// Up to `digits` of them; -1: none.
int TakeNumber(std::string_view& text, int digits) {
  int number = -1;
  while (digits-- > 0 && !text.empty() && IsNumeral(text[0])) {
    number = std::max(number, 0) * 10 + (text[0] - '0');
    text.remove_prefix(1);
  }
  return number;
}

// A major number before a dot: one digit.
int TakeMajor(std::string_view& text) {
  if (text.size() < 2 || !IsNumeral(text[0]) || text[1] != '.') return -1;
  const int major = text[0] - '0';
  text.remove_prefix(2);
  return major;
}

std::optional<VersionRange> RangeOf(std::string_view text) {
  VersionRange range;
  range.major = TakeMajor(text);
  range.first = TakeNumber(text, 2);
  if (range.first < 0 || text.empty() || text[0] != '-') return std::nullopt;
  text.remove_prefix(1);
  if (TakeMajor(text) != range.major) return std::nullopt;
  range.last = TakeNumber(text, 3);
  if (range.last < 0 || !text.empty()) return std::nullopt;
  return range;
}

std::string InRange(const VersionRange& range, int number) {
  return range.major < 0 ? std::to_string(number)
                         : std::to_string(range.major) + "." +
                               std::to_string(number);
}

bool IsConnector(char c) {
  return c == '.' || c == ' ' || c == '\t' || c == '-';
}

std::vector<const OsNames::Name*> Sorted(
    const std::vector<OsNames::Name>& names) {
  std::vector<const OsNames::Name*> sorted;
  for (const OsNames::Name& name : names) sorted.push_back(&name);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const OsNames::Name* a, const OsNames::Name* b) {
                     return CompareNames(a->text, b->text) < 0;
                   });
  return sorted;
}

}  // namespace

OsNames::OsNames(const std::vector<Fingerprint>& fingerprints) {
  for (const Fingerprint& f : fingerprints) {
    for (const bool ipv6 : {false, true}) {
      Add(f, ipv6, f.version, f.subtype, true, true);
    }
  }
}

// As pfctl: those of a range first, then the range under its own name, too.
void OsNames::Add(const Fingerprint& f, bool ipv6, const std::string& version,
                  const std::string& subtype, bool expand_version,
                  bool expand_subtype) {
  if (entries_.size() >= kMaxFingerprints) {
    complete_ = false;
    return;
  }
  if (expand_version) {
    if (const auto range = RangeOf(version)) {
      for (int i = range->first; i <= range->last && complete_; ++i) {
        Add(f, ipv6, InRange(*range, i), subtype, false, true);
      }
    }
  }
  if (expand_subtype) {
    if (const auto range = RangeOf(subtype)) {
      for (int i = range->first; i <= range->last && complete_; ++i) {
        Add(f, ipv6, version, InRange(*range, i), false, false);
      }
    }
  }
  OsName name;
  name.class_number = NumberOrNew(classes_, f.class_name);
  if (!version.empty()) {
    Name& of_class = classes_[name.class_number - 1u];
    name.version = NumberOrNew(of_class.below, version);
    if (!subtype.empty()) {
      name.subtype =
          NumberOrNew(of_class.below[name.version - 1u].below, subtype);
    }
  }
  entries_.push_back({.fingerprint = &f, .ipv6 = ipv6, .name = name});
}

std::optional<OsName> OsNames::Find(std::string_view text) const {
  if (CompareNames(text, "unknown") == 0) return OsName{.unknown = true};
  OsName name;
  name.class_number = NumberOf(classes_, text);
  if (name.class_number != 0) return name;
  const size_t space = text.find(' ');
  if (space == text.npos) return std::nullopt;
  name.class_number = NumberOf(classes_, text.substr(0, space));
  if (name.class_number == 0) return std::nullopt;
  const std::vector<Name>& versions =
      classes_[name.class_number - 1u].below;
  text.remove_prefix(space + 1);
  name.version = NumberOf(versions, text);
  if (name.version != 0) return name;
  for (size_t v = 0; v < versions.size(); ++v) {
    const size_t length = versions[v].text.size();
    if (text.size() < length + 2 || !IsConnector(text[length]) ||
        CompareNames(text.substr(0, length), versions[v].text) != 0) {
      continue;
    }
    name.subtype = NumberOf(versions[v].below, text.substr(length + 1));
    if (name.subtype == 0) continue;
    name.version = static_cast<uint16_t>(v + 1);
    return name;
  }
  return std::nullopt;
}

std::string OsNames::Print(const OsName& name) const {
  if (name.unknown) return "unknown";
  const Name& of_class = classes_[name.class_number - 1u];
  if (name.version == 0) return of_class.text;
  const Name& version = of_class.below[name.version - 1u];
  std::string text = of_class.text + " " + version.text;
  if (name.subtype == 0) return text;
  const std::string& subtype = version.below[name.subtype - 1u].text;
  const bool dotted = version.text.find(' ') == version.text.npos &&
                      version.text.find('.') != version.text.npos &&
                      IsNumeral(subtype[0]);
  return text + (dotted ? "." : " ") + subtype;
}

std::vector<OsRow> ListOsNames(const OsNames& names) {
  std::vector<OsRow> rows;
  for (const OsNames::Name* of_class : Sorted(names.classes())) {
    rows.push_back({.class_name = of_class->text, .version = {}, .subtype = {}});
    for (const OsNames::Name* version : Sorted(of_class->below)) {
      rows.push_back({.class_name = of_class->text,
                      .version = version->text,
                      .subtype = {}});
      for (const OsNames::Name* subtype : Sorted(version->below)) {
        rows.push_back({.class_name = of_class->text,
                        .version = version->text,
                        .subtype = subtype->text});
      }
    }
  }
  return rows;
}

}  // namespace sluice
