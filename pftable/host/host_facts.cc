#include "pftable/host/host_facts.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pftable/policy/names.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 3> kTransports = {"tcp", "udp",
                                                         "sctp"};

template <typename Map>
auto Lookup(const Map& map, std::string_view key)
    -> std::optional<typename Map::mapped_type> {
  const auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  return found->second;
}

template <typename Map>
std::vector<std::string_view> Keys(const Map& map) {
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

}  // namespace

HostFacts::HostFacts() {
  for (const NumberName& p : CommonProtocols()) {
    protocols_[std::string(p.name)] = static_cast<uint8_t>(p.number);
  }
  protocols_["icmp6"] = 58;
  for (const NumberName& s : CommonServices()) {
    for (std::string_view transport : kTransports) {
      services_[std::string(s.name) + '/' + std::string(transport)] = s.number;
    }
  }
}

void HostFacts::AddInterface(InterfaceFacts interface) {
  interfaces_.push_back(std::move(interface));
}

void HostFacts::AddHost(std::string name, std::vector<Address> addresses) {
  hosts_[std::move(name)] = std::move(addresses);
}

void HostFacts::AddService(std::string name, std::string protocol,
                           uint16_t port) {
  services_[name + '/' + protocol] = port;
  service_names_.try_emplace({port, std::move(protocol)}, std::move(name));
}

void HostFacts::AddProtocol(std::string name, uint8_t number) {
  protocols_[name] = number;
  protocol_names_.try_emplace(number, std::move(name));
}

void HostFacts::AddUser(std::string name, uint32_t id) {
  users_[std::move(name)] = id;
}

void HostFacts::AddGroup(std::string name, uint32_t id) {
  groups_[std::move(name)] = id;
}

const InterfaceFacts* HostFacts::FindInterface(std::string_view name) const {
  for (const InterfaceFacts& i : interfaces_) {
    if (i.name == name) return &i;
  }
  return nullptr;
}

std::vector<const InterfaceFacts*> HostFacts::Resolve(
    std::string_view name) const {
  std::vector<const InterfaceFacts*> out;
  for (const InterfaceFacts& i : interfaces_) {
    if (name == "self" || std::find(i.groups.begin(), i.groups.end(), name) !=
                              i.groups.end()) {
      out.push_back(&i);
    }
  }
  // As in pf, a group hides an interface of its name.
  if (out.empty()) {
    if (const InterfaceFacts* i = FindInterface(name)) out.push_back(i);
  }
  return out;
}

std::vector<Address> HostFacts::Host(std::string_view name, bool ask) const {
  if (auto known = Lookup(hosts_, name)) return *std::move(known);
  if (!ask || !resolve_host_) return {};
  if (resolved_ == nullptr) return resolve_host_(std::string(name));
  const auto [known, fresh] =
      resolved_->try_emplace(std::string(name), std::vector<Address>());
  if (fresh) known->second = resolve_host_(known->first);
  return known->second;
}

void HostFacts::KeepResolved() {
  resolved_ = std::make_shared<
      std::map<std::string, std::vector<Address>, std::less<>>>();
}

const std::map<std::string, std::vector<Address>, std::less<>>&
HostFacts::resolved() const {
  static const auto& none =
      *new std::map<std::string, std::vector<Address>, std::less<>>();
  return resolved_ == nullptr ? none : *resolved_;
}

std::optional<uint16_t> HostFacts::Service(std::string_view name) const {
  for (std::string_view transport : kTransports) {
    std::string key(name);
    key += '/';
    key += transport;
    if (auto port = Lookup(services_, key)) return port;
  }
  return std::nullopt;
}

std::optional<std::string> HostFacts::ServiceName(uint16_t port,
                                                  uint8_t protocol) const {
  const std::string transport = protocol == 6 ? "tcp" : "udp";
  const auto found = service_names_.find({port, transport});
  if (found != service_names_.end()) return found->second;
  for (const NumberName& s : CommonServices()) {
    // A host that gave the name to another port has none for this one.
    if (s.number == port &&
        Lookup(services_, std::string(s.name) + '/' + transport) == port) {
      return std::string(s.name);
    }
  }
  return std::nullopt;
}

std::optional<uint8_t> HostFacts::Protocol(std::string_view name) const {
  return Lookup(protocols_, name);
}

std::optional<std::string> HostFacts::ProtocolName(uint8_t number) const {
  const auto found = protocol_names_.find(number);
  if (found != protocol_names_.end()) return found->second;
  for (const NumberName& p : CommonProtocols()) {
    if (p.number == number && Protocol(p.name) == number) {
      return std::string(p.name);
    }
  }
  return std::nullopt;
}

std::vector<std::string_view> HostFacts::HostNames() const {
  return Keys(hosts_);
}

std::vector<std::string_view> HostFacts::ServiceNames() const {
  std::vector<std::string_view> names;
  for (const auto& [key, port] : services_) {
    const std::string_view name =
        std::string_view(key).substr(0, key.rfind('/'));
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

std::vector<std::string_view> HostFacts::ProtocolNames() const {
  return Keys(protocols_);
}

std::vector<std::string_view> HostFacts::UserNames() const {
  return Keys(users_);
}

std::vector<std::string_view> HostFacts::GroupNames() const {
  return Keys(groups_);
}

std::optional<uint32_t> HostFacts::User(std::string_view name) const {
  if (auto id = Lookup(users_, name)) return id;
  if (resolve_user_) return resolve_user_(std::string(name));
  return std::nullopt;
}

std::optional<uint32_t> HostFacts::Group(std::string_view name) const {
  if (auto id = Lookup(groups_, name)) return id;
  if (resolve_group_) return resolve_group_(std::string(name));
  return std::nullopt;
}

}  // namespace sluice
