// `sluicectl nic`: which NICs the machine has, and giving them to vfio-pci and
// back. Works on sysfs alone, without the daemon.
#ifndef SLUICE_DATAPLANE_SLUICECTL_NIC_H_
#define SLUICE_DATAPLANE_SLUICECTL_NIC_H_

#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/host/files.h"
#include "dataplane/host/pci.h"

namespace sluice {

enum class NicCommand : uint8_t { kList, kBind, kUnbind };

struct NicArguments {
  NicCommand command = NicCommand::kList;
  std::vector<std::string> devices;  // PCI addresses or interface names
  std::string driver = "vfio-pci";   // --driver, of bind
  bool force = false;                // --force
  bool json = false;                 // --json, of list
  bool help = false;
};

// `words` behind "nic".
absl::StatusOr<NicArguments> ParseNicArguments(
    std::span<const std::string> words);
std::string_view NicUsage();

class NicTool {
 public:
  using Write = std::function<absl::Status(std::string_view path,
                                           std::string_view text)>;

  // Reads below `host`, writes by `write`.
  NicTool(HostFiles host, Write write, std::ostream& out, std::ostream& err)
      : host_(std::move(host)),
        write_(std::move(write)),
        out_(out),
        err_(err) {}

  // The exit status: 0, or 1 after a message. bind and unbind look at all
  // devices before they change any; if a change fails, those made before it
  // are undone.
  int Run(const NicArguments& arguments);

 private:
  int List(bool json);
  int Bind(const NicArguments& arguments);
  int Unbind(const NicArguments& arguments);

  // What an address or an interface's name stands for.
  absl::StatusOr<PciDevice> Find(const std::string& name) const;
  // All of the command's, each once; false after a message.
  bool FindAll(const std::vector<std::string>& names,
               std::vector<PciDevice>* devices);
  // Whether it could be bound at all, and may be.
  absl::Status MayBind(const PciDevice& device, const NicArguments& arguments,
                       const VfioFacts& vfio) const;
  // Has the kernel look for a driver anew: `driver`, or with "" its own.
  // Returns the driver that it has then.
  absl::StatusOr<std::string> Rebind(const PciDevice& device,
                                     std::string_view driver);
  void Undo(std::span<const PciDevice> devices);
  void Complain(const absl::Status& status);

  const HostFiles host_;
  const Write write_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_NIC_H_
