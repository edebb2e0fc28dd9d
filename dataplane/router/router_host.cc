#include "dataplane/router/router_host.h"

#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/forward/router_exchange.h"
#include "dataplane/router/netns.h"
#include "dataplane/router/retire_list.h"
#include "dataplane/router/route_mirror.h"

namespace sluice {
namespace {

// Workers do not wake this thread: that would be a system call. It looks at
// their rings so often, milliseconds, and without a pause for a moment after
// there was something.
constexpr int kLook = 1;
constexpr timespec kShortLook = {.tv_sec = 0, .tv_nsec = 100'000};
constexpr uint64_t kActive = 20;
// Of a turn, so that nobody who wants the lock waits for long.
constexpr size_t kFramesForHost = 256;  // of each worker
constexpr size_t kFramesOfTap = 64;
constexpr size_t kQuestions = 64;  // of each worker
constexpr int kLastLooks = 1000;
constexpr uint64_t kRetry = 1000;  // milliseconds
constexpr uint64_t kMirrorLook = 100;
// Of what the kernel or the tables refuse: a line in so much time.
constexpr uint64_t kErrorPause = 10'000;
constexpr size_t kBurst = 32;
constexpr int kMaxParts = 16;  // of a frame in several buffers
// A frame of the largest MTU with its tags has 9238 bytes.
constexpr size_t kLargestFrame = 16384;

absl::Status NoRouter(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no router '", View(name),
                   "'; `sluicectl router list` shows those that there are"));
}

}  // namespace

struct RouterHost::RouterParts {
  RouterConfig config;
  std::shared_ptr<RoutingTables> tables;
  std::unique_ptr<RouteMirror> mirror;
  uint64_t next_look = 0;
  bool more = true;  // the mirror has something to do
  bool was_synced = false;
  std::string last_error;
  uint64_t error_told = 0;
};

struct RouterHost::RoutedPort {
  uint16_t number = 0;
  std::string name;
  RouterParts* router = nullptr;
  Tap::Options options;
  std::unique_ptr<Tap> tap;  // null: it was taken away
  bool carrier = true;
  SlowPathLimit limit;
  RouterPortCounts counts;
};

// Of any thread but the one that turns.
class RouterHost::Control {
 public:
  explicit Control(const RouterHost& host) : host_(host) {
    host_.waiting_.fetch_add(1, std::memory_order_acq_rel);
    host_.mutex_.lock();
    host_.waiting_.fetch_sub(1, std::memory_order_acq_rel);
  }
  ~Control() { host_.mutex_.unlock(); }
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

 private:
  const RouterHost& host_;
};

RouterHost::RouterHost(Options options)
    : options_(std::move(options)),
      retired_(std::make_shared<RetireList>(options_.reclaimer)),
      frame_(kLargestFrame),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

RouterHost::~RouterHost() {
  Stop();
  ports_.clear();
  routers_.clear();
  retired_->Drain();
}

// ---- What there is ---------------------------------------------------------

absl::StatusOr<std::shared_ptr<RoutingTables>> RouterHost::AddRouter(
    const RouterConfig& config) {
  auto router = std::make_unique<RouterParts>();
  router->config = config;
  router->tables = std::make_shared<RoutingTables>(RoutingTables::Options{
      .max_routes = config.max_routes,
      .max_neighbors = config.max_neighbors,
      .retire = [retired = retired_](std::function<void()> free) {
        retired->Retire(std::move(free));
      }});
  UniqueFd socket;
  const absl::Status status = InNetns(config.netns, [&] {
    absl::StatusOr<UniqueFd> opened = RouteMirror::OpenSocket();
    if (opened.ok()) socket = *std::move(opened);
    return opened.status();
  });
  if (!status.ok()) return status;
  router->mirror = std::make_unique<RouteMirror>(
      std::move(socket),
      RouteMirror::Options{
          .tables = router->tables.get(),
          .max_routes = config.max_routes,
          .link_gone = [this](uint16_t port) { gone_.push_back(port); },
          .addresses_changed =
              [this](uint16_t port, std::span<const Prefix> addresses) {
                addresses_[port] = {addresses.begin(), addresses.end()};
                addresses_changed_.store(true, std::memory_order_release);
              }});
  if (absl::Status s = router->mirror->Start(Milliseconds()); !s.ok()) {
    return s;
  }
  const std::shared_ptr<RoutingTables> tables = router->tables;
  const Control control(*this);
  routers_[config.name] = std::move(router);
  changed_ = true;
  return tables;
}

