#include "tests/support/packet_text.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "packet/packet.h"
#include "tests/support/packet_words.h"

namespace sluice {
namespace {

struct Word {
  std::string text;
  bool quoted = false;
};

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::string_view(what.data(), what.size()));
}

// Words are separated by blanks; "..." is one word, with the escapes of C;
// <...> is one word that begins with '<'; braces stand alone.
absl::StatusOr<std::vector<Word>> Split(std::string_view text) {
  std::vector<Word> words;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == ' ' || c == '\t') {
      ++i;
    } else if (c == '{' || c == '}') {
      words.push_back({.text = std::string(1, c)});
      ++i;
    } else if (c == '<') {
      const size_t end = text.find('>', i);
      if (end == std::string_view::npos) return Wrong("a '<' without '>'");
      words.push_back({.text = std::string(text.substr(i, end - i))});
      i = end + 1;
    } else if (c == '"') {
      Word word{.text = "", .quoted = true};
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
          word.text += text[i];
          continue;
        }
        const char escape = text[++i];
        if (escape == 'n') {
          word.text += '\n';
        } else if (escape == 'r') {
          word.text += '\r';
        } else if (escape == '0') {
          word.text += '\0';
        } else if (escape == 'x' && i + 2 < text.size()) {
          const auto byte = ParseHex(text.substr(i + 1, 2));
          if (!byte) return Wrong("\\x needs two hexadecimal digits");
          word.text += static_cast<char>(byte->front());
          i += 2;
        } else {
          word.text += escape;
        }
      }
      if (i == text.size()) return Wrong("a string without its end");
      ++i;
      words.push_back(std::move(word));
    } else {
      const size_t end = text.find_first_of(" \t{}\"", i);
      words.push_back({.text = std::string(text.substr(i, end - i))});
      i = end == std::string_view::npos ? text.size() : end;
    }
  }
  return words;
}

std::optional<uint8_t> ParseTcpFlags(std::string_view text) {
  constexpr std::string_view kLetters = "FSRPAUEC";
  if (text == "-") return 0;
  uint8_t flags = 0;
  for (char c : text) {
    const size_t bit = kLetters.find(c);
    if (bit == std::string_view::npos) return std::nullopt;
    flags |= static_cast<uint8_t>(1 << bit);
  }
  if (text.empty()) return std::nullopt;
  return flags;
}

class Parser {
 public:
  Parser(std::vector<Word> words, const PacketSpec* same)
      : words_(std::move(words)), same_(same) {}

  absl::StatusOr<PacketSpec> Parse() {
    if (absl::Status s = Head(); !s.ok()) return s;
    while (next_ < words_.size()) {
      if (absl::Status s = Keyword(); !s.ok()) return s;
    }
    return spec_;
  }

 private:
  std::string Take() {
    return next_ < words_.size() ? words_[next_++].text : std::string();
  }
  const std::string& Peek() const {
    static const std::string kNone;
    return next_ < words_.size() ? words_[next_].text : kNone;
  }

  absl::Status Head() {
    const std::string head = Take();
    if (head == "same") {
      if (same_ == nullptr) return Wrong("there is no packet before `same`");
      spec_ = *same_;
      return absl::OkStatus();
    }
    if (head == "hex") {
      spec_.form = PacketForm::kHex;
      const auto bytes = ParseHex(Take());
      if (!bytes) return Wrong("hex: hexadecimal digits expected");
      spec_.payload = *bytes;
      return absl::OkStatus();
    }
    if (head == "eth") {
      spec_.form = PacketForm::kEthernet;
      const auto type = ParseNumber(Take());
      if (!type || *type < 0 || *type > 0xffff) {
        return Wrong("eth: an ethertype expected");
      }
      spec_.Set(Field::kEtherType, *type);
      return absl::OkStatus();
    }
    if (head == "arp") {
      spec_.form = PacketForm::kArp;
      const std::string operation = Take();
      if (operation != "request" && operation != "reply") {
        return Wrong("arp: `request` or `reply` expected");
      }
      spec_.arp_operation = operation == "request" ? 1 : 2;
      return Addresses(false);
    }
    if (head == "ip") {
      spec_.form = PacketForm::kIp;
      return Addresses(false);
    }
    if (head == "icmp") {
      spec_.form = PacketForm::kIcmp;
      if (absl::Status s = Addresses(false); !s.ok()) return s;
      return IcmpType();
    }
    if (head == "tcp") {
      spec_.form = PacketForm::kTcp;
      if (absl::Status s = Addresses(true); !s.ok()) return s;
      const auto flags = ParseTcpFlags(Peek());
      if (!flags) {
        return Wrong("tcp: flags expected after the addresses, as in `SA`; "
                     "`-` for none");
      }
      spec_.tcp_flags = *flags;
      ++next_;
      return absl::OkStatus();
    }
    if (head == "udp" || head == "sctp") {
      spec_.form = head == "udp" ? PacketForm::kUdp : PacketForm::kSctp;
      return Addresses(true);
    }
    return Wrong(absl::StrCat("`", head, "` is no kind of packet"));
  }

