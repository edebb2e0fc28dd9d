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
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/turn_watch.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/socket/listener.h"
#include "dataplane/control/socket/message.h"
#include "dataplane/control/socket/refusal_log.h"

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
  // `handler` outlives the server. Null: SetHandler() comes before the first
  // Poll(); what clients ask until then waits in the socket.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(
      const ListenerOptions& options, const ServerLimits& limits,
      MessageHandler* handler);

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  void SetHandler(MessageHandler* handler) { handler_ = handler; }

  // Of the thread that calls Poll(), which begins a turn whenever it is done
  // with waiting. Outlives the server.
  void SetTurns(TurnWatch* turns) { turns_ = turns; }

  // Waits at most `timeout` for something to do and does it. Returns the
  // number of events.
  size_t Poll(std::chrono::milliseconds timeout);

  // Poll() calls `callback` while `fd` is readable. The descriptor stays the
  // caller's, who keeps it open as long as the server.
  absl::Status Watch(int fd, std::function<void()> callback);

  size_t client_count() const { return clients_.size(); }
  const ServerCounters& counters() const { return counters_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Client;

  ControlServer(Listener listener, const ServerLimits& limits,
                MessageHandler* handler, UniqueFd epoll);

  absl::Status Add(int fd, uint64_t id);
  void AcceptClients();
  void LogRefusal(std::string_view why);
  void OnClientEvent(uint64_t id, uint32_t events);
  // Does for a client all that can be done now.
  void Service(uint64_t id);
  void Handle(uint64_t id, Client& client, std::string line);
  // From inside of Handle() or from anywhere else on the control lcore: so it
  // only notes what Service() will do.
  void Answer(uint64_t id, std::optional<std::string> answer);
  void SetInterest(uint64_t id, Client& client);
  void CloseLate();
  void Close(uint64_t id, std::string_view why);

  Listener listener_;
  // Whether a turn has been long enough, for the sake of who is not a client.
  bool IsOver() const { return Clock::now() - now_ >= kTurnTime; }

  static constexpr std::chrono::milliseconds kTurnTime{20};

  const ServerLimits limits_;
  MessageHandler* handler_;
  TurnWatch* turns_ = nullptr;
  UniqueFd epoll_;
  ServerCounters counters_;
  RefusalLog refusals_;
  std::vector<std::function<void()>> watched_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  std::vector<uint64_t> ready_;  // clients that Service() is due for
  uint64_t next_id_;
  Clock::time_point now_ = Clock::now();
  // Replies hold it weakly: they may outlive the server.
  const std::shared_ptr<ControlServer*> self_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_SERVER_H_
