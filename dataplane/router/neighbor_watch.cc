#include "dataplane/router/neighbor_watch.h"

#include <linux/neighbour.h>

#include <utility>

#include "dataplane/routing/family_tables.h"

namespace sluice {
namespace {

constexpr uint16_t kReached = NUD_REACHABLE | NUD_STALE | NUD_DELAY |
                              NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
// Of those the ones that the kernel lets grow old.
constexpr uint16_t kAges = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;

}  // namespace

NeighborWatch::NeighborWatch(
    RoutingTables* tables, const LinkList* links, Tell ask, Tell take_back)
    : tables_(tables),
      links_(links),
      ask_(std::move(ask)),
      take_back_(std::move(take_back)) {}

void NeighborWatch::Show(const Key& key, const Known& known) {
  const auto port = links_->PortOf(key.first);
  if (!port.has_value()) return;
  const NeighborState state =
      (known.state & kReached) != 0      ? NeighborState::kKnown
      : (known.state & NUD_FAILED) != 0 ? NeighborState::kFailed
                                         : NeighborState::kPending;
  const absl::Status set =
      tables_->SetNeighbor(*port, key.second, state, known.mac);
  if (set.ok()) return;
  ++refused_;
  last_error_ = std::string(set.message());
}

void NeighborWatch::Hide(const Key& key) {
  const auto port = links_->PortOf(key.first);
  if (port.has_value()) tables_->RemoveNeighbor(*port, key.second);
}

void NeighborWatch::Set(const NeighborNews& news, uint64_t now) {
  // Groups have entries that nobody asks for.
  if (news.proxy || IsGroup(news.address)) return;
  const Key key = {news.link, news.address};
  unheard_.erase(key);
  // Without a link address nothing can be sent to it.
  const bool usable = (news.state & kReached) == 0 || news.has_mac;
  if (news.state == NUD_NONE || !usable) {
    Remove(news);
    return;
  }
  if (news.state != NUD_INCOMPLETE) open_.erase(key);
  const Known known = {.state = news.state, .mac = news.mac, .changed = now};
  known_[key] = known;
  Show(key, known);
}

void NeighborWatch::Remove(const NeighborNews& news) {
  const Key key = {news.link, news.address};
  unheard_.erase(key);
  open_.erase(key);
  known_.erase(key);
  Hide(key);
}

void NeighborWatch::Begin() {
  unheard_.clear();
  for (const auto& [key, known] : known_) unheard_.insert(key);
}

void NeighborWatch::End() {
  for (const Key& key : std::exchange(unheard_, {})) {
    known_.erase(key);
    if (!open_.contains(key)) Hide(key);
  }
}

void NeighborWatch::Forget(uint32_t link, uint16_t port) {
  const Key first = {link, Address()};
  for (auto known = known_.lower_bound(first);
       known != known_.end() && known->first.first == link; ++known) {
    tables_->RemoveNeighbor(port, known->first.second);
  }
  for (auto open = open_.lower_bound(first);
       open != open_.end() && open->first.first == link;) {
    tables_->RemoveNeighbor(port, open->first.second);
    open = open_.erase(open);
  }
}

void NeighborWatch::Enter(uint32_t link) {
  for (auto known = known_.lower_bound({link, Address()});
       known != known_.end() && known->first.first == link; ++known) {
    Show(known->first, known->second);
  }
}

bool NeighborWatch::IsOver(const std::pair<uint64_t, Key>& asked) const {
  const auto open = open_.find(asked.second);
  return open == open_.end() || open->second != asked.first;
}

// Whether there is room for another question.
bool NeighborWatch::GiveWay(uint64_t now) {
  while (!order_.empty() && IsOver(order_.front())) order_.pop_front();
  if (order_.empty() || now - order_.front().first < kTimeToAnswer) {
    return false;
  }
  const Key key = order_.front().second;
  if (!take_back_(key.first, key.second)) return false;
  order_.pop_front();
  open_.erase(key);
  known_.erase(key);
  Hide(key);
  return true;
}

bool NeighborWatch::Ask(uint16_t port, const Address& address, uint64_t now) {
  const auto index = links_->IndexOf(port);
  const LinkList::Link* const link =
      index.has_value() ? links_->Find(*index) : nullptr;
  if (link == nullptr || !link->up || IsGroup(address) ||
      address.family == Family::kNone) {
    ++questions_refused_;
    return false;
  }
  const Key key = {*index, address};
  if (open_.contains(key)) return true;
  const auto known = known_.find(key);
  if (known != known_.end()) {
    // Workers have not yet seen it.
    if ((known->second.state & kReached) != 0) return true;
    if ((known->second.state & NUD_FAILED) != 0 &&
        now - known->second.changed < kFailedLife) {
      return true;
    }
  }
  if ((open_.size() >= kMaxOpen && !GiveWay(now)) || !ask_(*index, address)) {
    ++questions_refused_;
    return false;
  }
  ++questions_;
  open_[key] = now;
  while (!order_.empty() && IsOver(order_.front())) order_.pop_front();
  order_.emplace_back(now, key);
  const Known pending = {.state = NUD_INCOMPLETE, .mac = {}, .changed = now};
  Show(key, pending);
  return true;
}

bool NeighborWatch::Knows(uint16_t port, const Address& address) const {
  const auto index = links_->IndexOf(port);
  if (!index.has_value()) return false;
  const Key key = {*index, address};
  return known_.contains(key) || open_.contains(key);
}

void NeighborWatch::Tick(uint64_t now) {
  for (auto open = open_.begin(); open != open_.end();) {
    if (now - open->second < kOpenLife) {
      ++open;
      continue;
    }
    // As the kernel has it: perhaps not at all.
    const auto known = known_.find(open->first);
    if (known == known_.end() || known->second.state == NUD_INCOMPLETE) {
      known_.erase(open->first);
      Hide(open->first);
    }
    open = open_.erase(open);
  }
  size_t sent = 0;
  auto at = known_.lower_bound(next_);
  for (size_t looked = 0; looked < known_.size() && sent < kRefreshes;
       ++looked, ++at) {
    if (at == known_.end()) at = known_.begin();
    const auto& [key, known] = *at;
    if ((known.state & kAges) == 0 || (known.state & NUD_STALE) == 0) continue;
    const auto port = links_->PortOf(key.first);
    if (!port.has_value() || !tables_->TakeNeighborUse(*port, key.second)) {
      continue;
    }
    if (!ask_(key.first, key.second)) break;
    ++refreshed_;
    ++sent;
  }
  next_ = at == known_.end() ? Key() : at->first;
}

}  // namespace sluice
