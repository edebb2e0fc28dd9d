#include "dataplane/control/methods/params.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "nlohmann/json.hpp"
#include "pftable/policy/name.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kMaxHostName = 255;
constexpr size_t kMaxHostAddresses = 4096;
constexpr size_t kMaxNameSize = 1024;
constexpr size_t kMaxAddressText = 64;

const std::string* AsString(const json& value) {
  return value.get_ptr<const std::string*>();
}

bool HasControlCharacter(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
  });
}

std::string NameRule(size_t max_size) {
  return absl::StrCat("must be a name of 1 to ", max_size,
                      " letters, digits, '_', '-', '.' or ':', and begin with a "
                      "letter, a digit or '_'");
}

}  // namespace

std::optional<TableEntry> ParseTableEntry(std::string_view text) {
  if (text.size() > kMaxAddressText) return std::nullopt;
  TableEntry entry;
  if (!text.empty() && text.front() == '!') {
    entry.negated = true;
    text.remove_prefix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  }
  const std::optional<Prefix> prefix = ParsePrefix(text);
  if (!prefix) return std::nullopt;
  entry.prefix = prefix->Masked();
  return entry;
}

std::string ToString(const TableEntry& entry) {
  return absl::StrCat(entry.negated ? "!" : "", ToString(entry.prefix));
}

Params::Params(const json& params) : params_(params) {
  if (!params.is_null() && !params.is_object()) {
    status_ = absl::InvalidArgumentError(
        "\"params\" must be an object with the parameters by name");
  }
}

void Params::Fail(std::string_view name, std::string_view what) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(
      absl::StrCat("parameter \"", View(name), "\" ", View(what)));
}

const json* Params::Take(std::string_view name, Need need) {
  if (!status_.ok()) return nullptr;
  asked_.push_back(name);
  if (params_.is_object()) {
    const auto it = params_.find(name);
    if (it != params_.end()) {
      ++taken_;
      return &*it;
    }
  }
  if (need == Need::kRequired) Fail(name, "is missing");
  return nullptr;
}

const json* Params::TakeArray(std::string_view name, size_t max,
                              std::string_view elements, Need need) {
  const json* value = Take(name, need);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    Fail(name, "must be an array");
    return nullptr;
  }
  if (value->size() > max) {
    Fail(name, absl::StrCat("has at most ", max, " ", View(elements)));
    return nullptr;
  }
  return value;
}

void Params::String(std::string_view name, size_t max_size, std::string* out,
                    Need need) {
  const json* value = Take(name, need);
  if (value == nullptr) return;
  const std::string* text = AsString(*value);
  if (text == nullptr) return Fail(name, "must be a string");
  if (text->size() > max_size) {
    return Fail(name, absl::StrCat("has at most ", max_size, " bytes"));
  }
  if (HasControlCharacter(*text)) return Fail(name, "has a control character");
  *out = *text;
}

void Params::Text(std::string_view name, std::string* out, Need need) {
  const json* value = Take(name, need);
  if (value == nullptr) return;
  const std::string* text = AsString(*value);
  if (text == nullptr) return Fail(name, "must be a string");
  *out = *text;
}

void Params::Bool(std::string_view name, std::optional<bool>* out) {
  bool value = false;
  Bool(name, &value);
  if (status_.ok() && params_.contains(name)) *out = value;
}

void Params::Bool(std::string_view name, bool* out) {
  const json* value = Take(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) return Fail(name, "must be true or false");
  *out = value->get<bool>();
}

void Params::Number(std::string_view name, uint64_t max,
                    std::optional<uint64_t>* out) {
  const json* value = Take(name);
  if (value == nullptr) return;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
    return Fail(name, absl::StrCat("must be a whole number up to ", max));
  }
  *out = value->get<uint64_t>();
}

void Params::Number(std::string_view name, uint64_t min, uint64_t max,
                    std::optional<uint64_t>* out) {
  std::optional<uint64_t> number;
  Number(name, max, &number);
  if (!number) return;
  if (*number < min) return Fail(name, absl::StrCat("must be at least ", min));
  *out = number;
}

void Params::Choice(std::string_view name, std::string_view first,
                    std::string_view second, bool* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  if (text != first && text != second) {
    return Fail(name, absl::StrCat("must be \"", View(first), "\" or \"",
                                   View(second), "\""));
  }
  *out = text == second;
}

void Params::PageSize(std::string_view name, size_t max, size_t* out) {
  std::optional<uint64_t> number;
  Number(name, UINT32_MAX, &number);
  if (!number) return;
  if (*number == 0) return Fail(name, "must be at least 1");
  *out = std::min<size_t>(*number, max);
}

void Params::Hex(std::string_view name, size_t max_digits,
                 std::optional<uint64_t>* out) {
  std::string text;
  String(name, max_digits, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number, 16);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) {
    return Fail(name, "must be a string of hexadecimal digits");
  }
  *out = number;
}

