#include "dataplane/router/link_list.h"

#include <algorithm>
#include <utility>

namespace sluice {

void LinkList::SetPort(uint32_t index, uint16_t port) {
  RemovePort(port);
  if (const auto other = ports_.find(index); other != ports_.end()) {
    indices_.erase(other->second);
  }
  ports_[index] = port;
  indices_[port] = index;
}

std::optional<uint32_t> LinkList::RemovePort(uint16_t port) {
  const auto found = indices_.find(port);
  if (found == indices_.end()) return std::nullopt;
  const uint32_t index = found->second;
  indices_.erase(found);
  ports_.erase(index);
  return index;
}

std::optional<uint16_t> LinkList::PortOf(uint32_t index) const {
  const auto found = ports_.find(index);
  if (found == ports_.end()) return std::nullopt;
  return found->second;
}

std::optional<uint32_t> LinkList::IndexOf(uint16_t port) const {
  const auto found = indices_.find(port);
  if (found == indices_.end()) return std::nullopt;
  return found->second;
}

const LinkList::Link* LinkList::Find(uint32_t index) const {
  const auto found = links_.find(index);
  return found == links_.end() ? nullptr : &found->second;
}

void LinkList::Set(const LinkNews& news) {
  unheard_links_.erase(news.index);
  if (links_.size() >= kMaxLinks && Find(news.index) == nullptr) return;
  Link& link = links_[news.index];
  link.switched_on = news.switched_on;
  link.up = news.switched_on && news.running;
}

bool LinkList::Remove(uint32_t index) {
  unheard_links_.erase(index);
  return links_.erase(index) > 0;
}

bool LinkList::SetAddress(const AddressNews& news) {
  unheard_addresses_.erase({news.link, news.address});
  const auto found = links_.find(news.link);
  if (found == links_.end()) return false;
  std::vector<AddressNews>& addresses = found->second.addresses;
  for (AddressNews& address : addresses) {
    if (address.address != news.address) continue;
    return std::exchange(address, news) != news;
  }
  if (addresses.size() >= kMaxAddresses) return false;
  addresses.push_back(news);
  return true;
}

bool LinkList::RemoveAddress(const AddressNews& news) {
  unheard_addresses_.erase({news.link, news.address});
  const auto found = links_.find(news.link);
  if (found == links_.end()) return false;
  return std::erase_if(found->second.addresses,
                       [&](const AddressNews& address) {
                         return address.address == news.address;
                       }) > 0;
}

std::vector<Prefix> LinkList::AddressesOf(uint32_t index) const {
  std::vector<Prefix> addresses;
  const Link* const link = Find(index);
  if (link == nullptr) return addresses;
  for (const bool deprecated : {false, true}) {
    for (const AddressNews& address : link->addresses) {
      if (address.tentative || address.deprecated != deprecated) continue;
      addresses.push_back(address.address);
    }
  }
  return addresses;
}

std::set<uint32_t> LinkList::Indices() const {
  std::set<uint32_t> indices;
  for (const auto& [index, link] : links_) indices.insert(index);
  return indices;
}

void LinkList::BeginAddresses() {
  unheard_addresses_.clear();
  for (const auto& [index, link] : links_) {
    for (const AddressNews& address : link.addresses) {
      unheard_addresses_.insert({index, address.address});
    }
  }
}

std::vector<AddressNews> LinkList::EndAddresses() {
  std::vector<AddressNews> gone;
  for (const auto& [index, address] : std::exchange(unheard_addresses_, {})) {
    gone.push_back({.link = index, .address = address});
  }
  return gone;
}

}  // namespace sluice
