// The sections [[port]], [[wire]], [[segment]] and [[router]] of the configuration.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/config/config.h"
#include "dataplane/config/config_reader.h"

namespace sluice {

class PortSections {
 public:
  // Neither is owned.
  PortSections(ConfigReader* reader, Config* config)
      : reader_(reader), config_(config) {}

  // What is wrong is reported to the reader. Wires name ports: after them.
  void ReadPorts(const toml::table& root);
  void ReadWires(const toml::table& root);
  // After the wires.
  void ReadSegments(const toml::table& root);
  // After the segments (config_routers.cc).
  void ReadRouters(const toml::table& root);

 private:
  void ReadParent(const toml::table& table, PortConfig* port);
  void CheckParents();
  void ReadSegment(const toml::table& table, SegmentConfig* segment);
  void ReadFixed(const toml::table& table, SegmentConfig* segment);
  void ReadTap(const toml::table& table, PortConfig* port);
  void ReadRouter(const toml::table& table, RouterConfig* router);
  // Ports with a `tap` that have no router, interfaces that two ports want.
  void CheckTaps();
  // What is said of a [[segment]] or a [[router]]: which of the two it is, and
  // what could stand there.
  struct Holder {
    const char* kind;
    const char* name;   // name = NAME
    const char* ports;  // ports = PORTS
  };
  // Its name, which none of `others` has.
  template <typename Section>
  void ReadName(const toml::table& table, const Holder& holder,
                const std::vector<Section>& others, std::string* name);
  // Its ports, which are on nothing else.
  void ReadPortNames(const toml::table& table, const Holder& holder,
                     const std::string& name, std::vector<std::string>* ports);
  // The index of the port of that name, which is on nothing yet and is now.
  std::optional<uint16_t> TakePort(const std::string& name,
                                   const toml::source_region& place);
  void ReadPort(const toml::table& table, PortConfig* port);
  void ReadVhost(const toml::table& table, PortConfig* port);
  void ReadDevice(const toml::table& table, PortConfig* port);
  void CheckNames();

  ConfigReader* const reader_;
  Config* const config_;
  // Of each port and group name, in order, for the checks across ports.
  std::vector<toml::source_region> port_places_;
  // Of logical ports, of those that say their MTU.
  std::vector<bool> has_mtu_;
  // Of ports that say their TAP, where they do.
  std::map<uint16_t, toml::source_region> tap_places_;
  // By name and by index: what a port is on, "a wire", "segment lan" or
  // "router edge".
  std::map<std::string, uint16_t, std::less<>> by_name_;
  std::vector<std::string> used_;
  struct GroupPlace {
    std::string name;
    toml::source_region place;
  };
  std::vector<GroupPlace> groups_;
};

template <typename Section>
void PortSections::ReadName(const toml::table& table, const Holder& holder,
                            const std::vector<Section>& others,
                            std::string* name) {
  if (!table.contains("name")) {
    reader_->Error(table.source(),
                   absl::StrCat("[[", holder.kind, "]] has no 'name'"),
                   absl::StrCat("give one: name = ", holder.name));
    return;
  }
  if (!reader_->String(table, "name", name)) return;
  const toml::source_region& place = table.get("name")->source();
  if (!IsPortName(*name)) {
    reader_->Error(place,
                   absl::StrCat("a ", holder.kind, " cannot be named \"", *name,
                                "\""),
                   absl::StrCat("use a letter, then letters, digits, '_', "
                                "'-' and '.', at most ",
                                kMaxPortName, " bytes"));
  }
  for (const Section& other : others) {
    if (other.name != *name) continue;
    reader_->Error(place,
                   absl::StrCat("there are two ", holder.kind, "s named '",
                                *name, "'"),
                   absl::StrCat("give each ", holder.kind,
                                " a name of its own"));
  }
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_PORTS_H_
