#include <sstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "pftable/host/host_facts.h"
#include "toml++/toml.h"

namespace sluice {
namespace {

constexpr size_t kMaxFactsBytes = 4 << 20;

// Reads one document. The first error stops it.
class FactsReader {
 public:
  FactsReader(std::string_view name, HostFacts& facts)
      : name_(name), facts_(facts) {}

  absl::Status Read(const toml::table& root) {
    for (const auto& [key, value] : root) {
      const toml::node& node = value;  // clang 14 captures no binding
      if (key == "interface") {
        Interfaces(node);
      } else if (key == "hosts") {
        Hosts(node);
      } else if (key == "services") {
        // (clang 14 does not capture a structured binding by reference.)
        const toml::node& at = node;
        Numbers(node, 65535, [&](std::string service, uint32_t port) {
          const size_t slash = service.find('/');
          const std::string transport =
              slash == service.npos ? "" : service.substr(slash + 1);
          if (transport != "tcp" && transport != "udp" &&
              transport != "sctp") {
            Fail(at, "a service is \"NAME/tcp\", \"NAME/udp\" or "
                       "\"NAME/sctp\", not \"" + service + "\"");
            return;
          }
          facts_.AddService(service.substr(0, slash), transport,
                            static_cast<uint16_t>(port));
        });
      } else if (key == "protocols") {
        Numbers(node, 255, [&](std::string p, uint32_t number) {
          facts_.AddProtocol(std::move(p), static_cast<uint8_t>(number));
        });
      } else if (key == "users") {
        Numbers(node, 0xfffffffe, [&](std::string u, uint32_t id) {
          facts_.AddUser(std::move(u), id);
        });
      } else if (key == "groups") {
        Numbers(node, 0xfffffffe, [&](std::string g, uint32_t id) {
          facts_.AddGroup(std::move(g), id);
        });
      } else {
        Fail(node, "unknown table '" + std::string(key.str()) +
                       "', known are interface, hosts, services, protocols, "
                       "users and groups");
      }
    }
    return status_;
  }

 private:
  void Fail(const toml::node& node, const std::string& what) {
    if (!status_.ok()) return;
    const toml::source_position at = node.source().begin;
    status_ = absl::InvalidArgumentError(
        std::string(name_) + ":" + std::to_string(at.line) + ":" +
        std::to_string(at.column) + ": " + what);
  }

  template <typename Use>
  void Numbers(const toml::node& node, int64_t highest, Use use) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return Fail(node, "a table of numbers is wanted");
    for (const auto& [key, value] : *table) {
      const std::optional<int64_t> number =
          value.template value_exact<int64_t>();
      if (!number || *number < 0 || *number > highest) {
        return Fail(value, "'" + std::string(key.str()) +
                               "' wants a number from 0 to " +
                               std::to_string(highest));
      }
      use(std::string(key.str()), static_cast<uint32_t>(*number));
    }
  }

  std::optional<Address> ReadAddress(const toml::node& node) {
    const auto text = node.value_exact<std::string>();
    const auto address = text ? ParseAddress(*text) : std::nullopt;
    if (!address) Fail(node, "an IPv4 or IPv6 address in quotes is wanted");
    return address;
  }

  void Hosts(const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return Fail(node, "'hosts' is a table");
    for (const auto& [key, value] : *table) {
      const toml::array* list = value.as_array();
      if (list == nullptr) return Fail(value, "a list of addresses is wanted");
      std::vector<Address> addresses;
      for (const toml::node& item : *list) {
        const auto address = ReadAddress(item);
        if (!address) return;
        addresses.push_back(*address);
      }
      facts_.AddHost(std::string(key.str()), std::move(addresses));
    }
  }

  void Interfaces(const toml::node& node) {
    const toml::array* list = node.as_array();
    if (list == nullptr) return Fail(node, "write [[interface]]");
    for (const toml::node& item : *list) {
      const toml::table* table = item.as_table();
      if (table == nullptr) return Fail(item, "write [[interface]]");
      Interface(*table);
    }
    if (!list->empty()) facts_.set_names_all_interfaces();
  }

  void Interface(const toml::table& table) {
    InterfaceFacts interface;
    for (const auto& [key, value] : table) {
      if (key == "name") {
        interface.name = value.value_exact<std::string>().value_or("");
      } else if (key == "loopback") {
        interface.loopback = value.value_exact<bool>().value_or(false);
      } else if (key == "groups") {
        const toml::array* groups = value.as_array();
        if (groups == nullptr) return Fail(value, "'groups' is a list");
        for (const toml::node& group : *groups) {
          const auto name = group.value_exact<std::string>();
          if (!name) return Fail(group, "a group's name in quotes is wanted");
          interface.groups.push_back(*name);
        }
      } else if (key == "addresses") {
        const toml::array* addresses = value.as_array();
        if (addresses == nullptr) return Fail(value, "'addresses' is a list");
        for (const toml::node& a : *addresses) {
          if (!InterfaceAddressOf(a, interface)) return;
        }
      } else {
        return Fail(value, "unknown key '" + std::string(key.str()) +
                               "' of an interface");
      }
    }
    if (interface.name.empty()) return Fail(table, "an interface has a name");
    if (interface.name.rfind("lo", 0) == 0 &&
        interface.name.find_first_not_of("0123456789", 2) ==
            interface.name.npos) {
      interface.loopback = true;
    }
    facts_.AddInterface(std::move(interface));
  }

  bool InterfaceAddressOf(const toml::node& node, InterfaceFacts& interface) {
    const toml::table* table = node.as_table();
    if (table == nullptr || table->get("address") == nullptr) {
      Fail(node, "an address is {address=\"...\", prefix=N}");
      return false;
    }
    const auto address = ReadAddress(*table->get("address"));
    if (!address) return false;
    InterfaceAddress out = {.address = *address,
                            .prefix = 0,
                            .broadcast = std::nullopt,
                            .peer = std::nullopt};
    int64_t prefix = AddressBits(address->family);
    for (const auto& [key, value] : *table) {
      if (key == "prefix") {
        prefix = value.value_exact<int64_t>().value_or(-1);
      } else if (key == "broadcast") {
        out.broadcast = ReadAddress(value);
      } else if (key == "peer") {
        out.peer = ReadAddress(value);
      } else if (key != "address") {
        Fail(value, "unknown key '" + std::string(key.str()) +
                        "' of an address");
      }
      if (!status_.ok()) return false;
    }
    if (prefix < 0 || prefix > AddressBits(address->family)) {
      Fail(node, "'prefix' is a number of bits of the address");
      return false;
    }
    out.prefix = static_cast<uint8_t>(prefix);
    interface.addresses.push_back(out);
    return true;
  }

  std::string_view name_;
  HostFacts& facts_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<HostFacts> HostFacts::FromToml(std::string_view text,
                                              std::string_view name) {
  if (text.size() > kMaxFactsBytes) {
    return absl::InvalidArgumentError(std::string(name) +
                                      ": host facts of more than 4 MiB");
  }
  try {
    const toml::table root = toml::parse(text, name);
    HostFacts facts;
    if (absl::Status s = FactsReader(name, facts).Read(root); !s.ok()) {
      return s;
    }
    return facts;
  } catch (const toml::parse_error& e) {
    const toml::source_position at = e.source().begin;
    return absl::InvalidArgumentError(
        std::string(name) + ":" + std::to_string(at.line) + ":" +
        std::to_string(at.column) + ": " + std::string(e.description()));
  }
}

}  // namespace sluice