  absl::Status Addresses(bool with_ports) {
    if (absl::Status s = OneAddress(with_ports, spec_.source,
                                    spec_.source_port);
        !s.ok()) {
      return s;
    }
    if (Take() != ">") return Wrong("`>` expected between the addresses");
    return OneAddress(with_ports, spec_.destination, spec_.destination_port);
  }

  absl::Status OneAddress(bool with_port, Address& address, uint16_t& port) {
    const std::string word = Take();
    std::string_view text = word;
    if (with_port) {
      const size_t colon = text.rfind(':');
      const auto number = colon == std::string_view::npos
                              ? std::nullopt
                              : ParseNumber(text.substr(colon + 1));
      if (!number || *number < 0 || *number > 65535) {
        return Wrong(absl::StrCat("`", word, "`: ADDRESS:PORT expected"));
      }
      port = static_cast<uint16_t>(*number);
      text = text.substr(0, colon);
    }
    if (text.starts_with('[') && text.ends_with(']')) {
      text = text.substr(1, text.size() - 2);
    }
    const auto parsed = ParseAddress(text);
    if (!parsed) return Wrong(absl::StrCat("`", word, "` is no address"));
    address = *parsed;
    return absl::OkStatus();
  }

  absl::Status IcmpType() {
    const std::string name = Take();
    const auto parsed = ParseIcmpName(spec_.source.family, name, Peek());
    if (!parsed) {
      return Wrong(absl::StrCat("`", name, " ", Peek(),
                                "` is no ICMP message of this family"));
    }
    spec_.icmp_type = parsed->type;
    if (parsed->code != 0) spec_.Set(Field::kIcmpCode, parsed->code);
    if (parsed->detail_used) ++next_;
    return absl::OkStatus();
  }

  absl::Status Number(Field field, const std::string& keyword) {
    const std::string word = Take();
    FieldValue& value = spec_.fields[static_cast<size_t>(field)];
    if (word == "*") {
      value = {FieldState::kAny, 0};
      return absl::OkStatus();
    }
    if (word == "bad") {
      value = {FieldState::kWrong, 0};
      return absl::OkStatus();
    }
    const bool plus = word.starts_with('+');
    const bool relative = plus || word.starts_with('-');
    const auto number = ParseNumber(std::string_view(word).substr(plus));
    if (!number) {
      return Wrong(absl::StrCat("`", keyword, " ", word,
                                "`: a number expected"));
    }
    value = {relative ? FieldState::kRelative : FieldState::kGiven, *number};
    return absl::OkStatus();
  }

  // The words up to the closing brace, which is used up as well.
  absl::StatusOr<std::vector<Word>> Braces(const std::string& keyword) {
    if (Take() != "{") return Wrong(absl::StrCat(keyword, ": `{` expected"));
    std::vector<Word> inside;
    for (int depth = 1; next_ < words_.size(); ++next_) {
      const Word& word = words_[next_];
      if (!word.quoted && word.text == "{") ++depth;
      if (!word.quoted && word.text == "}" && --depth == 0) {
        ++next_;
        return inside;
      }
      inside.push_back(word);
    }
    return Wrong(absl::StrCat(keyword, ": `}` expected"));
  }

