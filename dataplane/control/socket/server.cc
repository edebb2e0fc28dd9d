#include "dataplane/control/socket/server.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/control/socket/connection.h"
#include "dataplane/control/socket/json_rpc.h"

namespace sluice {
namespace {

// Values of epoll_event::data: the listener, watched descriptors from 1 on,
// clients from kFirstClient on.
constexpr uint64_t kListener = 0;
constexpr uint64_t kFirstClient = uint64_t{1} << 32;

// Messages of one client that are handled before the others get their turn.
constexpr int kMessagesATurn = 16;
// Clients accepted in one turn.
constexpr int kAcceptsATurn = 16;

}  // namespace

struct ControlServer::Client {
  Client(UniqueFd fd, const PeerCredentials& credentials)
      : connection(std::move(fd)), peer(credentials) {
    peer.connection = life;
  }

  Connection connection;
  // What others see of it (PeerCredentials::connection).
  const std::shared_ptr<const void> life = std::make_shared<char>();
  PeerCredentials peer;
  bool in_work = false;  // a message was handed out and not answered
  bool closing = false;  // as soon as the output is gone
  uint32_t interest = EPOLLIN;
  Clock::time_point since;  // when the present wait began
};

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(
    const ListenerOptions& options, const ServerLimits& limits,
    MessageHandler* handler) {
  absl::StatusOr<Listener> listener = Listener::Open(options);
  if (!listener.ok()) return listener.status();
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) {
    return absl::InternalError(
        absl::StrCat("control socket: epoll_create1: ", std::strerror(errno)));
  }
  std::unique_ptr<ControlServer> server(new ControlServer(
      *std::move(listener), limits, handler, std::move(epoll)));
  absl::Status added = server->Add(server->listener_.fd(), kListener);
  if (!added.ok()) return added;
  return server;
}

ControlServer::ControlServer(Listener listener, const ServerLimits& limits,
                             MessageHandler* handler, UniqueFd epoll)
    : listener_(std::move(listener)),
      limits_(limits),
      handler_(handler),
      epoll_(std::move(epoll)),
      next_id_(kFirstClient),
      self_(std::make_shared<ControlServer*>(this)) {}

ControlServer::~ControlServer() = default;

absl::Status ControlServer::Add(int fd, uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::InternalError(
        absl::StrCat("control socket: epoll_ctl: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status ControlServer::Watch(int fd, std::function<void()> callback) {
  watched_.push_back(std::move(callback));
  return Add(fd, watched_.size());
}

size_t ControlServer::Poll(std::chrono::milliseconds timeout) {
  std::array<epoll_event, 96> events;
  const int wait = ready_.empty() ? static_cast<int>(timeout.count()) : 0;
  const int n = ::epoll_wait(epoll_.get(), events.data(),
                             static_cast<int>(events.size()), wait);
  now_ = Clock::now();
  if (turns_ != nullptr) turns_->Begin();
  for (int i = 0; i < n; ++i) {
    const uint64_t id = events[i].data.u64;
    // The kernel tells of it again.
    if (id >= kFirstClient && IsOver()) continue;
    if (id == kListener) {
      AcceptClients();
    } else if (id < kFirstClient) {
      watched_[id - 1]();
    } else {
      OnClientEvent(id, events[i].events);
    }
  }
  std::vector<uint64_t> ready;
  ready.swap(ready_);
  for (const uint64_t id : ready) {
    // The others first next time.
    IsOver() ? ready_.push_back(id) : Service(id);
  }
  CloseLate();
  return static_cast<size_t>(std::max(n, 0)) + ready.size();
}

void ControlServer::AcceptClients() {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    UniqueFd fd = listener_.Accept();
    if (!fd.valid()) return;
    absl::StatusOr<PeerCredentials> peer = listener_.Check(fd.get());
    if (!peer.ok()) {
      ++counters_.refused;
      LogRefusal(Text(peer.status()));
      Connection::SendOnce(fd.get(),
                           ErrorLine(RpcError::kNotAllowed,
                                     "you may not use this control socket"));
      continue;
    }
    if (clients_.size() >= limits_.max_clients) {
      ++counters_.refused;
      LogRefusal(fmt::format("user {} (process {}) is one client more than {}",
                             peer->uid, peer->pid, clients_.size()));
      Connection::SendOnce(
          fd.get(),
          ErrorLine(RpcError::kTooManyClients,
                    absl::StrCat("too many clients, at most ",
                                 limits_.max_clients, "; try again later")));
      continue;
    }
    const uint64_t id = next_id_++;
    if (absl::Status added = Add(fd.get(), id); !added.ok()) {
      ++counters_.refused;
      LogError("{}", added.ToString());
      continue;
    }
    ++counters_.accepted;
    LogDebug("control: client {}: uid {} gid {} pid {}, role {}",
             id - kFirstClient, peer->uid, peer->gid, peer->pid,
             Name(peer->role));
    auto client = std::make_unique<Client>(std::move(fd), *peer);
    client->since = now_;
    clients_.emplace(id, std::move(client));
  }
}

void ControlServer::LogRefusal(std::string_view why) {
  const RefusalLog::Verdict verdict = refusals_.Add(now_);
  if (!verdict.log) return;
  LogWarning("control: refused: {}{}", why, verdict.Suffix());
}

void ControlServer::OnClientEvent(uint64_t id, uint32_t events) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) return;
  Client& client = *it->second;
  const bool busy = client.in_work || client.connection.HasOutput();
  if ((events & (EPOLLHUP | EPOLLERR)) && busy) {
    Close(id, "is gone");
    return;
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !busy && !client.closing) {
    const bool fresh = !client.connection.HasPartialInput();
    counters_.descriptors_closed +=
        client.connection.Read(limits_.max_message);
    // The time for a message runs from its first byte.
    if (fresh) client.since = now_;
  }
  Service(id);
}

