#include "dataplane/packetlog/pflog.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice {
namespace {

constexpr size_t kNameBytes = 16;
// OpenBSD's header has the addresses and ports in the end, FreeBSD's the rule
// identifier. Each says its length in its first byte and is padded to four.
constexpr uint8_t kOpenBsdHeader = 100;
constexpr uint8_t kFreeBsdHeader = 69;
// BSD's numbers of the families.
constexpr uint8_t kAfInet = 2;
constexpr uint8_t kAfInet6OpenBsd = 24;
constexpr uint8_t kAfInet6FreeBsd = 28;
// Nobody's user and process.
constexpr uint32_t kNoUser = 0xffffffff;
constexpr uint32_t kNoProcess = 100000;

void PutLittle32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}
void PutBig32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}
void PutName(std::string_view name, std::string* out) {
  name = name.substr(0, kNameBytes - 1);
  out->append(name);
  out->append(kNameBytes - name.size(), '\0');
}

// pf's numbers of actions.
uint8_t ActionOf(RuleAction action) {
  switch (action) {
    case RuleAction::kPass: return 0;
    case RuleAction::kBlock: return 1;
    default: return 12;  // match
  }
}

// Source and destination as pf_addr, then the ports in network order.
void PutEndpoints(const LogRecord& record, std::string* out) {
  const bool v6 = record.family == Family::kIpv6;
  const size_t bytes = v6 ? 16 : 4;
  const size_t source = v6 ? 8 : 12;
  const size_t header =
      v6 ? 40 : (record.captured > 0 ? (record.bytes[0] & 0xf) * 4u : 20u);
  for (const size_t at : {source, source + bytes}) {
    std::array<char, 16> address{};
    if (record.captured >= at + bytes) {
      std::memcpy(address.data(), record.bytes.data() + at, bytes);
    }
    out->append(address.data(), address.size());
  }
  const uint8_t proto =
      record.captured >= 20 ? record.bytes[v6 ? 6 : 9] : uint8_t{0};
  const bool ports = proto == 6 || proto == 17;
  for (size_t i = 0; i < 4; ++i) {
    const bool there = ports && record.captured >= header + 4;
    out->push_back(there ? static_cast<char>(record.bytes[header + i]) : '\0');
  }
}

}  // namespace

std::string PflogFileHeader() {
  std::string out;
  PutLittle32(0xa1b2c3d4, &out);  // times in microseconds
  PutLittle32(4u << 16 | 2, &out);  // version 2.4
  PutLittle32(0, &out);
  PutLittle32(0, &out);
  PutLittle32(kOpenBsdHeader + kLogBytes, &out);
  PutLittle32(kPflogLinkType, &out);
  return out;
}

void AppendPflogRecord(const LogRecord& record, const PflogContext& context,
                       std::string* out) {
  const bool openbsd = context.dialect == Dialect::kOpenBsd;
  const uint8_t length = openbsd ? kOpenBsdHeader : kFreeBsdHeader;
  const uint32_t padded = (length + 3u) / 4 * 4;
  PutLittle32(static_cast<uint32_t>(context.time / 1'000'000), out);
  PutLittle32(static_cast<uint32_t>(context.time % 1'000'000), out);
  PutLittle32(padded + record.captured, out);
  PutLittle32(padded + record.length, out);

  const size_t begin = out->size();
  out->push_back(static_cast<char>(length));
  out->push_back(static_cast<char>(
      record.family == Family::kIpv4 ? kAfInet
      : openbsd                      ? kAfInet6OpenBsd
                                     : kAfInet6FreeBsd));
  out->push_back(static_cast<char>(ActionOf(record.action)));
  out->push_back(static_cast<char>(record.reason));
  PutName(context.interface, out);
  PutName(context.anchor, out);
  PutBig32(context.rule, out);
  PutBig32(context.subrule, out);
  PutBig32(kNoUser, out);
  PutBig32(kNoProcess, out);
  PutBig32(context.loader_uid, out);
  PutBig32(static_cast<uint32_t>(context.loader_pid), out);
  out->push_back(record.direction == Direction::kIn ? 1 : 2);
  if (openbsd) {
    out->push_back(0);  // not rewritten
    out->push_back((*out)[begin + 1]);  // the family after translation
    out->push_back(0);
    PutEndpoints(record, out);
  } else {
    out->append(3, '\0');
    PutBig32(context.rule_identifier, out);
  }
  out->append(padded - (out->size() - begin), '\0');
  out->append(reinterpret_cast<const char*>(record.bytes.data()),
              record.captured);
}

}  // namespace sluice
