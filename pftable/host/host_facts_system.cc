#include <arpa/inet.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "pftable/host/host_facts.h"

namespace sluice {
namespace {

std::optional<Address> FromSockaddr(const sockaddr* sa) {
  if (sa == nullptr) return std::nullopt;
  if (sa->sa_family == AF_INET) {
    return Address::FromBytes(
        Family::kIpv4, &reinterpret_cast<const sockaddr_in*>(sa)->sin_addr);
  }
  if (sa->sa_family == AF_INET6) {
    return Address::FromBytes(
        Family::kIpv6, &reinterpret_cast<const sockaddr_in6*>(sa)->sin6_addr);
  }
  return std::nullopt;
}

uint8_t PrefixOfMask(const std::optional<Address>& mask) {
  int bits = 0;
  if (mask) {
    for (uint8_t byte : mask->bytes) bits += std::popcount(byte);
  }
  return static_cast<uint8_t>(bits);
}

// The interfaces of the default routes.
std::vector<std::string> DefaultRouteInterfaces() {
  std::vector<std::string> out;
  std::ifstream v4("/proc/net/route");
  std::string line;
  while (std::getline(v4, line)) {
    std::istringstream fields(line);
    std::string name, destination, gateway, flags, skip, mask;
    fields >> name >> destination >> gateway >> flags >> skip >> skip >>
        skip >> mask;
    if (destination == "00000000" && mask == "00000000") out.push_back(name);
  }
  std::ifstream v6("/proc/net/ipv6_route");
  while (std::getline(v6, line)) {
    std::istringstream fields(line);
    std::string destination, length, name;
    fields >> destination >> length;
    while (fields >> name) {
    }
    if (length == "00" && destination.find_first_not_of('0') == line.npos &&
        name != "lo") {
      out.push_back(name);
    }
  }
  return out;
}

absl::Status AddInterfaces(HostFacts& facts) {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) {
    return absl::InternalError(std::string("cannot list interfaces: ") +
                               std::strerror(errno));
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw,
                                                              &freeifaddrs);
  const std::vector<std::string> egress = DefaultRouteInterfaces();
  std::vector<InterfaceFacts> interfaces;
  for (const ifaddrs* a = list.get(); a != nullptr; a = a->ifa_next) {
    auto at = std::find_if(
        interfaces.begin(), interfaces.end(),
        [&](const InterfaceFacts& i) { return i.name == a->ifa_name; });
    if (at == interfaces.end()) {
      InterfaceFacts interface;
      interface.name = a->ifa_name;
      interface.loopback = (a->ifa_flags & IFF_LOOPBACK) != 0;
      const size_t digits = interface.name.find_last_not_of("0123456789");
      interface.groups.push_back(interface.name.substr(0, digits + 1));
      if (std::find(egress.begin(), egress.end(), interface.name) !=
          egress.end()) {
        interface.groups.push_back("egress");
      }
      at = interfaces.insert(interfaces.end(), std::move(interface));
    }
    const auto address = FromSockaddr(a->ifa_addr);
    if (!address) continue;
    InterfaceAddress out = {.address = *address,
                            .prefix = PrefixOfMask(FromSockaddr(
                                a->ifa_netmask)),
                            .broadcast = std::nullopt,
                            .peer = std::nullopt};
    if (a->ifa_flags & IFF_BROADCAST) {
      out.broadcast = FromSockaddr(a->ifa_broadaddr);
    } else if (a->ifa_flags & IFF_POINTOPOINT) {
      out.peer = FromSockaddr(a->ifa_dstaddr);
    }
    at->addresses.push_back(out);
  }
  for (InterfaceFacts& i : interfaces) facts.AddInterface(std::move(i));
  return absl::OkStatus();
}

std::string TextOf(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

std::vector<Address> AskResolver(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (getaddrinfo(name.c_str(), nullptr, &hints, &raw) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(
      raw, &freeaddrinfo);
  std::vector<Address> out;
  for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
    const auto address = FromSockaddr(a->ai_addr);
    if (address && std::find(out.begin(), out.end(), *address) == out.end()) {
      out.push_back(*address);
    }
  }
  return out;
}

std::optional<uint32_t> AskUser(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(),
                 &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return entry.pw_uid;
}

std::optional<uint32_t> AskGroup(const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> buffer(65536);
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(),
                 &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return entry.gr_gid;
}

}  // namespace

absl::StatusOr<HostFacts> HostFacts::FromSystem() {
  HostFacts facts;
  if (absl::Status s = AddInterfaces(facts); !s.ok()) return s;
  facts.AddSystemNames();
  facts.resolve_host_ = AskResolver;
  return facts;
}

void HostFacts::AddSystemNames() {
  AddServices(TextOf("/etc/services"));
  AddProtocols(TextOf("/etc/protocols"));
  resolve_user_ = AskUser;
  resolve_group_ = AskGroup;
}

}  // namespace sluice
