// The thread that is the host's side of all routers.
#ifndef SLUICE_DATAPLANE_ROUTER_ROUTER_HOST_H_
#define SLUICE_DATAPLANE_ROUTER_ROUTER_HOST_H_

#include <poll.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/thread_beacon.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/ports/port_config.h"
#include "dataplane/router/slow_path_limit.h"
#include "dataplane/router/tap.h"
#include "dataplane/routing/routing_tables.h"
#include "pftable/engine/reclaimer.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

class RetireList;
class RouterExchange;

// Since the start.
struct RouterPortCounts {
  uint64_t to_host = 0;    // frames that the kernel got
  uint64_t from_host = 0;  // and that it sent
  // Of those for it, by kind: more than it may get.
  std::array<uint64_t, kHostKinds> limited{};
  uint64_t refused = 0;  // it did not take them: the interface is down, or gone
  uint64_t lost = 0;     // frames of its for which there was no room
  uint64_t taken = 0;    // how often the interface was taken away
};
struct RouterPortStatus {
  uint16_t number = 0;
  std::string name;
  std::string tap;
  bool present = false;  // the interface is there
  bool carrier = false;
  std::vector<Prefix> addresses;
  RouterPortCounts counts;
};
struct RouterStatus {
  std::string name;
  std::string netns;
  uint64_t routes = 0, max_routes = 0;
  uint64_t neighbors = 0, max_neighbors = 0;
  uint64_t memory = 0;  // bytes of the tables
  bool synced = false;     // the tables are as the kernel's
  uint64_t questions = 0;  // the kernel was asked for a neighbour
  uint64_t dumps = 0;        // how often all was read
  uint64_t lost_events = 0;  // of those, because the kernel had more to tell
                             // than there was room for
  uint64_t skipped = 0;      // routes that are not followed
  uint64_t refused = 0;      // routes and neighbours beyond the limits
  std::vector<RouterPortStatus> ports;
};

class RouterHost {
 public:
  struct Options {
    // None is owned. The pool is for what the kernel sends; any thread may
    // give mbufs of it back.
    RouterExchange* exchange = nullptr;
    rte_mempool* pool = nullptr;
    Reclaimer* reclaimer = nullptr;
    // Bit i: worker i does not run, and gets nothing. Null: all run.
    std::function<uint32_t()> stalled = nullptr;
    HostRates rates = kHostRates;
  };

  explicit RouterHost(Options options);
  // No worker runs any more.
  ~RouterHost();
  RouterHost(const RouterHost&) = delete;
  RouterHost& operator=(const RouterHost&) = delete;

  // All of what follows from any one thread at a time, but for the thread's
  // own. None of it takes longer than a turn of that, which is some
  // milliseconds.

  // Before Start(): listens to the kernel in the router's namespace. Errors:
  // as InNetns(), sockets that there cannot be.
  absl::StatusOr<std::shared_ptr<RoutingTables>> AddRouter(
      const RouterConfig& config);
  // `tap` was made in the router's namespace. NotFound: no such router.
  absl::Status AddPort(const std::string& router, uint16_t number,
                       const std::string& name, std::unique_ptr<Tap> tap);
  // What is known of the port goes. Its interface, if it has one, is the
  // caller's to close: the kernel may take seconds for that, and only then is
  // the name free.
  std::unique_ptr<Tap> RemovePort(uint16_t number);
  // Whether the kernel is to see a cable in the port's interface. Cheap if it
  // does already.
  void SetCarrier(uint16_t number, bool up);

  void Start();
  // The thread hands over what workers have given until now and ends, and takes
  // nothing from them any more.
  void Stop();

  // The addresses of ports that have others than at the last call.
  std::map<uint16_t, std::vector<Prefix>> TakeAddresses();

  std::vector<std::string> Names() const;
  // NotFound: no such router.
  absl::StatusOr<RouterStatus> Status(std::string_view router) const;
  // In order of prefix, at most `count` of those behind `after`, which need not
  // be there, or from the first one on.
  absl::StatusOr<std::vector<Route>> Routes(
      std::string_view router, const std::optional<Prefix>& after,
      size_t count) const;
  // At most `count` from that place on.
  absl::StatusOr<std::vector<RoutingTables::Neighbor>> Neighbors(
      std::string_view router, size_t from, size_t count) const;
  // Calls `read` with its tables, while nobody writes them: any thread, and for
  // a few look-ups only. False: no such router.
  bool Read(std::string_view router,
            const std::function<void(const RoutingTables&)>& read) const;
  // Frames for the kernel whose ports had left meanwhile.
  uint64_t strays() const;
  const ThreadBeacon& beacon() const { return beacon_; }

  // One turn, as the thread makes them: for tests without it. Waits for
  // something to happen as long as that, milliseconds.
  void Turn(int wait);

 private:
  struct RoutedPort;
  struct RouterParts;
  class Control;

  void Run();
  // A turn's, with the lock.
  void Work();
  void CollectDescriptors(std::vector<pollfd>* descriptors);
  bool TakeForHost();
  void GiveToHost(rte_mbuf* mbuf);
  // Whether the kernel may be told of who asks for it.
  bool MayAsk(HostKind kind, std::span<const uint8_t> frame, RoutedPort* port);
  bool AskForNeighbors();
  bool ReadTaps();
  void FollowKernel();
  void ReadTap(RoutedPort* port);
  rte_mbuf* MakeMbuf(const uint8_t* frame, size_t length);
  void TakenAway(RoutedPort* port);
  // The ports whose interfaces are to be made again now.
  std::vector<std::pair<uint16_t, Tap::Options>> TapsToRetry();
  // Makes one, and takes the lock only to give it to its port.
  void RetryTap(uint16_t number, const Tap::Options& options);
  uint64_t Milliseconds() const;

  const Options options_;
  const std::shared_ptr<RetireList> retired_;
  // The thread holds it for all of a turn but the wait; who else wants it says
  // so, and the thread lets it have it.
  mutable std::mutex mutex_;
  mutable std::atomic<uint32_t> waiting_{0};
  std::map<std::string, std::unique_ptr<RouterParts>, std::less<>> routers_;
  std::map<uint16_t, std::unique_ptr<RoutedPort>> ports_;
  bool changed_ = true;  // the descriptors are others
  std::vector<pollfd> descriptors_;  // the thread's own
  bool more_ = false;    // a mirror has something to do
  std::vector<uint16_t> gone_;  // ports whose interfaces were deleted
  std::vector<std::unique_ptr<Tap>> closing_;  // by the thread, unlocked
  uint64_t strays_ = 0;  // frames for the kernel whose ports had left
  std::map<uint16_t, std::vector<Prefix>> addresses_;
  std::atomic<bool> addresses_changed_{false};
  uint64_t next_retry_ = 0;
  uint64_t active_until_ = 0;
  std::vector<uint8_t> frame_;
  UniqueFd wake_;
  std::atomic<bool> stop_{false};
  ThreadBeacon beacon_;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_ROUTER_HOST_H_
