// What a RouteMirror is made of. Only its own files use this.
#ifndef SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_PARTS_H_
#define SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_PARTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/base/unique_fd.h"
#include "dataplane/router/link_list.h"
#include "dataplane/router/neighbor_watch.h"
#include "dataplane/router/netlink_message.h"
#include "dataplane/router/route_mirror.h"
#include "dataplane/router/route_store.h"

namespace sluice {

struct RouteMirror::Parts {
  // A dump is made of one of each kind, since later ones name what is in
  // earlier ones.
  enum class Stage : uint8_t {
    kIdle,
    kLinks,
    kAddresses,
    kObjects,
    kNeighbors,
    kRoutes4,
    kRoutes6,
    kMend,  // what was read beside is compared
  };

  Parts(UniqueFd given_socket, Options given);

  // route_mirror_socket.cc
  absl::Status Join();
  bool Send(const std::vector<uint8_t>& bytes);
  // How many messages there were; -1: there are none.
  int Receive();

  // route_mirror_dump.cc
  void Handle(const NetlinkMessage& message);
  void StartDump();
  void RequestStage();
  void FinishStage();
  void FailDump(const std::string& why);
  // Something may have been missed.
  void Gap();
  void NoMemory();
  // All is to be compared before long: the kernel does not tell of all that it
  // takes out.
  void CompareSoon();
  void HandleLink(const LinkNews& news);
  void RemoveLink(uint32_t index);
  void HandleAddress(const AddressNews& news, bool gone);
  void HandleObject(const NextHopNews& news, bool gone);
  void ShowAddresses(uint32_t index);
  void Timers();

  // route_mirror_routes.cc
  void HandleRoute(const NetlinkMessage& message, bool of_dump);
  ResolvedPath Resolve(const KernelPath& path) const;
  const ResolvedPath& Resolved(uint32_t number);
  // Links, ports or objects have changed (`resolve_due`): so may have what
  // paths are. All are looked at, therefore once for all that has come at once.
  void ResolveAgain();
  // Enters in the tables what a prefix is now.
  void Show(const Prefix& prefix);
  // Pieces of long work; false: it is done.
  bool ScanSome();
  bool MendSome();

  const UniqueFd socket;
  const Options options;
  RoutingTables& tables;
  uint32_t own_port = 0;  // the socket's address
  uint64_t now = 0;
  Statistics counted;

  LinkList links;
  NeighborWatch neighbors;
  std::map<uint32_t, NextHopNews> objects;
  std::set<uint32_t> unheard_objects;
  KernelPaths paths;
  std::unique_ptr<RouteStore> routes;
  std::unique_ptr<RouteStore> fresh;  // a dump that is read beside
  size_t skipped = 0;

  Stage stage = Stage::kIdle;
  uint32_t sequence = 0;  // of the last request
  uint32_t dump = 0;      // that of the stage's
  bool interrupted = false;
  int repeated = 0;
  uint64_t heard = 0;  // when the dump was last heard of
  uint64_t began = 0;
  uint64_t ended = 0;
  bool again = false;  // after this one
  std::optional<uint64_t> start_at;
  bool complete = false;
  bool resolve_due = false;
  bool scanning = false;
  Prefix scanned;
  bool mending_rest = false;  // what only the fresh one has
  Prefix mended;
  uint64_t ticked = 0;
  std::vector<uint8_t> buffer;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_PARTS_H_
