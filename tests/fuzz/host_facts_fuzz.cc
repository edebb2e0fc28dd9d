// Any bytes as what is known of a host. The first says as which text: 'p' as
// the ports of a sluice.toml, 's' as /etc/services, 'r' as /etc/protocols, all
// others as a file of facts.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "pftable/host/host_facts.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckFacts(const HostFacts& facts) {
  for (const InterfaceFacts& interface : facts.interfaces()) {
    Require(!interface.name.empty());
    for (const InterfaceAddress& address : interface.addresses) {
      Require(address.prefix <= AddressBits(address.address.family));
    }
    // What is listed is found.
    Require(facts.FindInterface(interface.name) != nullptr);
    Require(!facts.Resolve(interface.name).empty());
    for (const std::string& group : interface.groups) {
      Require(!facts.Resolve(group).empty());
    }
  }
  Require(facts.Resolve("self").size() == facts.interfaces().size());
  for (const std::string_view name : facts.HostNames()) {
    facts.Host(name, /*ask=*/false);
  }
  for (const std::string_view name : facts.ProtocolNames()) {
    const std::optional<uint8_t> number = facts.Protocol(name);
    Require(number.has_value());
    facts.ProtocolName(*number);
  }
  for (const std::string_view name : facts.ServiceNames()) {
    const std::optional<uint16_t> port = facts.Service(name);
    if (port.has_value()) facts.ServiceName(*port, 6);
  }
  for (const std::string_view name : facts.UserNames()) {
    Require(facts.User(name).has_value());
  }
  for (const std::string_view name : facts.GroupNames()) {
    Require(facts.Group(name).has_value());
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  sluice::HostFacts facts;
  switch (data[0]) {
    case 'p':
      facts.AddPorts(text);
      break;
    case 's':
      facts.AddServices(text);
      break;
    case 'r':
      facts.AddProtocols(text);
      break;
    default: {
      const auto read = sluice::HostFacts::FromToml(text, "facts");
      if (!read.ok()) {
        sluice::Require(!read.status().message().empty());
        return 0;
      }
      facts = *read;
    }
  }
  sluice::CheckFacts(facts);
  return 0;
}
