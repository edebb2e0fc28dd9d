// What a ruleset may name of a host: interfaces with groups and addresses,
// hosts, services, protocols, users, groups. They come from the system that
// the program runs on, or from a file, so that a ruleset can be checked on
// another machine than its firewall.
#ifndef SLUICE_PFTABLE_HOST_HOST_FACTS_H_
#define SLUICE_PFTABLE_HOST_HOST_FACTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "packet/address.h"

namespace sluice {

struct InterfaceAddress {
  Address address;
  uint8_t prefix = 0;
  std::optional<Address> broadcast;
  std::optional<Address> peer;
};

struct InterfaceFacts {
  std::string name;
  std::vector<std::string> groups;
  std::vector<InterfaceAddress> addresses;
  bool loopback = false;
};

class HostFacts {
 public:
  // Knows nothing but the common protocols and services.
  HostFacts();

  // Asks the system: interfaces and their addresses (each interface is in the
  // group of its name without the number; those of the default route are in
  // "egress"), /etc/services, /etc/protocols. Hosts, users and groups are
  // looked up when they are asked for.
  static absl::StatusOr<HostFacts> FromSystem();
  // The names that the system has for services, protocols, users and groups;
  // no interfaces and no hosts.
  void AddSystemNames();
  // The text of an /etc/services and of an /etc/protocols (services(5),
  // protocols(5)). Lines that are none add nothing.
  void AddServices(std::string_view text);
  void AddProtocols(std::string_view text);
  // The ports that a sluice.toml names, as interfaces with their groups and
  // addresses. All else in it is the daemon's to check; text that is no TOML
  // adds nothing.
  void AddPorts(std::string_view sluice_toml);
  // The address of a port: its network as `prefix`, the last address of an
  // IPv4 network that has room for it as the broadcast address.
  static InterfaceAddress PortAddress(const Prefix& prefix);
  // The form of `--facts`:
  //   [[interface]]
  //   name = "em0"
  //   groups = ["egress"]
  //   addresses = [{address="10.0.0.1", prefix=24, broadcast="10.0.0.255"}]
  //   [hosts]
  //   localhost = ["127.0.0.1", "::1"]
  //   [services]
  //   "ssh/tcp" = 22
  //   [protocols]
  //   tcp = 6
  //   [users]
  //   root = 0
  //   [groups]
  //   wheel = 0
  // `name` is for messages. At most 4 MiB of text.
  static absl::StatusOr<HostFacts> FromToml(std::string_view text,
                                            std::string_view name);

  void AddInterface(InterfaceFacts interface);
  void AddHost(std::string name, std::vector<Address> addresses);
  // `protocol` is "tcp", "udp" or "sctp". The first name of a number is the
  // one that is printed.
  void AddService(std::string name, std::string protocol, uint16_t port);
  void AddProtocol(std::string name, uint8_t number);
  void AddUser(std::string name, uint32_t id);
  void AddGroup(std::string name, uint32_t id);

  const std::vector<InterfaceFacts>& interfaces() const { return interfaces_; }
  // Whether there are no others: so it is where a file or the daemon's
  // configuration names them, and not on the system that a ruleset for another
  // machine is checked on.
  bool names_all_interfaces() const { return names_all_interfaces_; }
  void set_names_all_interfaces() { names_all_interfaces_ = true; }
  const InterfaceFacts* FindInterface(std::string_view name) const;
  // The interface of that name, or the members of that group; all interfaces
  // for "self".
  std::vector<const InterfaceFacts*> Resolve(std::string_view name) const;

  // All addresses of a host name; with `ask`, the system's resolver too.
  std::vector<Address> Host(std::string_view name, bool ask) const;
  // Any of TCP, UDP and SCTP that has the name.
  std::optional<uint16_t> Service(std::string_view name) const;
  std::optional<std::string> ServiceName(uint16_t port,
                                         uint8_t protocol) const;
  std::optional<uint8_t> Protocol(std::string_view name) const;
  std::optional<std::string> ProtocolName(uint8_t number) const;
  std::optional<uint32_t> User(std::string_view name) const;
  std::optional<uint32_t> Group(std::string_view name) const;

  // From now on what the resolver says is kept, and it is asked once a name.
  void KeepResolved();
  // What it has said so far.
  const std::map<std::string, std::vector<Address>, std::less<>>& resolved()
      const;

  // What is known without asking the system, for hints.
  std::vector<std::string_view> HostNames() const;
  std::vector<std::string_view> ServiceNames() const;
  std::vector<std::string_view> ProtocolNames() const;
  std::vector<std::string_view> UserNames() const;
  std::vector<std::string_view> GroupNames() const;

 private:
  std::vector<InterfaceFacts> interfaces_;
  bool names_all_interfaces_ = false;
  std::map<std::string, std::vector<Address>, std::less<>> hosts_;
  std::map<std::string, uint16_t, std::less<>> services_;  // "ssh/tcp"
  std::map<std::pair<uint16_t, std::string>, std::string> service_names_;
  std::map<std::string, uint8_t, std::less<>> protocols_;
  std::map<uint8_t, std::string> protocol_names_;
  std::map<std::string, uint32_t, std::less<>> users_;
  std::map<std::string, uint32_t, std::less<>> groups_;
  // Set by KeepResolved(); shared by copies.
  std::shared_ptr<std::map<std::string, std::vector<Address>, std::less<>>>
      resolved_;
  // Set by FromSystem().
  std::function<std::vector<Address>(const std::string&)> resolve_host_;
  std::function<std::optional<uint32_t>(const std::string&)> resolve_user_;
  std::function<std::optional<uint32_t>(const std::string&)> resolve_group_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_HOST_HOST_FACTS_H_