absl::Status RouterHost::AddPort(const std::string& router, uint16_t number,
                                 const std::string& name,
                                 std::unique_ptr<Tap> tap) {
  const Control control(*this);
  const auto of = routers_.find(router);
  if (of == routers_.end()) return NoRouter(router);
  auto port = std::make_unique<RoutedPort>();
  port->number = number;
  port->name = name;
  port->router = of->second.get();
  port->options = tap->options();
  port->tap = std::move(tap);
  port->limit = SlowPathLimit(options_.rates);
  port->router->mirror->SetPort(static_cast<uint32_t>(port->tap->index()),
                                number);
  ports_[number] = std::move(port);
  changed_ = true;
  return absl::OkStatus();
}

std::unique_ptr<Tap> RouterHost::RemovePort(uint16_t number) {
  const Control control(*this);
  const auto found = ports_.find(number);
  if (found == ports_.end()) return nullptr;
  found->second->router->mirror->RemovePort(number);
  std::unique_ptr<Tap> tap = std::move(found->second->tap);
  ports_.erase(found);
  addresses_.erase(number);
  changed_ = true;
  return tap;
}

void RouterHost::SetCarrier(uint16_t number, bool up) {
  const Control control(*this);
  const auto found = ports_.find(number);
  if (found == ports_.end() || found->second->carrier == up) return;
  found->second->carrier = up;
  if (found->second->tap != nullptr) found->second->tap->SetCarrier(up);
}

void RouterHost::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "sluice-router");
}

void RouterHost::Stop() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  static_cast<void>(write(wake_.get(), &one, sizeof one));
  thread_.join();
}

// ---- The thread ------------------------------------------------------------

uint64_t RouterHost::Milliseconds() const {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void RouterHost::Run() {
  beacon_.Attach();
  while (!stop_.load(std::memory_order_acquire)) Turn(kLook);
  // Workers have counted these as the host's. They may go on: no more than
  // what was there.
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < kLastLooks && TakeForHost(); ++i) {
  }
  if (strays_ > 0) {
    LogInfo("{} frames for the kernel came when their ports had left", strays_);
  }
}

void RouterHost::CollectDescriptors(std::vector<pollfd>* descriptors) {
  descriptors->clear();
  descriptors->push_back({.fd = wake_.get(), .events = POLLIN, .revents = 0});
  for (const auto& [number, port] : ports_) {
    if (port->tap == nullptr) continue;
    descriptors->push_back(
        {.fd = port->tap->fd(), .events = POLLIN, .revents = 0});
  }
  for (const auto& [name, router] : routers_) {
    descriptors->push_back({.fd = router->mirror->descriptor(),
                            .events = POLLIN,
                            .revents = 0});
  }
}

void RouterHost::Turn(int wait) {
  {
    // The descriptors are those of the turn before: one that was closed
    // meanwhile makes the wait shorter, no more.
    timespec pause = {.tv_sec = 0, .tv_nsec = wait * 1'000'000L};
    if (more_) {
      pause = {};
    } else if (Milliseconds() < active_until_ && wait > 0) {
      pause = kShortLook;
    }
    static_cast<void>(
        ppoll(descriptors_.data(), descriptors_.size(), &pause, nullptr));
  }
  // Whoever waits for the lock comes first.
  for (int i = 0; i < 100 && waiting_.load(std::memory_order_acquire) > 0; ++i) {
    usleep(20);
  }
  std::vector<std::unique_ptr<Tap>> closing;
  std::vector<std::pair<uint16_t, Tap::Options>> missing;
  {
    const std::lock_guard lock(mutex_);
    beacon_.BeginWork();
    Work();
    missing = TapsToRetry();
    closing.swap(closing_);
    beacon_.EndWork();
  }
  // The kernel may take its time for interfaces.
  closing.clear();
  for (const auto& [number, options] : missing) RetryTap(number, options);
}

void RouterHost::Work() {
  bool any = TakeForHost();
  any = AskForNeighbors() || any;
  any = ReadTaps() || any;
  FollowKernel();
  retired_->Poll();
  if (any) active_until_ = Milliseconds() + kActive;
  if (std::exchange(changed_, false)) CollectDescriptors(&descriptors_);
}

// ---- From workers ----------------------------------------------------------