void Params::Prefix(std::string_view name, std::optional<sluice::Prefix>* out) {
  std::string text;
  String(name, kMaxAddressText, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  const std::optional<sluice::Prefix> prefix = ParsePrefix(text);
  if (!prefix) {
    return Fail(name, "must be an address or a network like 10.0.0.0/8");
  }
  *out = prefix->Masked();
}

void Params::Vlan(std::string_view name, std::optional<VlanId>* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  *out = ParseVlan(text);
  if (!out->has_value()) {
    Fail(name, "must be a VLAN's number, 42, or two as in 7.42, or 0 for none");
  }
}

void Params::Direction(std::string_view name,
                       std::optional<sluice::Direction>* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  if (text == "in") {
    *out = sluice::Direction::kIn;
  } else if (text == "out") {
    *out = sluice::Direction::kOut;
  } else {
    Fail(name, "must be \"in\" or \"out\"");
  }
}

void Params::Helper(std::string_view name, std::optional<StateHelper>* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  if (text == "ftp") {
    *out = StateHelper::kFtp;
  } else if (text == "tftp") {
    *out = StateHelper::kTftp;
  } else {
    Fail(name, "must be \"ftp\" or \"tftp\"");
  }
}

void Params::Dialect(std::string_view name,
                     std::optional<sluice::Dialect>* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  if (text == "openbsd") {
    *out = sluice::Dialect::kOpenBsd;
  } else if (text == "freebsd") {
    *out = sluice::Dialect::kFreeBsd;
  } else {
    Fail(name, "must be \"openbsd\" or \"freebsd\"");
  }
}

void Params::Name(std::string_view name, size_t max_size, std::string* out,
                  Need need) {
  const json* value = Take(name, need);
  if (value == nullptr) return;
  const std::string* text = AsString(*value);
  if (text == nullptr || !IsFilterName(*text, max_size)) {
    return Fail(name, NameRule(max_size));
  }
  *out = *text;
}

void Params::Names(std::string_view name, size_t max, size_t max_size,
                   std::vector<std::string>* out, Need need) {
  const json* value = TakeArray(name, max, "names", need);
  if (value == nullptr) return;
  for (const json& element : *value) {
    const std::string* text = AsString(element);
    if (text == nullptr || !IsFilterName(*text, max_size)) {
      return Fail(name, absl::StrCat("must hold names; each ",
                                     NameRule(max_size)));
    }
    if (std::find(out->begin(), out->end(), *text) != out->end()) {
      return Fail(name, absl::StrCat("names \"", *text, "\" twice"));
    }
    out->push_back(*text);
  }
}

bool Params::Object(std::string_view name,
                    const std::function<void(Params&)>& read) {
  const json* value = Take(name);
  if (value == nullptr) return false;
  if (!value->is_object()) {
    Fail(name, "must be an object");
    return false;
  }
  Params inner(*value);
  read(inner);
  if (const absl::Status status = inner.Finish(); !status.ok()) {
    Fail(name, absl::StrCat("has an error: ", status.message()));
    return false;
  }
  return true;
}

void Params::Objects(std::string_view name, size_t max,
                     const std::function<void(Params&)>& read, Need need) {
  const json* value = TakeArray(name, max, "objects", need);
  if (value == nullptr) return;
  size_t number = 0;
  for (const json& element : *value) {
    ++number;
    if (!element.is_object()) return Fail(name, "must hold objects");
    Params inner(element);
    read(inner);
    if (const absl::Status status = inner.Finish(); !status.ok()) {
      return Fail(name, absl::StrCat("has an error in ", number, ".: ",
                                     status.message()));
    }
  }
}

void Params::Prefixes(std::string_view name, size_t max,
                      std::vector<sluice::Prefix>* out) {
  const json* value = TakeArray(name, max, "addresses");
  if (value == nullptr) return;
  for (const json& element : *value) {
    const std::string* text = AsString(element);
    std::optional<sluice::Prefix> prefix;
    if (text != nullptr && text->size() <= kMaxAddressText) {
      prefix = ParsePrefix(*text);
    }
    if (!prefix) {
      return Fail(name, absl::StrCat("must hold addresses like 10.0.0.1/24, ",
                                     out->size() + 1, ". is none"));
    }
    out->push_back(*prefix);
  }
}

void Params::Optimization(std::string_view name,
                          std::optional<RulesetOptimization>* out) {
  std::string text;
  String(name, kMaxNameSize, &text);
  if (!status_.ok() || !params_.contains(name)) return;
  *out = OptimizationByName(text);
  if (!*out) Fail(name, "must be \"none\", \"basic\" or \"profile\"");
}

void Params::TableName(std::string_view name, std::string* out) {
  String(name, kMaxNameSize, out, Need::kRequired);
  if (status_.ok() && !IsName(*out, kMaxTableName)) {
    Fail(name,
         "must be a table's name: 1 to 31 letters, digits, '_', '-', '.' or "
         "':'");
  }
}

void Params::Files(std::string_view name, size_t max,
                   const std::function<void(std::string, std::string)>& add) {
  const json* value = TakeArray(name, max, "files");
  if (value == nullptr) return;
  for (const json& file : *value) {
    if (!file.is_object() || file.size() != 2 || !file.contains("name") ||
        !file.contains("text")) {
      return Fail(name, "must hold objects with \"name\" and \"text\"");
    }
    const std::string* path = AsString(file["name"]);
    const std::string* text = AsString(file["text"]);
    if (path == nullptr || text == nullptr || path->size() > kMaxFilePath) {
      return Fail(name, "must hold strings for \"name\" and \"text\"");
    }
    if (HasControlCharacter(*path)) {
      return Fail(name, "has a control character in a \"name\"");
    }
    add(*path, *text);
  }
}

void Params::Strings(std::string_view name, size_t max, size_t max_size,
                     std::vector<std::string>* out) {
  const json* value = TakeArray(name, max, "strings");
  if (value == nullptr) return;
  for (const json& element : *value) {
    const std::string* text = AsString(element);
    if (text == nullptr || text->size() > max_size ||
        HasControlCharacter(*text)) {
      return Fail(name, absl::StrCat("must hold strings of at most ", max_size,
                                     " bytes"));
    }
    out->push_back(*text);
  }
}

void Params::Numbers(std::string_view name, size_t max, uint64_t most,
                     std::vector<uint64_t>* out) {
  const json* value = TakeArray(name, max, "numbers");
  if (value == nullptr) return;
  for (const json& element : *value) {
    if (!element.is_number_unsigned() || element.get<uint64_t>() > most) {
      return Fail(name, absl::StrCat("must hold whole numbers up to ", most));
    }
    out->push_back(element.get<uint64_t>());
  }
}

void Params::StringMap(std::string_view name, size_t max,
                       std::vector<std::pair<std::string, std::string>>* out) {
  const json* value = Take(name);
  if (value == nullptr) return;
  if (!value->is_object()) return Fail(name, "must be an object");
  if (value->size() > max) {
    return Fail(name, absl::StrCat("has at most ", max, " members"));
  }
  for (const auto& [key, member] : value->items()) {
    const std::string* text = AsString(member);
    if (text == nullptr) return Fail(name, "must hold strings");
    if (HasControlCharacter(key)) {
      return Fail(name, "has a control character in a name");
    }
    out->emplace_back(key, *text);
  }
}

void Params::ReadLines(std::string_view name, std::string_view lines,
                       std::vector<TableEntry>* out) {
  out->reserve(static_cast<size_t>(std::ranges::count(lines, '\n')) + 1);
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.empty()) continue;
    const std::optional<TableEntry> entry = ParseTableEntry(line);
    if (!entry) {
      return Fail(name, absl::StrCat("must hold addresses and networks, ",
                                     out->size() + 1, ". is none"));
    }
    out->push_back(*entry);
  }
}

