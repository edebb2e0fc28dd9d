#include "tests/support/packet_words.h"

#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace sluice {
namespace {

void AppendHalf(std::vector<uint8_t>& bytes, int64_t value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}

void AppendWord(std::vector<uint8_t>& bytes, int64_t value) {
  AppendHalf(bytes, value >> 16);
  AppendHalf(bytes, value);
}

void AppendText(std::vector<uint8_t>& bytes, std::string_view text) {
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.push_back(0);
}

struct IcmpWord {
  std::string_view name;
  std::string_view detail;  // empty: none
  int v4_type, v4_code;     // -1: not in this family
  int v6_type, v6_code;
};

constexpr IcmpWord kIcmpWords[] = {
    {"echo", "", 8, 0, 128, 0},
    {"echoreply", "", 0, 0, 129, 0},
    {"unreach", "net", 3, 0, 1, 0},
    {"unreach", "host", 3, 1, 1, 3},
    {"unreach", "proto", 3, 2, -1, -1},
    {"unreach", "port", 3, 3, 1, 4},
    {"unreach", "admin", 3, 13, 1, 1},
    {"toobig", "", 3, 4, 2, 0},
    {"squench", "", 4, 0, -1, -1},
    {"redirect", "", 5, 1, 137, 0},
    {"routeradv", "", 9, 0, 134, 0},
    {"routersol", "", 10, 0, 133, 0},
    {"timex", "reassembly", 11, 1, 3, 1},
    {"timex", "", 11, 0, 3, 0},
    {"paramprob", "", 12, 0, 4, 0},
    {"timereq", "", 13, 0, -1, -1},
    {"timerep", "", 14, 0, -1, -1},
    {"maskreq", "", 17, 0, -1, -1},
    {"maskrep", "", 18, 0, -1, -1},
    {"mldquery", "", -1, -1, 130, 0},
    {"mldreport", "", -1, -1, 131, 0},
    {"neighbrsol", "", -1, -1, 135, 0},
    {"neighbradv", "", -1, -1, 136, 0},
};

}  // namespace

std::optional<int64_t> ParseNumber(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return negative ? -static_cast<int64_t>(value) : value;
}

std::optional<std::vector<uint8_t>> ParseHex(std::string_view text) {
  if (text.size() < 2 || text.size() % 2 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint8_t byte = 0;
    const char* first = text.data() + i;
    const auto [end, error] = std::from_chars(first, first + 2, byte, 16);
    if (error != std::errc() || end != first + 2) return std::nullopt;
    bytes.push_back(byte);
  }
  return bytes;
}

std::optional<MacAddress> ParseMac(std::string_view text) {
  MacAddress mac;
  if (text.size() != 17) return std::nullopt;
  for (size_t i = 0; i < 6; ++i) {
    const auto byte = ParseHex(text.substr(i * 3, 2));
    if (!byte || (i < 5 && text[i * 3 + 2] != ':')) return std::nullopt;
    mac[i] = byte->front();
  }
  return mac;
}

std::optional<Field> NumberKeyword(std::string_view word) {
  static constexpr std::pair<std::string_view, Field> kWords[] = {
      {"ethertype", Field::kEtherType}, {"vlan", Field::kVlan},
      {"pcp", Field::kVlanPrio},        {"qinq", Field::kOuterVlan},
      {"version", Field::kVersion},     {"ihl", Field::kHeaderLength},
      {"tos", Field::kTos},             {"iplen", Field::kIpLength},
      {"ipid", Field::kIpId},           {"ttl", Field::kTtl},
      {"ipcksum", Field::kIpChecksum},  {"proto", Field::kProtocol},
      {"seq", Field::kSequence},        {"ack", Field::kAcknowledgment},
      {"doff", Field::kDataOffset},     {"win", Field::kWindow},
      {"urg", Field::kUrgent},          {"cksum", Field::kChecksum},
      {"udplen", Field::kUdpLength},    {"vtag", Field::kVerificationTag},
      {"code", Field::kIcmpCode},       {"id", Field::kIcmpId},
      {"mtu", Field::kMtu},
  };
  for (const auto& [name, field] : kWords) {
    if (word == name) return field;
  }
  return std::nullopt;
}

std::optional<IcmpName> ParseIcmpName(Family family, std::string_view name,
                                      std::string_view detail) {
  if (const auto number = ParseNumber(name)) {
    if (*number < 0 || *number > 255) return std::nullopt;
    return IcmpName{.type = static_cast<uint8_t>(*number)};
  }
  const bool v4 = family == Family::kIpv4;
  for (const IcmpWord& word : kIcmpWords) {
    if (word.name != name) continue;
    if (!word.detail.empty() && word.detail != detail) continue;
    const int type = v4 ? word.v4_type : word.v6_type;
    if (type < 0) return std::nullopt;
    return IcmpName{
        .type = static_cast<uint8_t>(type),
        .code = static_cast<uint8_t>(v4 ? word.v4_code : word.v6_code),
        .detail_used = !word.detail.empty()};
  }
  return std::nullopt;
}

std::optional<std::vector<uint8_t>> Ipv4OptionBytes(std::string_view word) {
  if (word == "eol") return std::vector<uint8_t>{0};
  if (word == "nop") return std::vector<uint8_t>{1};
  if (word == "ra") return std::vector<uint8_t>{0x94, 4, 0, 0};
  if (word == "rr") return std::vector<uint8_t>{7, 7, 4, 0, 0, 0, 0};
  if (word == "ts") return std::vector<uint8_t>{0x44, 8, 5, 0, 0, 0, 0, 0};
  if (word == "lsrr") return std::vector<uint8_t>{0x83, 7, 4, 10, 0, 0, 9};
  if (word == "ssrr") return std::vector<uint8_t>{0x89, 7, 4, 10, 0, 0, 9};
  if (word.starts_with("0x")) return ParseHex(word.substr(2));
  return std::nullopt;
}

