// The server of the control socket: clients, framing, time limits. One
// message a line. It knows nothing of what the lines say but for the errors
// that it makes itself, which are JSON-RPC 2.0 error objects.
//
// Everything runs on the control lcore inside of Poll(). A client has one
// message in work at a time, and nothing is read from it meanwhile, nor while
// it has an answer that it does not fetch: so a client costs at most one
// message and one answer of memory, and no other client's time.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_SERVER_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/control/socket/listener.h"
#include "dataplane/control/socket/message.h"

namespace sluice {

struct ServerLimits {
  size_t max_message = 8u << 20;  // bytes, without the newline
  size_t max_clients = 64;
  // A client that asks nothing is closed after this long,
  std::chrono::milliseconds idle{600'000};
  // one that does not finish its message after this long,
  std::chrono::milliseconds message{10'000};
  // and one that reads nothing of its answer after this long.
  std::chrono::milliseconds write{30'000};
};

struct ServerCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0;  // too many clients, or not allowed
  uint64_t messages = 0;
  uint64_t oversized = 0;           // messages over the limit
  uint64_t timed_out = 0;           // clients closed by a time limit
  uint64_t descriptors_closed = 0;  // passed and not wanted
};

class ControlServer {
 public:
  // `handler` outlives the server.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(
      const ListenerOptions& options, const ServerLimits& limits,
      MessageHandler* handler);

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  // Waits at most `timeout` for something to do and does it. Returns the
  // number of events.
  size_t Poll(std::chrono::milliseconds timeout);

  // Poll() calls `callback` while `fd` is readable. The descriptor stays the
  // caller's, who keeps it open as long as the server.
  absl::Status Watch(int fd, std::function<void()> callback);

  size_t client_count() const;
  const ServerCounters& counters() const;

 private:
  class Core;
  explicit ControlServer(std::shared_ptr<Core> core);

  // Replies hold it weakly: they may outlive the server.
  std::shared_ptr<Core> core_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_SERVER_H_