bool RouterHost::TakeForHost() {
  bool any = false;
  for (uint16_t worker = 0; worker < options_.exchange->workers(); ++worker) {
    for (size_t taken = 0; taken < kFramesForHost;) {
      std::array<rte_mbuf*, kBurst> mbufs;
      const uint32_t count = options_.exchange->TakeForHost(worker, mbufs);
      for (uint32_t i = 0; i < count; ++i) {
        GiveToHost(mbufs[i]);
        rte_pktmbuf_free(mbufs[i]);
      }
      taken += count;
      any = any || count > 0;
      if (count < kBurst) break;
    }
  }
  return any;
}

void RouterHost::GiveToHost(rte_mbuf* mbuf) {
  const auto found = ports_.find(mbuf->port);
  if (found == ports_.end()) {
    ++strays_;
    return;
  }
  RoutedPort& port = *found->second;
  const std::span first(rte_pktmbuf_mtod(mbuf, const uint8_t*),
                        rte_pktmbuf_data_len(mbuf));
  const HostKind kind = KindOf(first);
  if (!port.limit.Take(kind, Milliseconds()) ||
      (kind != HostKind::kOther && !MayAsk(kind, first, &port))) {
    ++port.counts.limited[static_cast<size_t>(kind)];
    return;
  }
  std::array<iovec, kMaxParts> parts;
  int count = 0;
  const rte_mbuf* segment = mbuf;
  for (; segment != nullptr && count < kMaxParts; segment = segment->next) {
    parts[count++] = {.iov_base = rte_pktmbuf_mtod(segment, void*),
                      .iov_len = rte_pktmbuf_data_len(segment)};
  }
  if (segment != nullptr) {
    // In more parts than that: in one, then.
    if (rte_pktmbuf_pkt_len(mbuf) > frame_.size()) {
      ++port.counts.refused;
      return;
    }
    parts[0] = {.iov_base = frame_.data(),
                .iov_len = rte_pktmbuf_pkt_len(mbuf)};
    count = 1;
    size_t at = 0;
    for (segment = mbuf; segment != nullptr; segment = segment->next) {
      const uint16_t length = rte_pktmbuf_data_len(segment);
      std::memcpy(frame_.data() + at, rte_pktmbuf_mtod(segment, const void*),
                  length);
      at += length;
    }
  }
  const Tap::Outcome outcome = port.tap != nullptr
                                   ? port.tap->Write(parts.data(), count)
                                   : Tap::Outcome::kNothing;
  if (outcome == Tap::Outcome::kDone) {
    ++port.counts.to_host;
    return;
  }
  ++port.counts.refused;
  if (outcome == Tap::Outcome::kGone) TakenAway(&port);
}

bool RouterHost::MayAsk(HostKind kind, std::span<const uint8_t> frame,
                        RoutedPort* port) {
  const std::optional<Asker> asker = AskerOf(frame);
  if (!asker.has_value()) return true;
  const RouterParts& router = *port->router;
  // Of questions for others the kernel makes nothing.
  if (asker->target.family != Family::kNone &&
      router.tables->Find(asker->target, 0).type != RouteType::kLocal) {
    return true;
  }
  return router.mirror->Knows(port->number, asker->sender) ||
         port->limit.TakeStranger(kind, Milliseconds());
}

bool RouterHost::AskForNeighbors() {
  bool any = false;
  for (uint16_t worker = 0; worker < options_.exchange->workers(); ++worker) {
    NeighborQuestion question;
    for (size_t i = 0; i < kQuestions &&
                       options_.exchange->NextQuestion(worker, &question);
         ++i) {
      any = true;
      const auto found = ports_.find(question.port);
      if (found == ports_.end()) continue;
      // A question that is refused now is asked again.
      static_cast<void>(
          found->second->router->mirror->Ask(question, Milliseconds()));
    }
  }
  return any;
}

// ---- From the kernel -------------------------------------------------------

