// A rule as it is written, with its lists: between parsing and expansion.
// Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_SYNTAX_H_
#define SLUICE_PFTABLE_LANGUAGE_SYNTAX_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pftable/policy/policy.h"
#include "pftable/policy/rule.h"

namespace sluice {

struct HostItem {
  AddressMatch match;
  Family family = Family::kNone;  // kNone: tables, dynamic addresses, any
  // The interface of a link-local address: it fits only rules on that one.
  std::string scope;
  std::string route_interface;  // `(if gw)`
  uint16_t weight = 0;
  // Of `em0/60`: more bits than an address of this family has. It is wrong
  // only where a rule uses it.
  uint8_t excess_mask = 0;
  SourcePlace place;
};

struct PortItem {
  PortMatch match;
  SourcePlace place;
};

struct ProtocolItem {
  uint8_t number = 0;
  SourcePlace place;
};

struct InterfaceItem {
  InterfaceMatch match;
  int32_t rdomain = -1;
  bool dynamic = false;  // antispoof for (if)
  SourcePlace place;
};

struct IcmpItem {
  bool is_set = false;
  Family family = Family::kIpv4;
  uint8_t type = 0;
  std::optional<uint8_t> code;
  SourcePlace place;
};

// An empty list is no condition.
struct EndpointSyntax {
  std::vector<HostItem> hosts;
  std::vector<PortItem> ports;
  std::vector<std::string> fingerprints;
};

struct PoolSyntax {
  std::vector<HostItem> hosts;
  Pool pool;  // all but the addresses
  bool in_braces = false;
  bool port_to_any = false;  // `port N:*`, as many as the rule has
  SourcePlace place;
};

struct RuleSyntax {
  Rule rule;  // what is the same in each expanded rule
  std::vector<InterfaceItem> interfaces;
  std::vector<ProtocolItem> protocols;
  EndpointSyntax source;
  EndpointSyntax destination;
  std::vector<IcmpItem> icmp;
  std::vector<IdMatch> users;
  std::vector<IdMatch> groups;
  bool flags_given = false;
  bool state_given = false;
  bool state_options_given = false;
  bool state_lock_given = false;
  std::optional<PoolSyntax> nat;
  std::optional<PoolSyntax> rdr;
  std::optional<PoolSyntax> binat;
  std::optional<PoolSyntax> route;
  // divert-to: what its address may be, one for each family.
  std::vector<HostItem> divert;
  // Where an option stands, for messages about it.
  SourcePlace flags_place;
  SourcePlace state_place;
  SourcePlace block_place;
  SourcePlace fragment_place;
  SourcePlace divert_place;
  SourcePlace options_place;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_SYNTAX_H_