std::optional<ExtensionHeader> ExtensionHeaderBytes(std::string_view word) {
  if (word == "hopopts") return ExtensionHeader{0, {0, 0, 1, 4, 0, 0, 0, 0}};
  if (word == "hopopts-ra") {
    return ExtensionHeader{0, {0, 0, 5, 2, 0, 0, 1, 0}};
  }
  if (word == "hopopts-jumbo") {
    return ExtensionHeader{0, {0, 0, 0xc2, 4, 0, 1, 0, 0}};
  }
  if (word == "dstopts") return ExtensionHeader{60, {0, 0, 1, 4, 0, 0, 0, 0}};
  if (word == "routing0") {
    return ExtensionHeader{43, {0, 0, 0, 0, 0, 0, 0, 0}};
  }
  if (word == "routing2") {
    std::vector<uint8_t> bytes(24);
    bytes[1] = 2;  // 24 bytes
    bytes[2] = 2;  // the type of Mobile IPv6
    bytes[3] = 1;  // one segment left
    return ExtensionHeader{43, bytes};
  }
  if (word == "frag") return ExtensionHeader{44, {0, 0, 0, 0, 0, 0, 0, 1}};
  if (word == "ah") {
    std::vector<uint8_t> bytes(24);
    bytes[1] = 4;  // 24 bytes, in words of four, less two
    bytes[7] = 1;
    return ExtensionHeader{51, bytes};
  }
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto number = ParseNumber(word.substr(0, colon));
  auto bytes = ParseHex(word.substr(colon + 1));
  if (!number || *number < 0 || *number > 255 || !bytes) return std::nullopt;
  return ExtensionHeader{static_cast<uint8_t>(*number), *std::move(bytes)};
}

std::optional<std::vector<uint8_t>> TcpOptionBytes(std::string_view text) {
  std::vector<uint8_t> bytes;
  const absl::string_view all(text.data(), text.size());
  for (absl::string_view part : absl::StrSplit(all, ',')) {
    const std::vector<std::string> words =
        absl::StrSplit(part, ' ', absl::SkipEmpty());
    if (words.empty()) return std::nullopt;
    std::vector<int64_t> numbers;
    for (size_t i = 1; i < words.size(); ++i) {
      const auto number = ParseNumber(words[i]);
      if (!number) return std::nullopt;
      numbers.push_back(*number);
    }
    const std::string& name = words[0];
    if (name == "mss" && numbers.size() == 1) {
      bytes.insert(bytes.end(), {2, 4});
      AppendHalf(bytes, numbers[0]);
    } else if (name == "wscale" && numbers.size() == 1) {
      bytes.insert(bytes.end(), {3, 3, static_cast<uint8_t>(numbers[0])});
    } else if (name == "sackok" && numbers.empty()) {
      bytes.insert(bytes.end(), {4, 2});
    } else if (name == "ts" && numbers.size() == 2) {
      bytes.insert(bytes.end(), {8, 10});
      AppendWord(bytes, numbers[0]);
      AppendWord(bytes, numbers[1]);
    } else if (name == "sack" && numbers.size() == 2) {
      bytes.insert(bytes.end(), {5, 10});
      AppendWord(bytes, numbers[0]);
      AppendWord(bytes, numbers[1]);
    } else if (name == "nop" && numbers.empty()) {
      bytes.push_back(1);
    } else if (name == "eol" && numbers.empty()) {
      bytes.push_back(0);
    } else if (name.starts_with("0x") && numbers.empty()) {
      const auto raw = ParseHex(std::string_view(name).substr(2));
      if (!raw) return std::nullopt;
      bytes.insert(bytes.end(), raw->begin(), raw->end());
    } else {
      return std::nullopt;
    }
  }
  while (bytes.size() % 4 != 0) bytes.push_back(0);
  if (bytes.size() > 40) return std::nullopt;
  return bytes;
}

std::optional<std::vector<uint8_t>> TftpBytes(
    const std::vector<std::string>& words) {
  if (words.empty()) return std::nullopt;
  std::vector<uint8_t> bytes;
  const std::string& kind = words[0];
  const auto number = [&](size_t i) {
    return i < words.size() ? ParseNumber(words[i]) : std::nullopt;
  };
  if (kind == "rrq" || kind == "wrq") {
    if (words.size() < 2) return std::nullopt;
    AppendHalf(bytes, kind == "rrq" ? 1 : 2);
    AppendText(bytes, words[1]);
    AppendText(bytes, words.size() > 2 ? words[2] : "octet");
    for (size_t i = 3; i < words.size(); ++i) AppendText(bytes, words[i]);
  } else if (kind == "data" && number(1) && number(2) && words.size() == 3) {
    AppendHalf(bytes, 3);
    AppendHalf(bytes, *number(1));
    bytes.resize(bytes.size() + static_cast<size_t>(*number(2)), 'd');
  } else if (kind == "ack" && number(1) && words.size() == 2) {
    AppendHalf(bytes, 4);
    AppendHalf(bytes, *number(1));
  } else if (kind == "error" && number(1) && words.size() <= 3) {
    AppendHalf(bytes, 5);
    AppendHalf(bytes, *number(1));
    AppendText(bytes, words.size() == 3 ? words[2] : "refused");
  } else if (kind == "oack" && words.size() >= 3) {
    AppendHalf(bytes, 6);
    for (size_t i = 1; i < words.size(); ++i) AppendText(bytes, words[i]);
  } else {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace sluice