// Null: there are no mbufs.
rte_mbuf* RouterHost::MakeMbuf(const uint8_t* frame, size_t length) {
  rte_mbuf* const first = rte_pktmbuf_alloc(options_.pool);
  if (first == nullptr) return nullptr;
  rte_mbuf* last = first;
  while (length > 0) {
    const size_t room = rte_pktmbuf_tailroom(last);
    if (room == 0) {
      rte_mbuf* const next = rte_pktmbuf_alloc(options_.pool);
      if (next == nullptr) {
        rte_pktmbuf_free(first);
        return nullptr;
      }
      last->next = next;
      last = next;
      ++first->nb_segs;
      continue;
    }
    const auto some = static_cast<uint16_t>(std::min(room, length));
    std::memcpy(rte_pktmbuf_mtod_offset(last, uint8_t*, last->data_len), frame,
                some);
    last->data_len += some;
    first->pkt_len += some;
    frame += some;
    length -= some;
  }
  return first;
}

bool RouterHost::ReadTaps() {
  bool any = false;
  for (const auto& [number, port] : ports_) {
    if (port->tap == nullptr) continue;
    const uint64_t before = port->counts.from_host + port->counts.lost;
    ReadTap(port.get());
    any = any || port->counts.from_host + port->counts.lost != before;
  }
  return any;
}

void RouterHost::ReadTap(RoutedPort* port) {
  std::array<rte_mbuf*, kFramesOfTap> mbufs;
  size_t count = 0;
  Tap::Outcome outcome = Tap::Outcome::kDone;
  for (size_t i = 0; i < kFramesOfTap; ++i) {
    size_t length = 0;
    outcome = port->tap->Read(frame_, &length);
    if (outcome != Tap::Outcome::kDone) break;
    rte_mbuf* const mbuf = MakeMbuf(frame_.data(), length);
    if (mbuf == nullptr) {
      ++port->counts.lost;
      continue;
    }
    mbuf->port = port->number;
    mbufs[count++] = mbuf;
  }
  if (count > 0) {
    // One worker for all frames of a port: they stay in order.
    const uint16_t workers = options_.exchange->workers();
    const uint32_t stalled =
        options_.stalled != nullptr ? options_.stalled() : 0;
    auto worker = static_cast<uint16_t>(port->number % workers);
    for (uint16_t i = 0; i < workers && (stalled >> worker & 1) != 0; ++i) {
      worker = static_cast<uint16_t>((worker + 1) % workers);
    }
    const uint32_t sent = options_.exchange->SendToWorker(
        worker, std::span(mbufs.data(), count));
    port->counts.from_host += sent;
    port->counts.lost += count - sent;
    for (size_t i = sent; i < count; ++i) rte_pktmbuf_free(mbufs[i]);
  }
  if (outcome == Tap::Outcome::kGone) TakenAway(port);
}

void RouterHost::FollowKernel() {
  const uint64_t now = Milliseconds();
  more_ = false;
  for (const auto& [name, router] : routers_) {
    const RouteMirror& mirror = *router->mirror;
    pollfd readable = {.fd = mirror.descriptor(), .events = POLLIN,
                       .revents = 0};
    if (!router->more && now < router->next_look &&
        poll(&readable, 1, 0) <= 0) {
      continue;
    }
    router->more = router->mirror->Step(now);
    router->next_look = now + kMirrorLook;
    more_ = more_ || router->more;
    if (mirror.synced() != router->was_synced) {
      router->was_synced = mirror.synced();
      if (router->was_synced) {
        LogInfo("router {}: {} routes and {} neighbours, as the kernel has "
                "them", name, router->tables->route_count(),
                router->tables->neighbor_count());
      } else {
        LogWarning("router {}: news of the kernel's were lost; all is read "
                   "again", name);
      }
    }
    std::string error = mirror.statistics().last_error;
    if (error != router->last_error &&
        (router->error_told == 0 || now - router->error_told > kErrorPause)) {
      if (!error.empty()) LogWarning("router {}: {}", name, error);
      router->last_error = std::move(error);
      router->error_told = now;
    }
  }
  // An interface may have gone to another namespace, and still work there.
  for (const uint16_t number : std::exchange(gone_, {})) {
    const auto found = ports_.find(number);
    if (found != ports_.end()) TakenAway(found->second.get());
  }
}

void RouterHost::TakenAway(RoutedPort* port) {
  if (port->tap == nullptr) return;
  LogError("router {}: port {}: the kernel's interface {} was taken away; "
           "nothing is routed by the port until it can be made again",
           port->router->config.name, port->name, port->options.name);
  ++port->counts.taken;
  closing_.push_back(std::move(port->tap));
  port->router->mirror->RemovePort(port->number);
  addresses_[port->number].clear();
  addresses_changed_.store(true, std::memory_order_release);
  changed_ = true;
  next_retry_ = Milliseconds() + kRetry;
}

