#include "dataplane/filters/filter_states.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/expectation.h"
#include "conntrack/state_names.h"
#include "dataplane/filters/state_judge.h"
#include "dataplane/filters/state_listing.h"
#include "dataplane/workers/worker.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

// ICMP has no phases; pf prints its zero.
std::string Phase(uint8_t proto, uint8_t phase) {
  if (proto == protocol::kIcmp || proto == protocol::kIcmp6) return "0";
  const std::string_view name = PhaseName(proto, phase);
  return name.empty() ? absl::StrCat(phase) : std::string(name);
}

StatePeerListing PeerOf(const StateRecord& state, size_t peer) {
  StatePeerListing listing;
  listing.state = Phase(state.proto, state.phase[peer]);
  if (state.proto == protocol::kTcp) {
    listing.sequence_difference = state.offset[peer];
    listing.sequence_low = state.window[peer].low;
    listing.sequence_high = state.window[peer].high;
    listing.window_scale = state.scale[peer] & kScaleMask;
  }
  return listing;
}

// Places of the table of expectations that are looked at under one lock.
constexpr uint32_t kExpectedAStep = 256;

// "WORKER:SLOT"
struct StateCursor {
  uint32_t worker = 0;
  uint32_t slot = 0;
};
std::optional<StateCursor> ParseCursor(const std::string& text) {
  StateCursor cursor;
  if (text.empty()) return cursor;
  const char* const end = text.data() + text.size();
  auto [middle, error] = std::from_chars(text.data(), end, cursor.worker);
  if (error != std::errc() || middle == end || *middle != ':') {
    return std::nullopt;
  }
  auto [last, error2] = std::from_chars(middle + 1, end, cursor.slot);
  if (error2 != std::errc() || last != end) return std::nullopt;
  return cursor;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const StateMatcher>> Resolve(
    const FilterCore& core, const StateQuery& query) {
  auto matcher = std::make_shared<StateMatcher>();
  matcher->query = query;
  matcher->filter = core.number;
  if (!query.interface.empty()) {
    matcher->by_interface = true;
    matcher->interface =
        core.environment.interfaces->Resolve(query.interface).id;
  }
  if (query.creator_id && *query.creator_id != core.environment.host_id) {
    matcher->nothing = true;
  }
  if (!query.tag.empty()) {
    matcher->by_tag = true;
    matcher->tag = core.store.tags().Find(query.tag);
    if (matcher->tag == kNoTag) matcher->nothing = true;
  }
  if (!query.label.empty()) {
    matcher->by_rule_slots = true;
    matcher->rule_slots = core.store.rule_slots().WithLabel(query.label);
  }
  if (query.rule) {
    matcher->by_rule_slots = true;
    std::vector<uint32_t> slots;
    absl::StatusOr<std::vector<RuleStatus>> rules =
        PolicyListing(core.store).Rules("");
    if (!rules.ok()) return rules.status();
    for (const RuleStatus& status : *rules) {
      if (status.rule.number != *query.rule) continue;
      // With a label too, both have to fit.
      if (query.label.empty() ||
          std::ranges::binary_search(matcher->rule_slots, status.rule.slot)) {
        slots.push_back(status.rule.slot);
      }
    }
    matcher->rule_slots = std::move(slots);
  }
  return matcher;
}

StateListing ToListing(FilterCore& core, const StateRecord& state) {
  StateListing listing;
  listing.id = state.id;
  listing.creator_id = core.environment.host_id;
  if (state.values.has(kStateIfBound)) {
    const uint16_t by_route =
        BoundByRoute(state.values.route, state.direction);
    listing.interface = core.environment.interfaces->NameOf(
        by_route != 0 ? by_route : state.interface);
  }
  listing.vlan = state.vlan;
  listing.protocol = state.proto;
  listing.direction = state.direction;
  listing.before = {.source = state.address[0],
                    .destination = state.address[1],
                    .source_port = state.port[0],
                    .destination_port = state.port[1]};
  listing.after = listing.before;
  if (state.translated_family != Family::kNone) {
    listing.after = {.source = state.translated_address[0],
                     .destination = state.translated_address[1],
                     .source_port = state.translated_port[0],
                     .destination_port = state.translated_port[1]};
  }
  listing.source = PeerOf(state, 0);
  listing.destination = PeerOf(state, 1);
  // pf's form: the near and the far end together say how far it has come.
  if (state.proxy != ProxyPhase::kNone) {
    const bool out = state.direction == Direction::kOut;
    (out ? listing.source : listing.destination).state = "PROXY";
    (out ? listing.destination : listing.source).state =
        state.proxy == ProxyPhase::kClient ? "SRC" : "DST";
  }
  listing.age = state.age / 1000;
  listing.expires = state.expires_in / 1000;
  listing.packets = state.packets;
  listing.bytes = state.bytes;
  if (state.values.rule_slot != kDefaultRuleSlot) {
    const RuleIndex::Entry* const rule =
        core.rules_by_slot.Find(state.values.rule_slot);
    if (rule != nullptr) listing.rule = rule->number;
  }
  if (state.values.tag != kNoTag) {
    listing.tag = core.store.tags().NameOf(state.values.tag);
  }
  listing.sloppy = state.values.has(kStateSloppy);
  listing.no_sync = state.values.has(kStateNoSync);
  if (const PacketRoute& route = state.values.route; route.IsSet()) {
    StateRouteListing& told = listing.route.emplace();
    told.kind = route.kind;
    told.gateway = route.gateway;
    if (route.by_interface) {
      told.interface = core.environment.interfaces->NameOf(route.interface);
    }
  }
  listing.parent_id = state.parent.id;
  return listing;
}

namespace {

// What the helpers of the filter's states wait for, by the state's id.
std::multimap<StateId, ExpectedListing> ExpectedOf(const FilterCore& core) {
  std::multimap<StateId, ExpectedListing> expected;
  const ExpectationTable* const table = core.environment.plane->expectations;
  if (table == nullptr || table->empty()) return expected;
  std::vector<ExpectationRecord> records;
  records.reserve(table->size() + kExpectedAStep);
  const auto now = static_cast<Tick>(core.SinceStart());
  uint32_t cursor = 0;
  while (table->List(&cursor, kExpectedAStep, now, &records)) {
  }
  for (const ExpectationRecord& record : records) {
    if (record.filter != core.number) continue;
    const bool sctp = record.proto == protocol::kSctp;
    // Of SCTP both ends may be first; the key has the one first that a packet
    // would come from that is judged in.
    const bool key_first = sctp && record.direction == Direction::kIn;
    ExpectedListing listing = {
        .source = record.server,
        .destination = record.client,
        .source_port = sctp ? record.server_port : uint16_t{0},
        .destination_port = record.client_port,
        .expires = record.expires_in / 1000};
    if (key_first) {
      std::swap(listing.source, listing.destination);
      std::swap(listing.source_port, listing.destination_port);
    }
    expected.emplace(record.parent.id, listing);
  }
  return expected;
}

}  // namespace

std::vector<StateListing> ToListings(FilterCore& core,
                                     std::span<const StateRecord> states) {
  std::vector<StateListing> listings;
  listings.reserve(states.size());
  // Few listings have any, and the table is everybody's.
  std::multimap<StateId, ExpectedListing> expected;
  if (std::ranges::any_of(states, [](const StateRecord& state) {
        return (state.flags & kEntryRelated) != 0;
      })) {
    expected = ExpectedOf(core);
  }
  for (const StateRecord& state : states) {
    listings.push_back(ToListing(core, state));
    const auto [first, last] = expected.equal_range(state.id);
    for (auto flow = first; flow != last; ++flow) {
      listings.back().expected.push_back(flow->second);
    }
  }
  return listings;
}

namespace {

// Those that match, and with an association's first path its others, which may
// be on other workers. `before`: killed already.
void Kill(const std::shared_ptr<FilterCore>& core,
          std::shared_ptr<const StateMatcher> matcher, uint64_t before,
          StateControl::Done<uint64_t> done) {
  struct Sum {
    uint64_t killed = 0;
    size_t left = 0;
    std::vector<StateId> associations;
    StateControl::Done<uint64_t> done;
  };
  auto sum = std::make_shared<Sum>();
  sum->killed = before;
  sum->left = core->environment.workers.size();
  sum->done = std::move(done);
  const bool again = matcher->by_association;
  for (Worker* worker : core->environment.workers) {
    worker->mailbox().Post(std::make_unique<KillOrder>(
        matcher, [again, sum, filter = matcher->filter,
                  alive = std::weak_ptr<FilterCore>(core)](
                     uint64_t killed, std::vector<StateId> associations) {
          sum->killed += killed;
          sum->associations.insert(sum->associations.end(),
                                   associations.begin(), associations.end());
          if (--sum->left != 0) return;
          const std::shared_ptr<FilterCore> still = alive.lock();
          if (again || sum->associations.empty() || still == nullptr) {
            sum->done(sum->killed);
            return;
          }
          auto others = std::make_shared<StateMatcher>();
          others->filter = filter;
          others->by_association = true;
          others->associations = std::move(sum->associations);
          std::ranges::sort(others->associations);
          Kill(still, std::move(others), sum->killed, std::move(sum->done));
        }));
  }
}

}  // namespace

void FilterStates::ListStates(const StateQuery& query,
                              const std::string& cursor, size_t limit,
                              Done<StateSlice> done) {
  const std::optional<StateCursor> from = ParseCursor(cursor);
  if (!from || from->worker >= core_->environment.workers.size()) {
    done(absl::InvalidArgumentError("not a cursor of this filter"));
    return;
  }
  if (query.creator_id && *query.creator_id != core_->environment.host_id) {
    done(StateSlice{});
    return;
  }
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  const uint32_t worker = from->worker;
  auto finish = [worker, alive = std::weak_ptr<FilterCore>(core_),
                 done = std::move(done)](std::optional<uint32_t> next,
                                         std::vector<StateRecord> states) {
    const std::shared_ptr<FilterCore> core = alive.lock();
    if (core == nullptr) return;
    StateSlice slice;
    slice.states = ToListings(*core, states);
    if (next) {
      slice.next = absl::StrCat(worker, ":", *next);
    } else if (worker + 1 < core->environment.workers.size()) {
      slice.next = absl::StrCat(worker + 1, ":0");
    }
    done(std::move(slice));
  };
  Worker& owner = *core_->environment.workers[worker];
  owner.mailbox().Post(std::make_unique<ListOrder>(
      *std::move(matcher), from->slot, limit, std::move(finish)));
}

void FilterStates::KillStates(const StateQuery& query, Done<uint64_t> done) {
  if (query.creator_id && *query.creator_id != core_->environment.host_id) {
    done(uint64_t{0});
    return;
  }
  absl::StatusOr<std::shared_ptr<const StateMatcher>> matcher =
      Resolve(*core_, query);
  if (!matcher.ok()) {
    done(matcher.status());
    return;
  }
  Kill(core_, *std::move(matcher), 0, std::move(done));
}

// One worker after the other, slice by slice of its states; those that are to
// go, go before the next slice comes.
class FilterStates::BlockedSearch final
    : public std::enable_shared_from_this<BlockedSearch> {
 public:
  BlockedSearch(const std::shared_ptr<FilterCore>& core,
                std::shared_ptr<const Generation> rules, bool kill, size_t most,
                Done<BlockedStates> done)
      : core_(core),
        judge_(std::move(rules), *core->environment.ports),
        kill_(kill),
        most_(most),
        done_(std::move(done)) {
    auto all = std::make_shared<StateMatcher>();
    all->filter = core->number;
    all_ = std::move(all);
  }

  void Next() {
    const std::shared_ptr<FilterCore> core = core_.lock();
    if (core == nullptr) return;  // nobody is there who could be told
    if (worker_ == core->environment.workers.size()) return End(core);
    core->environment.workers[worker_]->mailbox().Post(
        std::make_unique<ListOrder>(
            all_, cursor_, kStatesAStep,
            [self = shared_from_this()](std::optional<uint32_t> next,
                                        std::vector<StateRecord> states) {
              self->Judge(next, states);
            }));
  }

 private:
  // Judged in well under a millisecond.
  static constexpr size_t kStatesAStep = 512;

  void Judge(std::optional<uint32_t> next,
             const std::vector<StateRecord>& states) {
    const std::shared_ptr<FilterCore> core = core_.lock();
    if (core == nullptr) return;
    std::vector<StateHandle> blocked;
    for (const StateRecord& state : states) {
      ++result_.looked_at;
      if (!judge_.Blocks(state)) continue;
      ++result_.blocked;
      if (result_.states.size() < most_) {
        result_.states.push_back(ToListing(*core, state));
      }
      if (!kill_) continue;
      blocked.push_back({state.id, state.slot});
      // Its other paths may be on other workers.
      if (state.proto == protocol::kSctp &&
          associations_.size() < KillOrder::kMaxAssociations) {
        associations_.push_back(state.id);
      }
    }
    Worker& worker = *core->environment.workers[worker_];
    cursor_ = next.value_or(0);
    if (!next) ++worker_;
    if (blocked.empty()) return Next();
    // While they are few: nothing of the size of the table is kept.
    worker.mailbox().Post(std::make_unique<KillThoseOrder>(
        std::move(blocked), [self = shared_from_this()](uint64_t killed) {
          self->result_.killed += killed;
          self->Next();
        }));
  }

  void End(const std::shared_ptr<FilterCore>& core) {
    if (associations_.empty()) {
      done_(std::move(result_));
      return;
    }
    auto paths = std::make_shared<StateMatcher>();
    paths->filter = core->number;
    paths->by_association = true;
    paths->associations = std::exchange(associations_, {});
    std::ranges::sort(paths->associations);
    Kill(core, std::move(paths), result_.killed,
         [self = shared_from_this()](absl::StatusOr<uint64_t> killed) {
           if (!killed.ok()) return self->done_(killed.status());
           self->result_.killed = *killed;
           self->done_(std::move(self->result_));
         });
  }

  const std::weak_ptr<FilterCore> core_;
  StateJudge judge_;
  const bool kill_;
  const size_t most_;
  const Done<BlockedStates> done_;
  std::shared_ptr<const StateMatcher> all_;
  size_t worker_ = 0;
  uint32_t cursor_ = 0;
  std::vector<StateId> associations_;  // whose first path was killed
  BlockedStates result_;
};

void FilterStates::FindBlocked(std::shared_ptr<const Generation> rules,
                               bool kill, size_t most,
                               Done<BlockedStates> done) {
  std::make_shared<BlockedSearch>(core_, std::move(rules), kill, most,
                                  std::move(done))
      ->Next();
}

void FilterStates::CollectCounters(std::function<void()> done) {
  struct Wait {
    size_t left = 0;
    std::function<void()> done;
  };
  auto wait = std::make_shared<Wait>();
  wait->done = std::move(done);
  // What a worker that does not run has counted is what it said last.
  const uint32_t stalled =
      core_->environment.plane->stalled.load(std::memory_order_relaxed);
  std::vector<size_t> running;
  for (size_t i = 0; i < core_->environment.workers.size(); ++i) {
    if ((stalled & 1u << i) == 0) running.push_back(i);
  }
  wait->left = running.size();
  if (running.empty()) wait->done();
  for (const size_t i : running) {
    core_->environment.workers[i]->mailbox().Post(std::make_unique<FoldOrder>(
        core_->number,
        [i, wait, alive = std::weak_ptr<FilterCore>(core_)](
            const WorkerSnapshot& snapshot) {
          const std::shared_ptr<FilterCore> core = alive.lock();
          if (core == nullptr) return;
          core->snapshots[i] = snapshot;
          if (--wait->left == 0) wait->done();
        }));
  }
}

}  // namespace sluice