  absl::Status Data() {
    if (next_ == words_.size()) return Wrong("data: what?");
    const Word& word = words_[next_++];
    if (word.quoted) {
      spec_.payload.insert(spec_.payload.end(), word.text.begin(),
                           word.text.end());
      return absl::OkStatus();
    }
    if (word.text.starts_with("0x")) {
      const auto bytes = ParseHex(std::string_view(word.text).substr(2));
      if (!bytes) return Wrong("data: hexadecimal digits expected");
      spec_.payload.insert(spec_.payload.end(), bytes->begin(), bytes->end());
      return absl::OkStatus();
    }
    const auto count = ParseNumber(word.text);
    if (!count || *count < 0 || *count > 70000) {
      return Wrong(absl::StrCat("data: `", word.text,
                                "`: a length, a string or 0x... expected"));
    }
    for (int64_t i = 0; i < *count; ++i) {
      spec_.payload.push_back(static_cast<uint8_t>('a' + i % 26));
    }
    return absl::OkStatus();
  }

  absl::Status Inner() {
    absl::StatusOr<std::vector<Word>> words = Braces("inner");
    if (!words.ok()) return words.status();
    absl::StatusOr<PacketSpec> inner =
        Parser(*std::move(words), same_).Parse();
    if (!inner.ok()) return inner.status();
    absl::StatusOr<std::vector<uint8_t>> bytes = BuildIpPacket(*inner);
    if (!bytes.ok()) return bytes.status();
    spec_.payload.insert(spec_.payload.end(), bytes->begin(), bytes->end());
    return absl::OkStatus();
  }

  absl::Status Ipv4Options() {
    absl::StatusOr<std::vector<Word>> words = Braces("ipopts");
    if (!words.ok()) return words.status();
    spec_.ip_options.clear();
    for (const Word& word : *words) {
      const auto bytes = Ipv4OptionBytes(word.text);
      if (!bytes) {
        return Wrong(absl::StrCat("`", word.text, "` is no IPv4 option"));
      }
      spec_.ip_options.insert(spec_.ip_options.end(), bytes->begin(),
                              bytes->end());
    }
    while (spec_.ip_options.size() % 4 != 0) spec_.ip_options.push_back(0);
    if (spec_.ip_options.size() > 40) {
      return Wrong("ipopts: more than 40 bytes");
    }
    return absl::OkStatus();
  }

  absl::Status Extensions() {
    absl::StatusOr<std::vector<Word>> words = Braces("ext");
    if (!words.ok()) return words.status();
    spec_.extensions.clear();
    std::optional<size_t> cut;
    for (const Word& word : *words) {
      if (word.text == "|") {
        cut = spec_.extensions.size();
        continue;
      }
      std::string_view name = word.text;
      int64_t count = 1;
      if (const size_t star = name.find('*');
          star != std::string_view::npos) {
        count = ParseNumber(name.substr(star + 1)).value_or(-1);
        name = name.substr(0, star);
      }
      const auto header = ExtensionHeaderBytes(name);
      if (!header || count < 1 || count > 1000) {
        return Wrong(absl::StrCat("`", word.text,
                                  "` is no IPv6 extension header"));
      }
      for (int64_t i = 0; i < count; ++i) spec_.extensions.push_back(*header);
    }
    spec_.unfragmentable_extensions = cut.value_or(spec_.extensions.size());
    return absl::OkStatus();
  }

  absl::Status Mac(const std::string& keyword,
                   std::optional<MacAddress>& mac) {
    mac = ParseMac(Take());
    if (!mac) return Wrong(absl::StrCat(keyword, ": a MAC address expected"));
    return absl::OkStatus();
  }

