// The kernel's neighbours on a router's ports, and what it is asked of them:
// where one is that workers want, and to confirm those that are used, since it
// sees no packets to them by itself.
#ifndef SLUICE_DATAPLANE_ROUTER_NEIGHBOR_WATCH_H_
#define SLUICE_DATAPLANE_ROUTER_NEIGHBOR_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "dataplane/router/link_list.h"
#include "dataplane/router/netlink_message.h"
#include "dataplane/routing/routing_tables.h"

namespace sluice {

class NeighborWatch {
 public:
  // Asked for and not yet answered (RFC 6583 is about who makes us ask): a part
  // of the 1024 neighbours that the kernel has room for.
  static constexpr size_t kMaxOpen = 256;
  // When there are so many, the one that was asked first gives way once it has
  // had that long for an answer. Who is there says so in much less.
  static constexpr uint64_t kTimeToAnswer = 250;
  // The kernel gives up after three seconds of its own; this is when it has
  // said nothing at all.
  static constexpr uint64_t kOpenLife = 5000;
  // After that an address that did not answer may be asked for again.
  static constexpr uint64_t kFailedLife = 1000;
  // Confirmed at once, a second.
  static constexpr size_t kRefreshes = 512;

  // None is owned. `ask` sends the kernel the question, and `take_back` has it
  // ask no more and forget it; false: it cannot now.
  using Tell = std::function<bool(uint32_t link, const Address& address)>;
  NeighborWatch(RoutingTables* tables, const LinkList* links, Tell ask,
                Tell take_back);

  void Set(const NeighborNews& news, uint64_t now);
  void Remove(const NeighborNews& news);
  // A dump begins. What is not set until its end has gone.
  void Begin();
  void End();
  // Everything of a link: it is no port any more.
  void Forget(uint32_t link, uint16_t port);
  // The link has become a port: what is known of it is entered.
  void Enter(uint32_t link);

  bool Ask(uint16_t port, const Address& address, uint64_t now);
  // Whether the kernel has it, or was asked for it.
  bool Knows(uint16_t port, const Address& address) const;
  // Once a second: ends questions and confirms what is used.
  void Tick(uint64_t now);

  uint64_t questions() const { return questions_; }
  uint64_t questions_refused() const { return questions_refused_; }
  uint64_t refreshed() const { return refreshed_; }
  uint64_t refused() const { return refused_; }
  const std::string& last_error() const { return last_error_; }
  size_t memory() const { return known_.size() * 128 + open_.size() * 64; }

 private:
  struct Known {
    uint16_t state = 0;  // NUD_...
    MacAddress mac{};
    uint64_t changed = 0;
  };
  using Key = std::pair<uint32_t, Address>;  // the link

  bool IsOver(const std::pair<uint64_t, Key>& asked) const;
  bool GiveWay(uint64_t now);
  void Show(const Key& key, const Known& known);
  void Hide(const Key& key);

  RoutingTables* const tables_;
  const LinkList* const links_;
  const Tell ask_;
  const Tell take_back_;
  std::map<Key, Known> known_;
  std::map<Key, uint64_t> open_;  // since when
  // The same in the order of that, and some that are not open any more.
  std::deque<std::pair<uint64_t, Key>> order_;
  std::set<Key> unheard_;
  Key next_{};  // to look at for being used
  uint64_t questions_ = 0, questions_refused_ = 0, refreshed_ = 0,
           refused_ = 0;
  std::string last_error_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_NEIGHBOR_WATCH_H_
