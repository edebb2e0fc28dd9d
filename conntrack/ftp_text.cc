#include "conntrack/ftp_text.h"

#include <arpa/inet.h>

#include <cstring>
#include <optional>

namespace sluice {
namespace {

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool StartsWithWord(std::string_view line, std::string_view word) {
  if (line.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = line[i];
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    if (upper != word[i]) return false;
  }
  return true;
}

// Takes a number of at most `most` from the text's start.
std::optional<uint32_t> TakeNumber(std::string_view* text, uint32_t most) {
  uint32_t value = 0;
  size_t digits = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) {
    // So many leading zeros are no number that anybody writes.
    if (digits == 5) return std::nullopt;
    value = value * 10 + static_cast<uint32_t>((*text)[digits] - '0');
    ++digits;
  }
  if (digits == 0 || value > most) return std::nullopt;
  text->remove_prefix(digits);
  return value;
}

// "h1,h2,h3,h4,p1,p2" at line[begin]
void ReadSixNumbers(std::string_view line, size_t begin, FtpLine* out) {
  std::string_view rest = line.substr(begin);
  std::array<uint8_t, 6> numbers;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) {
      if (rest.empty() || rest[0] != ',') return;
      rest.remove_prefix(1);
    }
    const std::optional<uint32_t> number = TakeNumber(&rest, 255);
    if (!number.has_value()) return;
    numbers[i] = static_cast<uint8_t>(*number);
  }
  // What follows is the text's affair, but not another number.
  if (!rest.empty() && rest[0] == ',') return;
  out->address = Address::FromBytes(Family::kIpv4, numbers.data());
  out->port = static_cast<uint16_t>(numbers[4] << 8 | numbers[5]);
  out->begin = begin;
  out->end = line.size() - rest.size();
  out->sound = out->port != 0;
}

// Takes the characters up to the next delimiter, and the delimiter.
std::optional<std::string_view> TakeField(std::string_view* text,
                                          char delimiter) {
  const size_t end = text->find(delimiter);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view field = text->substr(0, end);
  text->remove_prefix(end + 1);
  return field;
}

bool ReadAddress(std::string_view text, Family family, Address* address) {
  std::array<char, INET6_ADDRSTRLEN> zero_ended{};
  if (text.empty() || text.size() >= zero_ended.size()) return false;
  std::memcpy(zero_ended.data(), text.data(), text.size());
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(family == Family::kIpv4 ? AF_INET : AF_INET6,
                zero_ended.data(), bytes.data()) != 1) {
    return false;
  }
  *address = Address::FromBytes(family, bytes.data());
  return true;
}

// "|family|address|port|" at line[begin]; `open`: the first two are empty.
void ReadExtended(std::string_view line, size_t begin, bool open,
                  FtpLine* out) {
  std::string_view rest = line.substr(begin);
  if (rest.empty() || rest[0] < 33 || rest[0] > 126) return;
  const char delimiter = rest[0];
  rest.remove_prefix(1);
  const auto family = TakeField(&rest, delimiter);
  if (!family.has_value()) return;
  const auto host = TakeField(&rest, delimiter);
  if (!host.has_value()) return;
  if (open) {
    if (!family->empty() || !host->empty()) return;
  } else if (!(*family == "1" &&
               ReadAddress(*host, Family::kIpv4, &out->address)) &&
             !(*family == "2" &&
               ReadAddress(*host, Family::kIpv6, &out->address))) {
    return;
  }
  const std::optional<uint32_t> port = TakeNumber(&rest, 65535);
  if (!port.has_value() || *port == 0 || rest.empty() ||
      rest[0] != delimiter) {
    return;
  }
  out->port = static_cast<uint16_t>(*port);
  out->begin = begin;
  out->end = line.size() - rest.size() + 1;
  out->sound = true;
}

}  // namespace

FtpLine ParseFtpCommand(std::string_view line) {
  FtpLine out;
  // Every word has four letters.
  size_t argument = 4;
  while (argument < line.size() && line[argument] == ' ') ++argument;
  const bool has_argument = argument > 4 && argument < line.size();
  if (StartsWithWord(line, "PORT") && has_argument) {
    out.word = FtpWord::kPort;
    ReadSixNumbers(line, argument, &out);
    // A client says nothing else.
    if (out.end != line.size()) out.sound = false;
  } else if (StartsWithWord(line, "EPRT") && has_argument) {
    out.word = FtpWord::kEprt;
    ReadExtended(line, argument, /*open=*/false, &out);
    if (out.end != line.size()) out.sound = false;
  } else if (StartsWithWord(line, "PASV") && argument >= line.size()) {
    out.word = FtpWord::kPasv;
  } else if (StartsWithWord(line, "EPSV") &&
             (argument >= line.size() || has_argument)) {
    // "EPSV ALL" asks for nothing now, and its answer is no 229.
    out.word = FtpWord::kEpsv;
  }
  return out;
}

FtpLine ParseFtpReply(std::string_view line) {
  FtpLine out;
  if (line.size() < 4 || line[3] != ' ' || !IsDigit(line[0]) ||
      !IsDigit(line[1]) || !IsDigit(line[2])) {
    return out;
  }
  const std::string_view code = line.substr(0, 3);
  if (code == "227") {
    // With or without parentheses: servers differ.
    out.word = FtpWord::kPassive;
    size_t begin = line.find('(', 4);
    begin = begin == std::string_view::npos ? 4 : begin + 1;
    while (begin < line.size() && !IsDigit(line[begin])) ++begin;
    ReadSixNumbers(line, begin, &out);
  } else if (code == "229") {
    out.word = FtpWord::kExtended;
    const size_t begin = line.find('(', 4);
    if (begin != std::string_view::npos) {
      ReadExtended(line, begin + 1, /*open=*/true, &out);
    }
  } else if (code[0] == '4' || code[0] == '5') {
    out.word = FtpWord::kRefused;
  }
  return out;
}

}  // namespace sluice
