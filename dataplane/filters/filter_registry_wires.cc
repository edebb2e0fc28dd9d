// What the firewall answers for at wires with `answer_arp`.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/forward/own_addresses.h"

namespace sluice {

// A policy, an edit of a table or an interface's address that came into force
// since the last look has another generation's number.
void FilterRegistry::AnswerForTranslations() {
  bool changed = false;
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
    if (port->own != nullptr && port->own->addresses() == addresses) continue;
    ports_.SetOwn(port, std::move(addresses));
    changed = true;
  }
  if (changed) ports_.Publish();
}

// Addresses that somebody else has: once each.
void FilterRegistry::WarnOfConflicts() {
  for (const auto& [name, port] : ports_.entries()) {
    if (port.own == nullptr || port.wire < name) continue;
    std::set<Address>& warned = taken_addresses_[name];
    for (size_t i = 0; i < port.own->size(); ++i) {
      const Address& address = port.own->addresses()[i];
      if (port.own->standing(i) != OwnAddresses::Standing::kTaken) {
        warned.erase(address);
        continue;
      }
      if (!warned.insert(address).second) continue;
      LogWarning("wire {} - {}: somebody else answers for {}, which a rule "
                 "translates to or redirects from: the firewall does not, "
                 "until that ends",
                 name, port.wire, ToString(address));
    }
  }
}

}  // namespace sluice
