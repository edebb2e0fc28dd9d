// The virtual devices that DPDK's drivers on this machine make, known without
// starting it: each driver's library says what it is called and what it takes.
#ifndef SLUICE_DATAPLANE_DAEMON_DRIVER_LIST_H_
#define SLUICE_DATAPLANE_DAEMON_DRIVER_LIST_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// Arguments as the drivers describe them, "iface=<string> qpairs=<int>", by
// driver: "net_af_packet".
using DriverList = std::map<std::string, std::string, std::less<>>;

// What the libraries in a folder say; a folder that is not there has none.
DriverList ReadDrivers(const std::string& folder);
// Of the folder that EAL loads its drivers from. Nothing: it cannot be known.
std::optional<DriverList> DriversOfSystem();

// The driver that DPDK would give the device to: the one whose name, or older
// name, the device's name begins with. Null: none would have it.
const DriverList::value_type* DriverFor(const DriverList& drivers,
                                        std::string_view device_name);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_DRIVER_LIST_H_
