#include "dataplane/sluicectl/packet_words.h"

#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/json_read.h"
#include "packet/packet.h"

namespace sluice {

std::optional<uint32_t> ReadNumber(std::string_view text, uint32_t most) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || last != end || number > most) {
    return std::nullopt;
  }
  return number;
}

std::optional<uint32_t> ReadProtocol(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, uint8_t>, 7> kNames = {
      {{"tcp", protocol::kTcp},
       {"udp", protocol::kUdp},
       {"sctp", protocol::kSctp},
       {"icmp", protocol::kIcmp},
       {"icmp6", protocol::kIcmp6},
       {"ipv6-icmp", protocol::kIcmp6},
       {"esp", protocol::kEsp}}};
  for (const auto& [name, number] : kNames) {
    if (name == text) return number;
  }
  return ReadNumber(text, UINT8_MAX);
}

bool SplitEnd(const std::string& text, std::string* host, std::string* port) {
  *host = text;
  port->clear();
  size_t colon = text.find(':');
  if (text.starts_with("[")) {
    const size_t close = text.find(']');
    if (close == std::string::npos) return false;
    *host = text.substr(1, close - 1);
    if (close + 1 == text.size()) return true;
    if (text[close + 1] != ':') return false;
    colon = close + 1;
  } else if (colon == std::string::npos || text.find(':', colon + 1) !=
                                               std::string::npos) {
    return true;
  } else {
    *host = text.substr(0, colon);
  }
  *port = text.substr(colon + 1);
  return !port->empty();
}

void TakeTranslated(const nlohmann::json& answer, nlohmann::json* packet) {
  const nlohmann::json& translated = Member(answer, "translated");
  for (const char* name :
       {"source", "destination", "protocol", "source_port", "destination_port",
        "icmp_type", "icmp_code"}) {
    if (Has(translated, name)) (*packet)[name] = translated[name];
  }
}

std::string FromHex(std::string_view digits) {
  const auto value = [](char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
  };
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    const int high = value(digits[i]);
    const int low = value(digits[i + 1]);
    if (high < 0 || low < 0) return std::string();
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

std::string UnknownProtocol(const std::string& text) {
  return absl::StrCat("--proto: '", text, "' is no protocol: say tcp, udp, "
                      "icmp, icmp6, sctp, esp or a number");
}

}  // namespace sluice
