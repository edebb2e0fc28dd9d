// A message of the control socket and the right to answer it.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_MESSAGE_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_MESSAGE_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/socket/listener.h"

namespace sluice {

// One answer to one message, now or later, on the control lcore. The client
// may be gone by then: its answer goes nowhere. A Reply that is dropped
// unused closes the connection, so that no client waits for ever.
class Reply {
 public:
  // Called once: a line without its newline; "" for no answer at all; nothing
  // if the Reply was dropped.
  using Sink = absl::AnyInvocable<void(std::optional<std::string>)>;

  explicit Reply(Sink sink) : sink_(std::move(sink)) {}
  Reply(Reply&& other) noexcept : sink_(std::move(other.sink_)) {
    other.sink_ = nullptr;
  }
  Reply& operator=(Reply&& other) noexcept {
    if (this != &other) {
      Finish(std::nullopt);
      sink_ = std::move(other.sink_);
      other.sink_ = nullptr;
    }
    return *this;
  }
  ~Reply() { Finish(std::nullopt); }

  void Send(std::string line) { Finish(std::move(line)); }
  // For notifications, which have no answer.
  void Skip() { Finish(std::string()); }

 private:
  void Finish(std::optional<std::string> line) {
    if (!sink_) return;
    Sink sink = std::move(sink_);
    sink_ = nullptr;
    sink(std::move(line));
  }

  Sink sink_;
};

struct Message {
  std::string text;  // one line, without its newline; any bytes
  UniqueFd fd;       // the descriptor that came with it, if one did
  PeerCredentials peer;
};

// What the server gives its messages to.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  // Waits for nothing; what takes longer answers later. The next message of
  // this client comes after the answer.
  virtual void OnMessage(Message message, Reply reply) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_MESSAGE_H_
