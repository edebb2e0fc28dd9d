#include "pftable/policy/names.h"

#include <array>
#include <string>

#include "absl/strings/ascii.h"

namespace sluice {
namespace {

// The numbers are IANA's; the words are pf's.
constexpr IcmpTypeName kIcmpTypes[] = {
    {"echoreq", 8},     {"echorep", 0},     {"unreach", 3},
    {"squench", 4},     {"redir", 5},       {"althost", 6},
    {"routeradv", 9},   {"routersol", 10},  {"timex", 11},
    {"paramprob", 12},  {"timereq", 13},    {"timerep", 14},
    {"inforeq", 15},    {"inforep", 16},    {"maskreq", 17},
    {"maskrep", 18},    {"trace", 30},      {"dataconv", 31},
    {"mobredir", 32},   {"ipv6-where", 33}, {"ipv6-here", 34},
    {"mobregreq", 35},  {"mobregrep", 36},  {"skip", 39},
    {"photuris", 40},
};

// Numbers with two names print the first.
constexpr IcmpTypeName kIcmp6Types[] = {
    {"unreach", 1},      {"toobig", 2},      {"timex", 3},
    {"paramprob", 4},    {"echoreq", 128},   {"echorep", 129},
    {"groupqry", 130},   {"listqry", 130},   {"grouprep", 131},
    {"listenrep", 131},  {"groupterm", 132}, {"listendone", 132},
    {"routersol", 133},  {"routeradv", 134}, {"neighbrsol", 135},
    {"neighbradv", 136}, {"redir", 137},     {"routrrenum", 138},
    {"wrureq", 139},     {"fqdnreq", 139},   {"niqry", 139},
    {"wrurep", 140},     {"fqdnrep", 140},   {"nirep", 140},
    {"mtraceresp", 200}, {"mtrace", 201},    {"listenrepv2", 143},
};

constexpr IcmpCodeName kIcmpCodes[] = {
    {"net-unr", 3, 0},         {"host-unr", 3, 1},
    {"proto-unr", 3, 2},       {"port-unr", 3, 3},
    {"needfrag", 3, 4},        {"srcfail", 3, 5},
    {"net-unk", 3, 6},         {"host-unk", 3, 7},
    {"isolate", 3, 8},         {"net-prohib", 3, 9},
    {"host-prohib", 3, 10},    {"net-tos", 3, 11},
    {"host-tos", 3, 12},       {"filter-prohib", 3, 13},
    {"host-preced", 3, 14},    {"cutoff-preced", 3, 15},
    {"redir-net", 5, 0},       {"redir-host", 5, 1},
    {"redir-tos-net", 5, 2},   {"redir-tos-host", 5, 3},
    {"normal-adv", 9, 0},      {"common-adv", 9, 16},
    {"transit", 11, 0},        {"reassemb", 11, 1},
    {"badhead", 12, 0},        {"optmiss", 12, 1},
    {"badlen", 12, 2},         {"unknown-ind", 40, 0},
    {"auth-fail", 40, 1},      {"decrypt-fail", 40, 2},
};

constexpr IcmpCodeName kIcmp6Codes[] = {
    {"admin-unr", 1, 1},    {"noroute-unr", 1, 0},  {"beyond-unr", 1, 2},
    {"notnbr-unr", 1, 2},   {"addr-unr", 1, 3},     {"port-unr", 1, 4},
    {"transit", 3, 0},      {"reassemb", 3, 1},     {"badhead", 4, 0},
    {"nxthdr", 4, 1},       {"redironlink", 137, 0}, {"redirrouter", 137, 1},
};

constexpr std::string_view kTcpFlagLetters = "FSRPAUEW";

constexpr NumberName kTos[] = {
    {"critical", 0xa0},   {"inetcontrol", 0xc0}, {"internetcontrol", 0xc0},
    {"lowdelay", 0x10},   {"netcontrol", 0xe0},  {"reliability", 0x04},
    {"throughput", 0x08}, {"af11", 0x28},        {"af12", 0x30},
    {"af13", 0x38},       {"af21", 0x48},        {"af22", 0x50},
    {"af23", 0x58},       {"af31", 0x68},        {"af32", 0x70},
    {"af33", 0x78},       {"af41", 0x88},        {"af42", 0x90},
    {"af43", 0x98},       {"cs0", 0x00},         {"cs1", 0x20},
    {"cs2", 0x40},        {"cs3", 0x60},         {"cs4", 0x80},
    {"cs5", 0xa0},        {"cs6", 0xc0},         {"cs7", 0xe0},
    {"ef", 0xb8},         {"va", 0xb0},
};

constexpr NumberName kProtocols[] = {
    {"icmp", 1},      {"igmp", 2},    {"ipencap", 4}, {"st", 5},
    {"tcp", 6},       {"egp", 8},     {"igp", 9},     {"udp", 17},
    {"dccp", 33},     {"ipv6", 41},   {"rsvp", 46},   {"gre", 47},
    {"esp", 50},      {"ah", 51},     {"skip", 57},   {"ipv6-icmp", 58},
    {"eigrp", 88},    {"ospf", 89},   {"etherip", 97}, {"encap", 98},
    {"pim", 103},     {"ipcomp", 108}, {"carp", 112}, {"vrrp", 112},
    {"l2tp", 115},    {"sctp", 132},  {"udplite", 136}, {"pfsync", 240},
};

constexpr NumberName kServices[] = {
    {"echo", 7},           {"discard", 9},       {"daytime", 13},
    {"chargen", 19},       {"ftp-data", 20},     {"ftp", 21},
    {"ssh", 22},           {"telnet", 23},       {"smtp", 25},
    {"time", 37},          {"whois", 43},        {"tacacs", 49},
    {"domain", 53},        {"bootps", 67},       {"bootpc", 68},
    {"tftp", 69},          {"gopher", 70},       {"finger", 79},
    {"http", 80},          {"www", 80},          {"kerberos", 88},
    {"pop3", 110},         {"sunrpc", 111},      {"auth", 113},
    {"ident", 113},        {"nntp", 119},        {"ntp", 123},
    {"netbios-ns", 137},   {"netbios-dgm", 138}, {"netbios-ssn", 139},
    {"imap", 143},         {"imap2", 143},       {"snmp", 161},
    {"snmptrap", 162},     {"bgp", 179},         {"irc", 194},
    {"ldap", 389},         {"https", 443},       {"microsoft-ds", 445},
    {"submissions", 465},  {"isakmp", 500},      {"exec", 512},
    {"login", 513},        {"syslog", 514},      {"printer", 515},
    {"ipp", 631},          {"submission", 587},  {"ldaps", 636},
    {"rsync", 873},        {"imaps", 993},       {"pop3s", 995},
    {"socks", 1080},       {"openvpn", 1194},    {"radius", 1812},
    {"radius-acct", 1813}, {"nfs", 2049},        {"mysql", 3306},
    {"rdp", 3389},         {"ipsec-nat-t", 4500}, {"sip", 5060},
    {"sips", 5061},        {"postgresql", 5432}, {"x11", 6000},
    {"http-alt", 8080},
};

constexpr std::string_view kOpenBsdDebug[] = {
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
constexpr std::string_view kFreeBsdDebug[] = {"none", "urgent", "misc",
                                              "loud"};

}  // namespace

std::span<const IcmpTypeName> IcmpTypeNames(Family family) {
  if (family == Family::kIpv6) return kIcmp6Types;
  return kIcmpTypes;
}

std::span<const IcmpCodeName> IcmpCodeNames(Family family) {
  if (family == Family::kIpv6) return kIcmp6Codes;
  return kIcmpCodes;
}

std::optional<uint8_t> IcmpTypeByName(std::string_view name, Family family) {
  for (const IcmpTypeName& t : IcmpTypeNames(family)) {
    if (t.name == name) return t.type;
  }
  return std::nullopt;
}

std::optional<uint8_t> IcmpCodeByName(std::string_view name, uint8_t type,
                                      Family family) {
  for (const IcmpCodeName& c : IcmpCodeNames(family)) {
    if (c.type == type && c.name == name) return c.code;
  }
  return std::nullopt;
}

std::string IcmpTypeText(uint8_t type, Family family) {
  for (const IcmpTypeName& t : IcmpTypeNames(family)) {
    if (t.type == type) return std::string(t.name);
  }
  return std::to_string(type);
}

std::string IcmpCodeText(uint8_t type, uint8_t code, Family family,
                         Dialect dialect) {
  if (family == Family::kIpv6 && type == 1 && code == 2) {
    return dialect == Dialect::kOpenBsd ? "beyond-unr" : "notnbr-unr";
  }
  for (const IcmpCodeName& c : IcmpCodeNames(family)) {
    if (c.type == type && c.code == code) return std::string(c.name);
  }
  return std::to_string(code);
}

std::optional<uint8_t> ParseTcpFlags(std::string_view text) {
  uint8_t flags = 0;
  for (char c : text) {
    const size_t bit = kTcpFlagLetters.find(c);
    if (bit == kTcpFlagLetters.npos) return std::nullopt;
    flags |= static_cast<uint8_t>(1u << bit);
  }
  return flags;
}

std::string TcpFlagsText(uint8_t flags) {
  std::string out;
  for (size_t bit = 0; bit < kTcpFlagLetters.size(); ++bit) {
    if (flags & (1u << bit)) out += kTcpFlagLetters[bit];
  }
  return out;
}

std::optional<uint8_t> TosByName(std::string_view name) {
  // AF11 and EF are written so in RFCs.
  std::string lower(name);
  absl::AsciiStrToLower(&lower);
  for (const NumberName& t : kTos) {
    if (t.name == lower) return static_cast<uint8_t>(t.number);
  }
  return std::nullopt;
}

std::vector<std::string_view> TosNames() {
  std::vector<std::string_view> names;
  for (const NumberName& t : kTos) names.push_back(t.name);
  return names;
}

std::span<const NumberName> CommonProtocols() { return kProtocols; }
std::span<const NumberName> CommonServices() { return kServices; }

std::string_view Name(RouteKind kind) {
  switch (kind) {
    case RouteKind::kNone:
      return "";
    case RouteKind::kRouteTo:
      return "route-to";
    case RouteKind::kReplyTo:
      return "reply-to";
    case RouteKind::kDupTo:
      return "dup-to";
  }
  return "";
}

std::span<const std::string_view> DebugWords(Dialect dialect) {
  if (dialect == Dialect::kOpenBsd) return kOpenBsdDebug;
  return kFreeBsdDebug;
}

}  // namespace sluice
