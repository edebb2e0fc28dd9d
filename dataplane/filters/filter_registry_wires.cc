// What the firewall answers for at wires with `answer_arp`.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/forward/own_addresses.h"

namespace sluice {
namespace {

// States keep an address that no rule gives out any more: as long as pf's
// longest timeout it is answered for, if nobody else wants it.
constexpr uint64_t kLeavesWithin = 86'400'000;  // milliseconds
constexpr uint64_t kLeavingInterval = 60'000;

// Which addresses of `own` are not among `given` any more, and of those that
// have not been before which are so no longer.
std::vector<Address> NoteLeaving(const OwnAddresses* own,
                                 const std::vector<Address>& given,
                                 uint64_t now,
                                 std::map<Address, uint64_t>* leaving) {
  using Standing = OwnAddresses::Standing;
  for (size_t i = 0; own != nullptr && i < own->size(); ++i) {
    const Address& address = own->addresses()[i];
    if (own->HasStanding(i, Standing::kOurs)) {
      if (leaving->size() < 2 * kMostOfOneWire) {
        leaving->try_emplace(address, now);
      }
    } else {
      leaving->erase(address);
    }
  }
  std::vector<Address> left;
  std::erase_if(*leaving, [&](const auto& one) {
    return std::binary_search(given.begin(), given.end(), one.first) ||
           now - one.second >= kLeavesWithin;
  });
  for (const auto& [address, since] : *leaving) {
    if (given.size() + left.size() < kMostOfOneWire) left.push_back(address);
  }
  return left;
}

}  // namespace

// A policy, an edit of a table or an interface's address that came into force
// since the last look has another generation's number.
void FilterRegistry::AnswerForTranslations(uint64_t milliseconds) {
  bool changed = false;
  if (milliseconds - looked_for_leaving_ >= kLeavingInterval) {
    looked_for_leaving_ = milliseconds;
    answered_for_.clear();
  }
  for (const auto& [name, entry] : ports_.entries()) {
    if (!entry.answer_arp || entry.number == kNoPort) continue;
    PortSet::Entry* const port = ports_.Find(name);
    PortSet::Entry* const other = ports_.Find(port->wire);
    // Of both ends the first one by name does it.
    if (other == nullptr || other->number == kNoPort ||
        port->wire < name) {
      continue;
    }
    const std::array<PortSet::Entry*, 2> ends = {port, other};
    std::array<std::shared_ptr<const Generation>, 2> rules;
    AnsweredFor now;
    for (size_t i = 0; i < ends.size(); ++i) {
      LiveFilter& filter = *OfPort(*ends[i]).filter;
      rules[i] = filter.store().generation();
      now.serials[i] = filter.plane().serial;
      now.generations[i] = rules[i]->number;
    }
    const auto known = answered_for_.find(name);
    if (known != answered_for_.end() && known->second == now &&
        port->own != nullptr) {
      continue;
    }
    answered_for_[name] = now;
    std::vector<Address> addresses;
    AddTranslationAddresses(*rules[0], ends[0]->interface, ends[1]->interface,
                            &addresses);
    if (now.serials[1] != now.serials[0]) {
      AddTranslationAddresses(*rules[1], ends[0]->interface,
                              ends[1]->interface, &addresses);
    }
    if (!TidyOwnAddresses(&addresses)) {
      LogWarning("wire {} - {}: the firewall answers for the first {} of its "
                 "translation addresses only; route the others to one of them",
                 name, port->wire, kMostOfOneWire);
    }
    std::vector<Address> leaving = NoteLeaving(
        port->own.get(), addresses, milliseconds, &leaving_addresses_[name]);
    addresses.insert(addresses.end(), leaving.begin(), leaving.end());
    std::sort(addresses.begin(), addresses.end());
    if (port->own != nullptr && port->own->addresses() == addresses &&
        port->own->leaving() == leaving) {
      continue;
    }
    ports_.SetOwn(port, std::move(addresses), std::move(leaving));
    changed = true;
  }
  if (changed) ports_.Publish();
}

// Addresses that somebody else has: once each in each VLAN.
void FilterRegistry::WarnOfConflicts() {
  for (const auto& [name, port] : ports_.entries()) {
    if (port.own == nullptr || port.wire < name) continue;
    std::set<std::pair<uint32_t, Address>>& warned = taken_addresses_[name];
    const size_t lanes = port.own->lanes();
    for (size_t lane = 0; lane < lanes; ++lane) {
      const VlanId vlan = port.own->vlan(lane);
      for (size_t i = 0; i < port.own->size(); ++i) {
        const Address& address = port.own->addresses()[i];
        const std::pair key(vlan.value, address);
        if (port.own->standing(i, lane) != OwnAddresses::Standing::kTaken ||
            port.own->IsLeaving(address)) {
          warned.erase(key);
          continue;
        }
        if (!warned.insert(key).second) continue;
        LogWarning("wire {} - {}: somebody else answers for {}{}, which a rule "
                   "translates to or redirects from: the firewall does not, "
                   "until that ends",
                   name, port.wire, ToString(address),
                   vlan.IsSet() ? " in VLAN " + ToString(vlan)
                                : std::string());
      }
    }
  }
}

}  // namespace sluice