std::vector<std::pair<uint16_t, Tap::Options>> RouterHost::TapsToRetry() {
  std::vector<std::pair<uint16_t, Tap::Options>> missing;
  const uint64_t now = Milliseconds();
  if (now < next_retry_) return missing;
  next_retry_ = now + kRetry;
  for (const auto& [number, port] : ports_) {
    if (port->tap == nullptr) missing.emplace_back(number, port->options);
  }
  return missing;
}

void RouterHost::RetryTap(uint16_t number, const Tap::Options& options) {
  absl::StatusOr<std::unique_ptr<Tap>> tap = Tap::Make(options);
  if (!tap.ok()) return;  // the log has it that it is not there
  const std::lock_guard lock(mutex_);
  const auto found = ports_.find(number);
  // The port may have left meanwhile, or be another one.
  if (found == ports_.end() || found->second->tap != nullptr ||
      found->second->options != options) {
    return;
  }
  RoutedPort& port = *found->second;
  port.tap = *std::move(tap);
  if (!port.carrier) port.tap->SetCarrier(false);
  port.router->mirror->SetPort(static_cast<uint32_t>(port.tap->index()),
                               number);
  changed_ = true;
  LogWarning("router {}: port {}: the kernel's interface {} is there again, "
             "without addresses",
             port.router->config.name, port.name, port.options.name);
}

// ---- Questions -------------------------------------------------------------

std::map<uint16_t, std::vector<Prefix>> RouterHost::TakeAddresses() {
  if (!addresses_changed_.exchange(false, std::memory_order_acq_rel)) return {};
  const Control control(*this);
  return std::exchange(addresses_, {});
}

std::vector<std::string> RouterHost::Names() const {
  const Control control(*this);
  std::vector<std::string> names;
  for (const auto& [name, router] : routers_) names.push_back(name);
  return names;
}

uint64_t RouterHost::strays() const {
  const Control control(*this);
  return strays_;
}

absl::StatusOr<RouterStatus> RouterHost::Status(std::string_view router) const {
  const Control control(*this);
  const auto found = routers_.find(router);
  if (found == routers_.end()) return NoRouter(router);
  const RouterParts& of = *found->second;
  const RouteMirror::Statistics counts = of.mirror->statistics();
  RouterStatus status = {.name = of.config.name,
                         .netns = of.config.netns,
                         .routes = of.tables->route_count(),
                         .max_routes = of.config.max_routes,
                         .neighbors = of.tables->neighbor_count(),
                         .max_neighbors = of.config.max_neighbors,
                         .memory = of.tables->memory() + of.mirror->memory(),
                         .synced = of.mirror->synced(),
                         .questions = counts.questions,
                         .dumps = counts.dumps,
                         .lost_events = counts.gaps,
                         .skipped = counts.routes_skipped,
                         .refused =
                             counts.routes_refused + counts.neighbors_refused,
                         .ports = {}};
  for (const auto& [number, port] : ports_) {
    if (port->router != &of) continue;
    status.ports.push_back({.number = number,
                            .name = port->name,
                            .tap = port->options.name,
                            .present = port->tap != nullptr,
                            .carrier = port->carrier,
                            .addresses = of.tables->AddressesOf(number),
                            .counts = port->counts});
  }
  return status;
}

absl::StatusOr<std::vector<Route>> RouterHost::Routes(
    std::string_view router, const std::optional<Prefix>& after,
    size_t count) const {
  const Control control(*this);
  const auto found = routers_.find(router);
  if (found == routers_.end()) return NoRouter(router);
  const RoutingTables& tables = *found->second->tables;
  return after ? tables.RoutesAfter(*after, count) : tables.Routes(0, count);
}

bool RouterHost::Read(
    std::string_view router,
    const std::function<void(const RoutingTables&)>& read) const {
  const Control control(*this);
  const auto found = routers_.find(router);
  if (found == routers_.end()) return false;
  read(*found->second->tables);
  return true;
}

absl::StatusOr<std::vector<RoutingTables::Neighbor>> RouterHost::Neighbors(
    std::string_view router, size_t from, size_t count) const {
  const Control control(*this);
  const auto found = routers_.find(router);
  if (found == routers_.end()) return NoRouter(router);
  return found->second->tables->Neighbors(from, count);
}

}  // namespace sluice
