// A port of a virtual machine: the socket of its vhost-user NIC, over DPDK's
// vhost library itself. It takes none of the few places for ethdevs.
//
// The machine is offered no offloads: its frames come with their checksums and
// no larger than it was told, and so do those that it gets. One pair of rings.
#ifndef SLUICE_DATAPLANE_PORTS_VHOST_PORT_H_
#define SLUICE_DATAPLANE_PORTS_VHOST_PORT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/ports/port.h"
#include "dataplane/ports/vhost_channel.h"
#include "packet/neighbor.h"

namespace sluice {

// Descriptors of the process that so many of them and all else may take.
uint64_t DescriptorsFor(size_t vhost_ports);

class VhostPort final : public Port {
 public:
  static absl::StatusOr<std::unique_ptr<Port>> Open(const PortConfig& config,
                                                    const Options& options);
  ~VhostPort() override;

  // Makes the socket, or begins to look for it.
  absl::Status Start() override;
  void Stop() override;

  VhostChannel* vhost() override { return &channel_; }
  bool TakeLinkInterrupt() override { return channel_.TakeChange(); }
  // Made up: the machine keeps its own to itself. The same at each start.
  std::string Mac() const override;
  MacAddress link_address() const override { return mac_; }
  PortStatistics Statistics() const override;
  std::vector<std::pair<std::string, uint64_t>> ExtendedStatistics()
      const override;

 private:
  VhostPort(const PortConfig& config, const Options& options);

  LinkState ReadLink() override;
  DeviceSocket Socket() const;
  absl::Status Register();
  absl::Status Error(const std::string& what, const std::string& advice) const;

  VhostChannel channel_;
  MacAddress mac_{};
  SocketAccess access_;
  bool registered_ = false;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_VHOST_PORT_H_