void ControlServer::Service(uint64_t id) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) return;
  Client& client = *it->second;
  Connection& connection = client.connection;
  for (int turn = 0;; ++turn) {
    const bool had_output = connection.HasOutput();
    switch (connection.Flush()) {
      case Connection::Progress::kFailed:
        Close(id, "is gone");
        return;
      case Connection::Progress::kSome:
        client.since = now_;
        break;
      case Connection::Progress::kNone:
        break;
    }
    if (connection.HasOutput()) {
      if (!had_output) client.since = now_;
      break;
    }
    if (client.closing) {
      Close(id, "is closed");
      return;
    }
    if (client.in_work) break;
    if (turn == kMessagesATurn || (turn > 0 && IsOver())) {
      ready_.push_back(id);
      break;
    }
    std::string line;
    const Connection::Input input =
        connection.TakeLine(limits_.max_message, &line);
    if (input == Connection::Input::kLine) {
      Handle(id, client, std::move(line));
    } else if (input == Connection::Input::kTooLong) {
      ++counters_.oversized;
      connection.Queue(ErrorLine(
          RpcError::kTooLarge, absl::StrCat("a message has at most ",
                                            limits_.max_message, " bytes")));
      client.closing = true;
    } else if (connection.at_end()) {
      Close(id, "has closed");
      return;
    } else {
      break;
    }
  }
  SetInterest(id, client);
}

void ControlServer::Handle(uint64_t id, Client& client, std::string line) {
  ++counters_.messages;
  client.in_work = true;
  client.since = now_;
  Message message{.text = std::move(line),
                  .fd = client.connection.TakeDescriptor(),
                  .peer = client.peer};
  handler_->OnMessage(
      std::move(message),
      Reply([server = std::weak_ptr<ControlServer*>(self_),
             id](std::optional<std::string> answer) {
        if (const auto self = server.lock()) {
          (*self)->Answer(id, std::move(answer));
        }
      }));
}

void ControlServer::Answer(uint64_t id, std::optional<std::string> answer) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) return;
  Client& client = *it->second;
  client.in_work = false;
  client.since = Clock::now();
  if (!answer) {
    client.closing = true;
  } else if (!answer->empty()) {
    client.connection.Queue(std::move(*answer));
  }
  ready_.push_back(id);
}

void ControlServer::SetInterest(uint64_t id, Client& client) {
  uint32_t wanted = 0;
  if (client.connection.HasOutput()) {
    wanted = EPOLLOUT;
  } else if (!client.in_work && !client.connection.at_end()) {
    wanted = EPOLLIN;
  }
  if (wanted == client.interest) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.connection.fd(), &event);
  client.interest = wanted;
}

void ControlServer::CloseLate() {
  for (auto it = clients_.begin(); it != clients_.end();) {
    const uint64_t id = it->first;
    const Client& client = *it->second;
    ++it;
    if (client.in_work) continue;
    std::chrono::milliseconds limit = limits_.idle;
    const char* why = "was idle for too long";
    if (client.connection.HasOutput()) {
      limit = limits_.write;
      why = "does not read its answer";
    } else if (client.connection.HasPartialInput()) {
      limit = limits_.message;
      why = "does not finish its message";
    }
    if (now_ - client.since < limit) continue;
    ++counters_.timed_out;
    Close(id, why);
  }
}

void ControlServer::Close(uint64_t id, std::string_view why) {
  const auto it = clients_.find(id);
  LogDebug("control: client {} {}", id - kFirstClient, why);
  counters_.descriptors_closed += it->second->connection.descriptor_count();
  clients_.erase(it);
}

}  // namespace sluice
