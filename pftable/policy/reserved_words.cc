#include "pftable/policy/reserved_words.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

enum Owner : uint8_t { kBoth, kOpenBsd, kFreeBsd };

struct Keyword {
  std::string_view word;
  Owner owner;
};

// Ascending.
constexpr Keyword kKeywords[] = {
    {"af-to", kBoth},
    {"all", kBoth},
    {"allow-opts", kBoth},
    {"allow-related", kFreeBsd},
    {"altq", kFreeBsd},
    {"anchor", kBoth},
    {"antispoof", kBoth},
    {"any", kBoth},
    {"bandwidth", kBoth},
    {"binat", kFreeBsd},
    {"binat-anchor", kFreeBsd},
    {"binat-to", kBoth},
    {"bitmask", kBoth},
    {"block", kBoth},
    {"block-policy", kBoth},
    {"bridge-to", kFreeBsd},
    {"buckets", kFreeBsd},
    {"burst", kOpenBsd},
    {"cbq", kFreeBsd},
    {"code", kBoth},
    {"codelq", kFreeBsd},
    {"crop", kFreeBsd},
    {"debug", kBoth},
    {"default", kOpenBsd},
    {"delay", kOpenBsd},
    {"divert-packet", kBoth},
    {"divert-reply", kBoth},
    {"divert-to", kBoth},
    {"dnpipe", kFreeBsd},
    {"dnqueue", kFreeBsd},
    {"drop", kBoth},
    {"drop-ovl", kFreeBsd},
    {"dup-to", kBoth},
    {"endpoint-independent", kFreeBsd},
    {"ether", kFreeBsd},
    {"fail-policy", kFreeBsd},
    {"fairq", kFreeBsd},
    {"fastroute", kFreeBsd},
    {"file", kBoth},
    {"fingerprints", kBoth},
    {"flags", kBoth},
    {"floating", kBoth},
    {"flows", kOpenBsd},
    {"flush", kBoth},
    {"for", kBoth},
    {"fragment", kBoth},
    {"from", kBoth},
    {"global", kBoth},
    {"group", kBoth},
    {"hfsc", kFreeBsd},
    {"hogs", kFreeBsd},
    {"hostid", kBoth},
    {"icmp-type", kBoth},
    {"icmp6-type", kBoth},
    {"if-bound", kBoth},
    {"in", kBoth},
    {"include", kBoth},
    {"inet", kBoth},
    {"inet6", kBoth},
    {"interval", kFreeBsd},
    {"keep", kBoth},
    {"keepcounters", kFreeBsd},
    {"l3", kFreeBsd},
    {"label", kBoth},
    {"least-states", kOpenBsd},
    {"limit", kBoth},
    {"linkshare", kFreeBsd},
    {"load", kBoth},
    {"log", kBoth},
    {"loginterface", kBoth},
    {"map-e-portset", kFreeBsd},
    {"match", kBoth},
    {"matches", kBoth},
    {"max", kBoth},
    {"max-mss", kBoth},
    {"max-pkt-rate", kBoth},
    {"max-pkt-size", kFreeBsd},
    {"max-src-conn", kBoth},
    {"max-src-conn-rate", kBoth},
    {"max-src-nodes", kBoth},
    {"max-src-states", kBoth},
    {"min", kOpenBsd},
    {"min-ttl", kBoth},
    {"modulate", kBoth},
    {"nat", kFreeBsd},
    {"nat-anchor", kFreeBsd},
    {"nat-to", kBoth},
    {"no", kBoth},
    {"no-df", kBoth},
    {"no-route", kBoth},
    {"no-sync", kBoth},
    {"on", kBoth},
    {"once", kBoth},
    {"optimization", kBoth},
    {"os", kBoth},
    {"out", kBoth},
    {"overload", kBoth},
    {"parent", kOpenBsd},
    {"pass", kBoth},
    {"pflow", kBoth},
    {"port", kBoth},
    {"prefer-ipv6-nexthop", kFreeBsd},
    {"prio", kBoth},
    {"priority", kFreeBsd},
    {"priq", kFreeBsd},
    {"probability", kBoth},
    {"proto", kBoth},
    {"qlimit", kBoth},
    {"quantum", kOpenBsd},
    {"queue", kBoth},
    {"quick", kBoth},
    {"random", kBoth},
    {"random-id", kBoth},
    {"rdomain", kOpenBsd},
    {"rdr", kFreeBsd},
    {"rdr-anchor", kFreeBsd},
    {"rdr-to", kBoth},
    {"realtime", kFreeBsd},
    {"reassemble", kBoth},
    {"received-on", kBoth},
    {"reply-to", kBoth},
    {"require-order", kFreeBsd},
    {"return", kBoth},
    {"return-icmp", kBoth},
    {"return-icmp6", kBoth},
    {"return-rst", kBoth},
    {"ridentifier", kFreeBsd},
    {"round-robin", kBoth},
    {"route", kBoth},
    {"route-to", kBoth},
    {"rtable", kBoth},
    {"rule", kBoth},
    {"ruleset-optimization", kBoth},
    {"scrub", kBoth},
    {"set", kBoth},
    {"set-tos", kFreeBsd},
    {"skip", kBoth},
    {"sloppy", kBoth},
    {"source-hash", kBoth},
    {"source-track", kBoth},
    {"state", kBoth},
    {"state-defaults", kBoth},
    {"state-policy", kBoth},
    {"static-port", kBoth},
    {"sticky-address", kBoth},
    {"syncookies", kBoth},
    {"synproxy", kBoth},
    {"table", kBoth},
    {"tag", kBoth},
    {"tagged", kBoth},
    {"target", kFreeBsd},
    {"tbrsize", kFreeBsd},
    {"timeout", kBoth},
    {"to", kBoth},
    {"tos", kBoth},
    {"ttl", kBoth},
    {"upperlimit", kFreeBsd},
    {"urpf-failed", kBoth},
    {"user", kBoth},
    {"weight", kOpenBsd},
};

const Keyword* Find(std::string_view word) {
  const Keyword* const at = std::lower_bound(
      std::begin(kKeywords), std::end(kKeywords), word,
      [](const Keyword& k, std::string_view w) { return k.word < w; });
  return at != std::end(kKeywords) && at->word == word ? at : nullptr;
}

}  // namespace

const std::vector<std::string_view>& ReservedWords() {
  static const auto& words = *[] {
    auto* all = new std::vector<std::string_view>;
    for (const Keyword& k : kKeywords) all->push_back(k.word);
    return all;
  }();
  return words;
}

bool IsReservedWord(std::string_view word) { return Find(word) != nullptr; }

bool IsReservedWord(std::string_view word, Dialect dialect) {
  const Keyword* const keyword = Find(word);
  if (keyword == nullptr) return false;
  return keyword->owner == kBoth ||
         (keyword->owner == kOpenBsd) == (dialect == Dialect::kOpenBsd);
}

}  // namespace sluice
