// What the daemon tells systemd (Type=notify, WatchdogSec=): datagrams to the
// socket of NOTIFY_SOCKET, as sd_notify(3) describes them. Without the
// variable all of it does nothing.
#ifndef SLUICE_DATAPLANE_DAEMON_SERVICE_MANAGER_H_
#define SLUICE_DATAPLANE_DAEMON_SERVICE_MANAGER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class ServiceManager {
 public:
  // Says nothing to anybody.
  ServiceManager() = default;
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  static ServiceManager FromEnvironment();

  // Milliseconds.
  static constexpr uint64_t kExtension = 180'000;

  bool connected() const { return socket_.valid(); }

  // READY=1: started, or done with a reload. `status` is what `systemctl
  // status` shows; control characters in it become spaces.
  void Ready(std::string_view status);
  // RELOADING=1, until the next Ready().
  void Reloading();
  void Stopping();
  // EXTEND_TIMEOUT_USEC: a start or a stop is at work and wants kExtension more
  // from now on. May be called at any rate.
  void Extend(uint64_t now);
  // To be called from the loop whose life is watched: WATCHDOG=1 at most
  // twice in the time that systemd waits. `now` in milliseconds.
  void Beat(uint64_t now);

 private:
  void Send(const std::string& text);

  UniqueFd socket_;
  uint64_t interval_ = 0;  // milliseconds between beats; 0: nobody watches
  uint64_t next_beat_ = 0;
  uint64_t next_extension_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_SERVICE_MANAGER_H_
