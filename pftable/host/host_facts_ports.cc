// What the daemon's configuration says of ports, for rulesets.
#include <optional>
#include <string>
#include <utility>

#include "pftable/host/host_facts.h"
#include "toml++/toml.h"

namespace sluice {
namespace {

// The last address of an IPv4 network that has room for a broadcast address.
std::optional<Address> BroadcastOf(const Prefix& prefix) {
  if (prefix.address.family != Family::kIpv4 || prefix.length > 30) {
    return std::nullopt;
  }
  const uint32_t mask = prefix.length == 0 ? 0 : ~0u << (32 - prefix.length);
  return Address::V4(prefix.address.v4().host() | ~mask);
}

// The strings of a list; none if it is no list.
std::vector<std::string> Strings(const toml::table& table,
                                 std::string_view key) {
  std::vector<std::string> out;
  const toml::node* node = table.get(key);
  const toml::array* list = node != nullptr ? node->as_array() : nullptr;
  if (list == nullptr) return out;
  for (const toml::node& item : *list) {
    if (auto text = item.value_exact<std::string>()) {
      out.push_back(*std::move(text));
    }
  }
  return out;
}

}  // namespace

InterfaceAddress HostFacts::PortAddress(const Prefix& prefix) {
  return {.address = prefix.address,
          .prefix = prefix.length,
          .broadcast = BroadcastOf(prefix),
          .peer = std::nullopt};
}

void HostFacts::AddPorts(std::string_view sluice_toml) {
  toml::table root;
  try {
    root = toml::parse(sluice_toml);
  } catch (const toml::parse_error&) {
    return;
  }
  const toml::node* node = root.get("port");
  const toml::array* ports = node != nullptr ? node->as_array() : nullptr;
  if (ports == nullptr) return;
  for (const toml::node& item : *ports) {
    const toml::table* table = item.as_table();
    if (table == nullptr) continue;
    const toml::node* name = table->get("name");
    const auto text =
        name != nullptr ? name->value_exact<std::string>() : std::nullopt;
    if (!text || text->empty()) continue;
    InterfaceFacts port;
    port.name = *text;
    port.groups = Strings(*table, "groups");
    for (const std::string& address : Strings(*table, "addresses")) {
      if (const auto prefix = ParsePrefix(address)) {
        port.addresses.push_back(PortAddress(*prefix));
      }
    }
    AddInterface(std::move(port));
    set_names_all_interfaces();
  }
}

}  // namespace sluice
