// The kernel's routes, as the mirror remembers them: for each prefix those of
// it in order, of which the first one that is of use is entered in the tables.
// What routes have in common, which is all but the prefix, is one path.
#ifndef SLUICE_DATAPLANE_ROUTER_ROUTE_STORE_H_
#define SLUICE_DATAPLANE_ROUTER_ROUTE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "dataplane/router/netlink_message.h"
#include "dataplane/routing/prefix_list.h"
#include "dataplane/routing/routing_tables.h"
#include "packet/address.h"

namespace sluice {

struct KernelPath {
  bool local_table = false;
  uint8_t type = 0;  // RTN_...
  uint32_t metric = 0;
  uint32_t object = 0;
  std::vector<KernelHop> hops{};

  friend bool operator==(const KernelPath&, const KernelPath&) = default;
};

// What a path is to the tables, as links and next hop objects are now.
struct ResolvedPath {
  enum class State : uint8_t {
    kUnknown,  // it was not looked at since something has changed
    kGood,
    kDown,     // as if it were not there
    kSkipped,  // it leads to where the router does not
  };
  State state = State::kUnknown;
  // Since the tables were looked through.
  bool changed = false;
  RouteType type = RouteType::kNone;
  std::vector<NextHop> hops{};
};

// Paths by number, each there once.
class KernelPaths {
 public:
  // A number, which is not 0, to be given back as often.
  uint32_t Acquire(const KernelPath& path);
  void Hold(uint32_t number) { ++uses_[number]->second.count; }
  void Release(uint32_t number);

  const KernelPath& operator[](uint32_t number) const {
    return uses_[number]->first;
  }
  ResolvedPath& resolved(uint32_t number) { return uses_[number]->second.path; }
  // Calls f(path, &resolved) for all.
  template <typename F>
  void Each(F&& f) {
    for (auto& [path, use] : numbers_) f(path, &use.path);
  }
  size_t memory() const;

 private:
  struct Use {
    uint32_t number = 0;
    size_t count = 0;
    ResolvedPath path;
  };
  struct Hash {
    size_t operator()(const KernelPath& path) const;
  };
  using Numbers = std::unordered_map<KernelPath, Use, Hash>;

  Numbers numbers_;
  std::vector<Numbers::value_type*> uses_{nullptr};
  std::vector<uint32_t> free_;
};

class RouteStore {
 public:
  // How a new route lies among those with its metric (ip-route(8)).
  enum class Place : uint8_t {
    kLast,     // of a dump, or appended
    kFirst,
    kReplace,  // instead of the first one
  };
  static constexpr size_t kMaxOfPrefix = 64;

  // `paths` is not owned. Throws std::bad_alloc.
  RouteStore(size_t max_routes, KernelPaths* paths);
  ~RouteStore();
  RouteStore(const RouteStore&) = delete;
  RouteStore& operator=(const RouteStore&) = delete;

  // False: there is no room.
  bool Add(const Prefix& prefix, const KernelPath& path, Place place);
  // Takes out what the kernel says is gone, which of IPv6 may be some hops.
  void Remove(const Prefix& prefix, const KernelPath& path);
  // Makes the routes of a prefix those that another store has.
  bool CopyFrom(const RouteStore& other, const Prefix& prefix);

  // Numbers of paths, the first one first. Until the next change.
  std::span<const uint32_t> Of(const Prefix& prefix) const;
  // A bit of each prefix that has routes, for who uses this.
  bool IsMarked(const Prefix& prefix) const;
  void Mark(const Prefix& prefix, bool marked);

  // Calls f(prefix, marked) for up to `count` behind `after` (kNone: from the
  // beginning), until it says false. Returns the last one; kNone: there are
  // none.
  template <typename F>
  Prefix Each(const Prefix& after, size_t count, F&& f) const;

  // Prefixes that have any.
  size_t size() const { return list4_.routes() + list6_.routes(); }
  size_t memory() const;

 private:
  // An entry's route is the number of its path, or kMany and a list.
  static constexpr uint32_t kMany = 1u << 31;
  static constexpr uint32_t kMarked = 1;

  uint32_t EntryOf(const Prefix& prefix) const;
  std::vector<uint32_t> Copy(const Prefix& prefix) const;
  // What a prefix has from now on; the references come with it.
  void Put(const Prefix& prefix, std::vector<uint32_t> numbers);
  // The first of a list that is of the same table and metric; the end of those
  // that come before or are the same.
  size_t FirstLike(const std::vector<uint32_t>& numbers,
                   const KernelPath& path) const;
  size_t EndLike(const std::vector<uint32_t>& numbers,
                 const KernelPath& path) const;

  KernelPaths* const paths_;
  PrefixList<Key4> list4_;
  PrefixList<Key6> list6_;
  std::vector<std::vector<uint32_t>> many_;
  std::vector<uint32_t> free_;
};

template <typename F>
Prefix RouteStore::Each(const Prefix& after, size_t count, F&& f) const {
  Prefix last;
  const auto visit = [&](auto key, int length, const auto& entry) {
    if (count == 0) return false;
    --count;
    last = {AddressOf(key), static_cast<uint8_t>(length)};
    if (!f(last, (entry.own & kMarked) != 0)) count = 0;
    return count > 0;
  };
  const Address& address = after.address;
  if (address.family != Family::kIpv6) {
    const size_t from =
        address.family == Family::kNone
            ? 0
            : list4_.NumberAfter(KeyOf<Key4>(address), after.length);
    list4_.Each(from, visit);
  }
  if (count > 0) {
    const size_t from =
        address.family != Family::kIpv6
            ? 0
            : list6_.NumberAfter(KeyOf<Key6>(address), after.length);
    list6_.Each(from, visit);
  }
  return last;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_ROUTE_STORE_H_
