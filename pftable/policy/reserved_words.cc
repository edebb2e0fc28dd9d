#include "pftable/policy/reserved_words.h"

#include <iterator>
#include <set>

namespace sluice {
namespace {

constexpr std::string_view kReserved[] = {
    "all",           "allow-opts",     "allow-related", "altq",
    "anchor",        "antispoof",      "any",           "bandwidth",
    "binat",         "binat-anchor",   "binat-to",      "bitmask",
    "block",         "block-policy",   "bridge-to",     "code",
    "debug",         "divert-packet",  "divert-reply",  "divert-to",
    "dnpipe",        "dnqueue",        "drop",          "dup-to",
    "endpoint-independent", "ether",   "fail-policy",   "file",
    "fingerprints",  "flags",          "floating",      "flush",
    "for",           "fragment",       "from",          "global",
    "group",         "hostid",         "icmp-type",     "icmp6-type",
    "if-bound",      "in",             "include",       "inet",
    "inet6",         "keep",           "keepcounters",  "l3",
    "label",         "least-states",   "limit",         "load",
    "log",           "loginterface",   "map-e-portset", "match",
    "max",           "max-mss",        "max-pkt-rate",  "max-pkt-size",
    "max-src-conn",  "max-src-conn-rate", "max-src-nodes",
    "max-src-states", "min-ttl",       "modulate",      "nat",
    "nat-anchor",    "nat-to",         "af-to",         "no",
    "no-df",         "no-route",       "no-sync",       "on",
    "once",          "optimization",   "os",            "out",
    "overload",      "pass",           "pflow",         "port",
    "prio",          "probability",    "proto",         "queue",
    "quick",         "random",         "random-id",     "rdomain",
    "rdr",           "rdr-anchor",     "rdr-to",        "reassemble",
    "received-on",   "reply-to",       "require-order", "return",
    "return-icmp",   "return-icmp6",   "return-rst",    "ridentifier",
    "round-robin",   "route",          "route-to",      "rtable",
    "rule",          "ruleset-optimization", "scrub",   "set",
    "set-tos",       "skip",           "sloppy",        "source-hash",
    "source-track",  "state",          "state-defaults", "state-policy",
    "static-port",   "sticky-address", "syncookies",    "synproxy",
    "table",         "tag",            "tagged",        "timeout",
    "to",            "tos",            "ttl",           "urpf-failed",
    "user",          "weight",         "prefer-ipv6-nexthop",
};

}  // namespace

const std::vector<std::string_view>& ReservedWords() {
  static const auto& words = *new std::vector<std::string_view>(
      std::begin(kReserved), std::end(kReserved));
  return words;
}

bool IsReservedWord(std::string_view word) {
  static const auto& words = *new std::set<std::string_view>(
      std::begin(kReserved), std::end(kReserved));
  return words.count(word) != 0;
}

}  // namespace sluice
