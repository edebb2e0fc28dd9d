// The names of interfaces and groups as small numbers. Rules are compiled to
// the numbers, and each packet carries those of its port.
#ifndef SLUICE_PFTABLE_ENGINE_INTERFACE_REGISTRY_H_
#define SLUICE_PFTABLE_ENGINE_INTERFACE_REGISTRY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "packet/address.h"
#include "pftable/engine/epochs.h"

namespace sluice {

// A port as a packet sees it. `id` is never zero for a port; bit n of `groups`
// is set when the port is in group n.
struct InterfaceView {
  uint16_t id = 0;
  uint64_t groups = 0;

  friend bool operator==(const InterfaceView&, const InterfaceView&) = default;
};

// What a name in a rule stands for: the interface of that name, the group of
// that name, or (a name that nothing has yet) nothing.
struct InterfaceName {
  uint16_t id = 0;      // 0: no interface has the name
  uint64_t groups = 0;  // one bit, or none: no group has the name

  bool Matches(InterfaceView port) const {
    return (id != 0 && port.id == id) || (port.groups & groups) != 0;
  }
  friend bool operator==(const InterfaceName&, const InterfaceName&) = default;
};

// Control side, safe from several threads. A port keeps its number when it is
// removed and made again under the same name, because states remember it, until
// the caller has found that none does (Gone(), Forget()).
//
// A group is there for as long as a port is in it. Its bit is another group's
// only when nobody holds an epoch any more in which it was there. The caller's
// part is that no worker sees a port by the groups that it had before: it calls
// AddPort() and RemovePort() when that port has been taken from the workers.
class InterfaceRegistry {
 public:
  static constexpr size_t kMaxGroups = 64;
  static constexpr size_t kMaxInterfaces = 65535;
  static constexpr size_t kMaxNameLength = 63;

  // At most kMaxInterfaces.
  explicit InterfaceRegistry(size_t max_interfaces = kMaxInterfaces)
      : max_interfaces_(max_interfaces) {}

  struct PortAddress {
    Prefix prefix;  // the address with its network's length, host bits kept
    // The first of its family that its port was given, those of the link aside:
    // `(if:0)`. AddPort() and SetAddresses() say so.
    bool primary = false;
  };

  // Makes the port known or, if it is, replaces its groups and addresses.
  // Refuses empty and overlong names, "any" and "self", and more groups or
  // interfaces than there is room for; then nothing has changed. There may be
  // room again when those have gone who hold the epochs of groups that are no
  // more.
  absl::StatusOr<InterfaceView> AddPort(
      std::string_view name, std::span<const std::string> groups = {},
      std::span<const PortAddress> addresses = {});
  // Other addresses of a port that is there; its groups stay. NotFound if it is
  // not.
  absl::Status SetAddresses(std::string_view name,
                            std::span<const PortAddress> addresses);
  // Rules that name it then match nothing. NotFound if there is none.
  absl::Status RemovePort(std::string_view name);

  InterfaceName Resolve(std::string_view name) const;
  // The addresses of the port or of the group's members; of all ports for
  // "self". Sorted, without repetitions.
  std::vector<PortAddress> Addresses(std::string_view name) const;
  // All ports that are there, in no order.
  std::vector<InterfaceView> Views() const;
  // "" for a number that nobody has.
  std::string NameOf(uint16_t id) const;

  // A port that is not there any more, but has its number still.
  struct GonePort {
    uint16_t id = 0;
    uint64_t since = 0;  // a version
  };
  // Those that no holder of an epoch knows. States may still remember them, and
  // no new ones come.
  std::vector<GonePort> Gone() const;
  size_t gone_count() const;
  // Their numbers may be other ports', unless they have come back meanwhile.
  void Forget(std::span<const GonePort> ports);

  // Grows with each change, so that a compiled policy knows that it is out of
  // date (PolicyStore::Refresh).
  uint64_t version() const;
  // The same of addresses, which change without it, too.
  uint64_t address_version() const;
  // This moment's.
  std::shared_ptr<const Epoch> Hold() const;

 private:
  struct Port {
    uint16_t id = 0;
    bool present = false;
    uint64_t gone_since = 0;
    uint64_t groups = 0;
    std::vector<PortAddress> addresses;
  };

  // The bit of a group that is no more.
  struct FreeBit {
    uint64_t bit = 0;
    std::string name;      // of the group that had it
    uint64_t version = 0;  // since when nobody is in it
  };

  // All under the mutex. The oldest version that somebody holds, or the present
  // one.
  uint64_t OldestHeld() const;
  // How many bits are there for groups that had none.
  size_t FreeBits() const;
  // One for a group that has none: its own if it had one before. There is one.
  uint64_t TakeBit(const std::string& group);
  // Of groups that nobody is in any more.
  void FreeGroups();

  const size_t max_interfaces_;
  mutable std::mutex mutex_;
  std::map<std::string, Port, std::less<>> ports_;
  std::map<std::string, uint64_t, std::less<>> groups_;
  std::vector<std::string> names_;  // by id - 1; "": nobody's
  std::deque<uint16_t> free_ids_;   // longest free first
  size_t gone_ = 0;                 // of the ports, those that are not there
  std::vector<FreeBit> free_bits_;  // longest free first
  uint64_t given_bits_ = 0;         // that some group has or had
  uint64_t version_ = 1;
  uint64_t address_version_ = 1;
  mutable Epochs epochs_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_INTERFACE_REGISTRY_H_
