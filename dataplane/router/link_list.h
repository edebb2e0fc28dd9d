// The links of a namespace with their addresses, and which of them are ports.
#ifndef SLUICE_DATAPLANE_ROUTER_LINK_LIST_H_
#define SLUICE_DATAPLANE_ROUTER_LINK_LIST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "dataplane/router/netlink_message.h"
#include "packet/address.h"

namespace sluice {

class LinkList {
 public:
  static constexpr size_t kMaxLinks = 65'536;
  static constexpr size_t kMaxAddresses = 4096;  // of a link

  struct Link {
    bool switched_on = false;
    bool up = false;  // that, and it has a carrier
    std::vector<AddressNews> addresses;
  };

  void SetPort(uint32_t index, uint16_t port);
  // Its index, if it had one.
  std::optional<uint32_t> RemovePort(uint16_t port);
  std::optional<uint16_t> PortOf(uint32_t index) const;
  std::optional<uint32_t> IndexOf(uint16_t port) const;
  // Null: none that was heard of.
  const Link* Find(uint32_t index) const;

  void Set(const LinkNews& news);
  // Whether something has changed.
  bool Remove(uint32_t index);
  bool SetAddress(const AddressNews& news);
  bool RemoveAddress(const AddressNews& news);
  // The addresses that are sure, those to be preferred first.
  std::vector<Prefix> AddressesOf(uint32_t index) const;

  // A dump of links, or of addresses, begins. What is neither set nor removed
  // until its end has gone.
  void BeginLinks() { unheard_links_ = Indices(); }
  std::set<uint32_t> EndLinks() { return std::move(unheard_links_); }
  void BeginAddresses();
  std::vector<AddressNews> EndAddresses();

 private:
  using AddressKey = std::pair<uint32_t, Prefix>;

  std::set<uint32_t> Indices() const;

  std::map<uint32_t, Link> links_;
  std::map<uint32_t, uint16_t> ports_;
  std::map<uint16_t, uint32_t> indices_;
  std::set<uint32_t> unheard_links_;
  std::set<AddressKey> unheard_addresses_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_LINK_LIST_H_
