#include "packet/icmp_family.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice {
namespace {

enum Icmp4Type : uint8_t {
  kEchoReply4 = 0,
  kUnreachable4 = 3,
  kEcho4 = 8,
  kTimeExceeded4 = 11,
  kParameter4 = 12,
};
enum Icmp6Type : uint8_t {
  kUnreachable6 = 1,
  kTooBig6 = 2,
  kTimeExceeded6 = 3,
  kParameter6 = 4,
  kEcho6 = 128,
  kEchoReply6 = 129,
};
// Codes.
constexpr uint8_t kHost4 = 1;
constexpr uint8_t kProtocol4 = 2;
constexpr uint8_t kPort4 = 3;
constexpr uint8_t kNeedsFragments4 = 4;
constexpr uint8_t kHostProhibited4 = 10;
constexpr uint8_t kNoRoute6 = 0;
constexpr uint8_t kProhibited6 = 1;
constexpr uint8_t kBeyondScope6 = 2;
constexpr uint8_t kAddress6 = 3;
constexpr uint8_t kPort6 = 4;
constexpr uint8_t kErroneousField6 = 0;
constexpr uint8_t kNextHeader6 = 1;
constexpr uint32_t kNextHeaderOffset = 6;

// No code of the other family, no field of the other header.
constexpr uint8_t kNone = 0xff;
// In place of a code: the message has another type.
constexpr uint8_t kOther = 0xfe;

// By code of "unreachable" in IPv4. A precedence that a host or router does not
// take (14) is nothing in IPv6.
constexpr std::array<uint8_t, 16> kUnreachableCodes = {
    kNoRoute6,    kNoRoute6,    kOther,    kPort6,
    kOther,       kNoRoute6,    kNoRoute6, kNoRoute6,
    kNoRoute6,    kProhibited6, kProhibited6, kNoRoute6,
    kNoRoute6,    kProhibited6, kNone,     kProhibited6};

// By offset in an IPv4 header, that of the same field in one of IPv6; none of
// identification, fragment and checksum.
constexpr std::array<uint8_t, 20> kPointers4 = {
    0, 1, 4, 4, kNone, kNone, kNone, kNone, 7, 6,
    kNone, kNone, 8, 8, 8, 8, 24, 24, 24, 24};

// The MTUs that links have (RFC 1191 section 7.1).
constexpr uint32_t kPlateaus[] = {32000, 17914, 8166, 4352, 2002,
                                  1492,  1006,  508,  296,  68};

uint8_t PointerOf6(uint32_t pointer) {
  if (pointer >= 40) return kNone;
  if (pointer >= 24) return 16;
  if (pointer >= 8) return 12;
  constexpr std::array<uint8_t, 8> kFields = {0, 1, kNone, kNone, 2, 2, 9, 8};
  return kFields[pointer];
}

// The four bytes behind the checksum.
uint32_t WordOf(const wire::Icmp& icmp) {
  return uint32_t{icmp.id.host()} << 16 | icmp.sequence.host();
}
void SetWord(wire::Icmp* icmp, uint32_t word) {
  icmp->id = Be16(static_cast<uint16_t>(word >> 16));
  icmp->sequence = Be16(static_cast<uint16_t>(word));
}

bool Set(wire::Icmp* icmp, uint8_t type, uint8_t code, uint32_t word) {
  icmp->type = type;
  icmp->code = code;
  SetWord(icmp, word);
  return true;
}

uint32_t MtuOf6(uint32_t mtu4, uint32_t quoted_length) {
  if (mtu4 == 0) {
    for (const uint32_t plateau : kPlateaus) {
      mtu4 = plateau;
      if (plateau < quoted_length) break;
    }
  }
  return std::max(mtu4 + kFamilyGrowth, kIpv6LeastMtu);
}

bool ToIpv6(uint32_t quoted_length, wire::Icmp* icmp) {
  const uint8_t code = icmp->code;
  switch (icmp->type) {
    case kEcho4:
      icmp->type = kEcho6;
      return true;
    case kEchoReply4:
      icmp->type = kEchoReply6;
      return true;
    case kUnreachable4: {
      if (code >= kUnreachableCodes.size()) return false;
      if (code == kProtocol4) {
        return Set(icmp, kParameter6, kNextHeader6, kNextHeaderOffset);
      }
      if (code == kNeedsFragments4) {
        return Set(icmp, kTooBig6, 0,
                   MtuOf6(icmp->sequence.host(), quoted_length));
      }
      const uint8_t other = kUnreachableCodes[code];
      return other != kNone && Set(icmp, kUnreachable6, other, 0);
    }
    case kTimeExceeded4:
      return Set(icmp, kTimeExceeded6, code, 0);
    case kParameter4: {
      // 1 is an option that is missing, which is nothing here.
      const uint32_t pointer = WordOf(*icmp) >> 24;
      if ((code != 0 && code != 2) || pointer >= kPointers4.size() ||
          kPointers4[pointer] == kNone) {
        return false;
      }
      return Set(icmp, kParameter6, kErroneousField6, kPointers4[pointer]);
    }
    default:
      return false;
  }
}

bool ToIpv4(wire::Icmp* icmp) {
  const uint8_t code = icmp->code;
  switch (icmp->type) {
    case kEcho6:
      icmp->type = kEcho4;
      return true;
    case kEchoReply6:
      icmp->type = kEchoReply4;
      return true;
    case kUnreachable6:
      switch (code) {
        case kNoRoute6:
        case kBeyondScope6:
        case kAddress6:
          return Set(icmp, kUnreachable4, kHost4, 0);
        case kProhibited6:
          return Set(icmp, kUnreachable4, kHostProhibited4, 0);
        case kPort6:
          return Set(icmp, kUnreachable4, kPort4, 0);
        default:
          return false;
      }
    case kTooBig6: {
      const uint32_t mtu = std::clamp<uint32_t>(
          WordOf(*icmp), 68 + kFamilyGrowth, 0xffff + kFamilyGrowth);
      return Set(icmp, kUnreachable4, kNeedsFragments4, mtu - kFamilyGrowth);
    }
    case kTimeExceeded6:
      return Set(icmp, kTimeExceeded4, code, 0);
    case kParameter6: {
      if (code == kNextHeader6) {
        return Set(icmp, kUnreachable4, kProtocol4, 0);
      }
      const uint8_t pointer = PointerOf6(WordOf(*icmp));
      if (code != kErroneousField6 || pointer == kNone) return false;
      return Set(icmp, kParameter4, 0, uint32_t{pointer} << 24);
    }
    default:
      return false;
  }
}

}  // namespace

bool TranslateIcmp(Family from, uint32_t quoted_length, wire::Icmp* icmp) {
  return from == Family::kIpv4 ? ToIpv6(quoted_length, icmp) : ToIpv4(icmp);
}

}  // namespace sluice