void Params::Entries(std::string_view name, std::vector<TableEntry>* out,
                     Need need) {
  const json* value = Take(name, need);
  if (value == nullptr) return;
  if (const std::string* const lines = AsString(*value)) {
    return ReadLines(name, *lines, out);
  }
  if (!value->is_array()) return Fail(name, "must be an array or a text");
  out->reserve(value->size());
  for (const json& element : *value) {
    const std::string* text = AsString(element);
    std::optional<TableEntry> entry;
    if (text != nullptr) entry = ParseTableEntry(*text);
    if (!entry) {
      return Fail(name, absl::StrCat("must hold addresses and networks, ",
                                     out->size() + 1, ". is none"));
    }
    out->push_back(*entry);
  }
}

void Params::Hosts(
    std::string_view name, size_t max,
    std::vector<std::pair<std::string, std::vector<Address>>>* out) {
  const json* value = Take(name);
  if (value == nullptr) return;
  if (!value->is_object() || value->size() > max) {
    return Fail(name, absl::StrCat("must be an object of at most ", max,
                                   " members"));
  }
  for (const auto& [host, member] : value->items()) {
    if (HasControlCharacter(host) || host.size() > kMaxHostName ||
        !member.is_array() || member.size() > kMaxHostAddresses) {
      return Fail(name, "must hold lists of addresses by names of hosts");
    }
    std::vector<Address> addresses;
    for (const json& element : member) {
      const std::string* text = AsString(element);
      std::optional<Address> address;
      if (text != nullptr) address = ParseAddress(*text);
      if (!address) {
        return Fail(name, "must hold lists of addresses by names of hosts");
      }
      addresses.push_back(*address);
    }
    out->emplace_back(host, std::move(addresses));
  }
}

void Params::Addresses(std::string_view name, size_t max,
                       std::vector<Address>* out) {
  const json* value = TakeArray(name, max, "addresses", Need::kRequired);
  if (value == nullptr) return;
  for (const json& element : *value) {
    const std::string* text = AsString(element);
    std::optional<Address> address;
    if (text != nullptr) address = ParseAddress(*text);
    if (!address) {
      return Fail(name, absl::StrCat("must hold addresses of hosts, ",
                                     out->size() + 1, ". is none"));
    }
    out->push_back(*address);
  }
}

absl::Status Params::Finish() {
  if (!status_.ok() || !params_.is_object() || taken_ == params_.size()) {
    return status_;
  }
  for (const auto& [key, value] : params_.items()) {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no parameter \"", PrintableName(key.substr(0, 64)),
          "\" here"));
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
