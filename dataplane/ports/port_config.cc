#include "dataplane/ports/port_config.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/build_limits.h"
#include "dataplane/host/pci_address.h"

namespace sluice {
namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool PortConfig::is_pci() const { return IsPciAddress(device_name()); }

std::string_view PortConfig::device_name() const {
  if (is_vhost()) return vhost.path;
  return std::string_view(device).substr(0, device.find(','));
}

std::string_view PortConfig::interface() const {
  constexpr std::string_view kKey = ",iface=";
  const std::string_view text = device;
  const size_t at = text.find(kKey);
  if (at == std::string_view::npos) return {};
  const std::string_view value = text.substr(at + kKey.size());
  return value.substr(0, value.find(','));
}

HostFacts FactsOf(std::span<const PortConfig> ports) {
  HostFacts facts;
  facts.AddSystemNames();
  for (const PortConfig& port : ports) {
    InterfaceFacts interface;
    interface.name = port.name;
    interface.groups = port.groups;
    for (const Prefix& prefix : port.addresses) {
      interface.addresses.push_back(HostFacts::PortAddress(prefix));
    }
    facts.AddInterface(std::move(interface));
  }
  if (!ports.empty()) facts.set_names_all_interfaces();
  return facts;
}

bool IsNameByte(char c) {
  return IsNameStart(c) || IsDigit(c) || c == '_' || c == '-' || c == '.';
}

bool IsPortName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxPortName &&
         IsNameStart(name.front()) && std::ranges::all_of(name, IsNameByte);
}

bool IsGroupName(std::string_view name) {
  return IsPortName(name) && !IsDigit(name.back());
}

bool IsReservedName(std::string_view name) {
  return name == "any" || name == "all" || name == "self" ||
         name == "rdomain";
}

bool IsTapName(std::string_view name) {
  return IsPortName(name) && name.size() <= kMaxTapName;
}

bool IsNetns(std::string_view name) {
  if (name.empty() || name.size() > kMaxNetns || name == "." || name == "..") {
    return false;
  }
  if (name.front() == '/') return true;
  return std::ranges::all_of(name, IsNameByte);
}

std::string NetnsPath(std::string_view netns) {
  std::string path(netns);
  if (!path.starts_with('/')) path.insert(0, "/run/netns/");
  return path;
}

bool IsVdevName(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' &&
         std::ranges::all_of(text, [](char c) {
           return IsDigit(c) || (c >= 'a' && c <= 'z') || c == '_';
         });
}

}  // namespace sluice