  absl::Status Keyword() {
    const std::string word = Take();
    if (const auto field = NumberKeyword(word)) return Number(*field, word);
    if (word == "data") return Data();
    if (word == "inner") return Inner();
    if (word == "ipopts") return Ipv4Options();
    if (word == "ext") return Extensions();
    if (word == "ethsrc") return Mac(word, spec_.ether_source);
    if (word == "ethdst") return Mac(word, spec_.ether_destination);
    if (word == "untagged") {
      for (const Field f :
           {Field::kVlan, Field::kVlanPrio, Field::kOuterVlan}) {
        spec_.fields[static_cast<size_t>(f)] = {};
      }
      return absl::OkStatus();
    }
    if (word == "df") {
      spec_.dont_fragment = true;
      return absl::OkStatus();
    }
    if (word == "flags") {
      const auto flags = ParseTcpFlags(Take());
      if (!flags) return Wrong("flags: letters of FSRPAUEC expected");
      spec_.tcp_flags = *flags;
      return absl::OkStatus();
    }
    if (word.starts_with('<')) {
      const auto bytes = TcpOptionBytes(std::string_view(word).substr(1));
      if (!bytes || spec_.form != PacketForm::kTcp) {
        return Wrong(absl::StrCat("`", word, ">` are no TCP options"));
      }
      spec_.tcp_options = *bytes;
      return absl::OkStatus();
    }
    if (word == "tftp") {
      std::vector<std::string> rest;
      while (next_ < words_.size()) rest.push_back(Take());
      const auto bytes = TftpBytes(rest);
      if (!bytes) return Wrong("tftp: rrq, wrq, data, ack, error or oack");
      spec_.payload.insert(spec_.payload.end(), bytes->begin(), bytes->end());
      return absl::OkStatus();
    }
    if (word == "part") {
      const auto offset = ParseNumber(Take());
      const auto length = ParseNumber(Take());
      if (!offset || !length || *offset < 0 || *length < 1) {
        return Wrong("part: OFFSET LENGTH expected");
      }
      spec_.part = PacketSpec::Part{static_cast<uint32_t>(*offset),
                                    static_cast<uint32_t>(*length)};
      return absl::OkStatus();
    }
    if (word == "frag") {
      std::string offset = Take();
      const bool more = offset.ends_with('+');
      if (more) offset.pop_back();
      const auto number = ParseNumber(offset);
      if (!number || *number < 0 || *number % 8 != 0 || *number > 65528) {
        return Wrong("frag: OFFSET or OFFSET+ expected, a multiple of 8");
      }
      spec_.raw_fragment =
          PacketSpec::RawFragment{static_cast<uint32_t>(*number), more};
      return absl::OkStatus();
    }
    if (word == "cut" || word == "pad") {
      const auto number = ParseNumber(Take());
      if (!number || (word == "pad" && (*number < 0 || *number > 10000))) {
        return Wrong(absl::StrCat(word, ": a number expected"));
      }
      if (word == "cut") {
        spec_.cut = static_cast<int32_t>(*number);
      } else {
        spec_.padding = static_cast<uint32_t>(*number);
      }
      return absl::OkStatus();
    }
    return Wrong(absl::StrCat("`", word, "` is no word of a packet"));
  }

  std::vector<Word> words_;
  size_t next_ = 0;
  const PacketSpec* same_;
  PacketSpec spec_;
};

}  // namespace

absl::StatusOr<PacketSpec> ParsePacketText(std::string_view text,
                                           const PacketSpec* same) {
  absl::StatusOr<std::vector<Word>> words = Split(text);
  if (!words.ok()) return words.status();
  return Parser(*std::move(words), same).Parse();
}

std::vector<uint8_t> FrameFromText(std::string_view text) {
  absl::StatusOr<PacketSpec> spec = ParsePacketText(text);
  absl::StatusOr<std::vector<uint8_t>> bytes =
      spec.ok() ? BuildFrame(*spec) : spec.status();
  if (!bytes.ok()) {
    std::fprintf(stderr, "packet text \"%.*s\": %s\n",
                 static_cast<int>(text.size()), text.data(),
                 bytes.status().ToString().c_str());
    std::abort();
  }
  return *std::move(bytes);
}

}  // namespace sluice
