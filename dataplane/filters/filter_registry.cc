#include "dataplane/filters/filter_registry.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/policy_source.h"
#include "dataplane/transfer/kept_filter.h"
#include "dataplane/transfer/restore_service.h"
#include "dataplane/workers/worker.h"

namespace sluice {
namespace {

// Places of the table of sources that are looked at: a fraction of a
// millisecond.
constexpr uint32_t kSourcesAPoll = 4096;
constexpr uint64_t kPurgeInterval = 1000;  // milliseconds
// Of ports that are no more, so many that their numbers are worth a look at all
// states.
constexpr size_t kManyInterfaces = 1024;
constexpr uint64_t kForgetInterval = 600'000;  // milliseconds

absl::Status NoFilter(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no filter '", View(name), "'"));
}

}  // namespace

FilterRegistry::FilterRegistry(const FilterEnvironment* environment,
                               PortSet* ports, GraceList* grace,
                               Builder* builder)
    : environment_(*environment),
      ports_(*ports),
      grace_(*grace),
      builder_(*builder),
      by_number_(kMaxFilters),
      traces_(environment,
              [this](const std::string& name) -> std::optional<uint16_t> {
                const Registered* const of = FindRegistered(name);
                if (of == nullptr) return std::nullopt;
                return of->filter->number();
              },
              [this](uint16_t port, uint32_t rule_slot) -> std::string {
                for (const auto& [name, entry] : ports_.entries()) {
                  if (entry.number != port) continue;
                  const Registered* const of = by_number_[entry.filter];
                  if (of == nullptr) break;
                  const absl::StatusOr<RuleSlotInfo> rule =
                      of->filter->store().rule_slots().Info(rule_slot);
                  return rule.ok() ? rule->anchor : std::string();
                }
                return "";
              }) {
  for (uint16_t number = 1; number < kMaxFilters; ++number) {
    free_numbers_.push_back(number);
  }
  main_.spec.name = kMainFilterName;
  main_.filter = std::make_shared<LiveFilter>(
      &environment_,
      LiveFilter::Options{.name = std::string(kMainFilterName),
                          .number = kMainFilter,
                          .serial = next_serial_++});
  main_.created = std::time(nullptr);
  by_number_[kMainFilter] = &main_;
  environment_.plane->filters.Publish(&main_.filter->plane());
}

FilterRegistry::~FilterRegistry() = default;

void FilterRegistry::Start(std::shared_ptr<KeptFilter> kept) {
  main_.spec.kept = std::move(kept);
  if (absl::Status status = Introduce(main_, true); !status.ok()) {
    LogError("filter main: {}", std::string(status.message()));
  }
  for (const auto& [name, port] : ports_.entries()) {
    main_.filter->Status().Join(port);
  }
  Begin(main_);
}

// On the builder thread: a million addresses take their time.
void FilterRegistry::FreeGarbage(const std::shared_ptr<LiveFilter>& filter) {
  // The store has to be there still: what goes first is declared last.
  struct Garbage {
    std::shared_ptr<LiveFilter> filter;
    std::vector<std::shared_ptr<const Generation>> generations;
  };
  std::vector<std::shared_ptr<const Generation>> generations =
      filter->store().TakeGarbage();
  if (filter->emergency() != nullptr) {
    std::ranges::move(filter->emergency()->store().TakeGarbage(),
                      std::back_inserter(generations));
  }
  if (generations.empty()) return;
  auto garbage = std::make_shared<Garbage>();
  garbage->filter = filter;
  garbage->generations = std::move(generations);
  // If the builder has too much to do, it goes here.
  static_cast<void>(
      builder_.Submit([garbage] { garbage->generations.clear(); },
                      [garbage] {}));
}

std::shared_ptr<LiveFilter> FilterRegistry::Serving(uint16_t number,
                                                    uint64_t serial) {
  FilterPlane* const plane = environment_.plane->filters.at(number);
  if (plane == nullptr || plane->serial != serial) return nullptr;
  const auto serves = [&](const Registered& of)
      -> std::shared_ptr<LiveFilter> {
    if (&of.filter->plane() == plane) return of.filter;
    if (of.filter->emergency() != nullptr &&
        &of.filter->emergency()->plane() == plane) {
      return of.filter->shared_emergency();
    }
    return nullptr;
  };
  if (auto found = serves(main_)) return found;
  for (const auto& [name, of] : filters_) {
    if (auto found = serves(of)) return found;
  }
  return nullptr;
}

// None of their states is left. What their nodes count for, rules and
// limiters, goes with them: a node of any use that outlived it would be
// counted out of what is no more.
void FilterRegistry::ForgetSources(
    const std::vector<std::shared_ptr<LiveFilter>>& filters) {
  if (environment_.sources == nullptr) return;
  for (const auto& filter : filters) {
    environment_.sources->RemoveAllOf(filter->number());
  }
}

void FilterRegistry::Poll(uint64_t milliseconds) {
  PollRemovals();
  for (Worker* worker : environment_.workers) worker->mailbox().Collect();
  PollOverloads();
  AnswerForTranslations(milliseconds);
  if (environment_.sources != nullptr) {
    environment_.sources->Purge(environment_.plane->clock.Now(),
                                kSourcesAPoll);
  }
  FreeGarbage(main_.filter);
  for (auto& [name, of] : filters_) FreeGarbage(of.filter);
  if (milliseconds - last_look_ < kPurgeInterval) return;
  last_look_ = milliseconds;
  traces_.Poll();
  IndexTables(milliseconds);
  WarnOfConflicts();
  // So many more than last time, or after a while some all the same.
  const bool late = milliseconds - forgot_at_ >= kForgetInterval;
  ForgetInterfaces((late ? 0 : gone_interfaces_) + kManyInterfaces);
  const auto look = [this](Registered& of) {
    const uint64_t removals = of.filter->Status().Removals();
    if (removals != of.removals) of.last_purge = std::time(nullptr);
    of.removals = removals;
    of.filter->Status().WatchLimits();
    ForgetTags(of.filter);
    RevertOverdue(of.filter);
    if (of.filter->emergency() != nullptr) {
      of.filter->emergency()->Status().WatchLimits();
    }
  };
  look(main_);
  for (auto& [name, of] : filters_) look(of);
}

size_t FilterRegistry::pending_orders() const {
  size_t pending = 0;
  for (Worker* worker : environment_.workers) {
    pending += worker->mailbox().pending();
  }
  return pending;
}

bool FilterRegistry::has_old_generations() const {
  const auto has = [](const Registered& of) {
    return of.filter->store().live_generations() > 1;
  };
  return has(main_) || std::ranges::any_of(filters_, [&](const auto& entry) {
           return has(entry.second);
         });
}

// ---- Finding ---------------------------------------------------------------

FilterRegistry::Registered* FilterRegistry::FindRegistered(
    std::string_view name) {
  if (name == kMainFilterName) return &main_;
  const auto found = filters_.find(name);
  if (found == filters_.end() || found->second.leaving) return nullptr;
  return &found->second;
}

FilterRegistry::Registered& FilterRegistry::OfPort(
    const PortSet::Entry& port) {
  return *by_number_[port.filter];
}

uint8_t FilterRegistry::Describe(const LogRecord& record,
                                 PflogContext* context) {
  logged_interface_ = environment_.interfaces->NameOf(record.interface);
  context->interface = logged_interface_;
  Registered* const of = by_number_[record.filter];
  // Gone since.
  if (of == nullptr) return 0;
  const bool emergency = of->filter->number() != record.filter;
  return (emergency ? of->filter->emergency() : of->filter.get())
      ->Rules().Describe(record, context);
}

void FilterRegistry::Describe(const FlowRecord& record,
                              SessionContext* context) {
  logged_interface_ = environment_.interfaces->NameOf(record.interface);
  context->interface = logged_interface_;
  Registered* const of = by_number_[record.filter];
  if (of == nullptr) return;
  const bool emergency = of->filter->number() != record.filter;
  LiveFilter* const filter =
      emergency ? of->filter->emergency() : of->filter.get();
  context->filter = filter->name();
  filter->Rules().Describe(record, context);
}

FilterControl* FilterRegistry::Find(std::string_view name) {
  if (Registered* of = FindRegistered(name)) return of->filter.get();
  if (!name.ends_with(kEmergencySuffix)) return nullptr;
  name.remove_suffix(kEmergencySuffix.size());
  Registered* const of = FindRegistered(name);
  return of != nullptr ? of->filter->emergency() : nullptr;
}

std::vector<FilterListing> FilterRegistry::Filters(std::string_view after,
                                                   size_t limit) {
  std::vector<FilterListing> listings;
  if (after.empty() && limit > 0) listings.push_back(ListingOf(main_));
  auto at = after.empty() || after == kMainFilterName
                ? filters_.begin()
                : filters_.upper_bound(after);
  for (; at != filters_.end() && listings.size() < limit; ++at) {
    if (!at->second.leaving) listings.push_back(ListingOf(at->second));
  }
  return listings;
}

absl::StatusOr<FilterListing> FilterRegistry::Filter(std::string_view name) {
  const Registered* const of = FindRegistered(name);
  if (of == nullptr) return NoFilter(name);
  return ListingOf(*of);
}

FilterListing FilterRegistry::ListingOf(const Registered& of) const {
  LiveFilter& filter = *of.filter;
  const std::shared_ptr<const Policy> policy = filter.store().policy();
  FilterListing listing;
  listing.name = filter.name();
  for (const auto& [name, port] : ports_.entries()) {
    if (port.filter != filter.number()) continue;
    listing.ports.push_back(name);
    const PortSet::Entry* const device = ports_.DeviceOf(port);
    listing.macs.push_back(device != nullptr ? device->device->Mac() : "");
  }
  listing.status = filter.plane().status.Load();
  listing.fail_policy = filter.plane().fail_policy;
  listing.failed =
      DispositionOf(listing.status) == FilterDisposition::kFail;
  listing.loaded = filter.plane().loaded.load(std::memory_order_relaxed);
  listing.enabled = filter.plane().enabled.load(std::memory_order_relaxed);
  listing.states = filter.budget().used();
  listing.rules = CountRules(policy->main);
  for (const TableStatus& table : PolicyListing(filter.store()).Tables()) {
    ++listing.tables;
    listing.table_addresses += table.addresses;
  }
  listing.generation = filter.store().generation()->number;
  listing.hash = absl::StrFormat("%016x", filter.store().generation()->hash);
  listing.created = of.created;
  listing.last_purge = of.last_purge;
  listing.source = of.spec.snapshot_name.empty() ? of.spec.source
                                                 : of.spec.snapshot_name;
  if (environment_.restores != nullptr) {
    listing.restore = environment_.restores->Last(filter.name());
  }
  for (const auto& hold : filter.plane().holds) {
    const HoldStatistics& s = hold->statistics();
    const auto get = [](const std::atomic<uint64_t>& value) {
      return value.load(std::memory_order_relaxed);
    };
    const uint64_t replayed = get(s.replayed);
    const uint64_t dropped = get(s.dropped_expired) + get(s.dropped_failed) +
                             get(s.dropped_cancelled);
    const uint64_t held = get(s.held);
    listing.hold.held += held;
    listing.hold.replayed += replayed;
    listing.hold.dropped += dropped;
    listing.hold.waiting += held - replayed - dropped;
    listing.hold.bypassed += get(s.bypassed);
    listing.hold.refused += get(s.refused_full) + get(s.refused_budget);
    listing.hold.longest = std::max(listing.hold.longest, get(s.longest));
  }
  return listing;
}

// ---- Removing --------------------------------------------------------------

void FilterRegistry::DestroyFilter(std::string_view name, DoneStatus done) {
  Registered* const of = FindRegistered(name);
  if (of == nullptr) {
    done(NoFilter(name));
    return;
  }
  if (of == &main_) {
    done(absl::FailedPreconditionError(
        "filter 'main' judges at every port without a filter of its own and "
        "cannot be destroyed"));
    return;
  }
  of->leaving = true;
  of->filter->MarkDestroyed();
  // Its ports first: a worker that still judged by it after its incarnation
  // has ended would drop packets that main lets pass.
  std::vector<std::string> ports;
  for (const auto& [port_name, port] : ports_.entries()) {
    if (port.filter == of->filter->number()) ports.push_back(port_name);
  }
  for (const std::string& port : ports) {
    MovePort(ports_.Find(port), main_);
    ports_.Forget(port);
  }
  Begin(main_);
  ports_.Publish();
  auto end = [this, of, done = std::move(done)]() mutable {
    std::vector<std::shared_ptr<LiveFilter>> filters = {of->filter};
    if (LiveFilter* emergency = of->filter->emergency()) {
      filters.push_back(emergency->shared_from_this());
    }
    auto forget = [this, of, filters = std::move(filters),
                   done = std::move(done)]() mutable {
      Forget(std::move(filters), [this, of, done = std::move(done)] {
        LogInfo("filter {}: destroyed", of->filter->name());
        for (Registered*& other : by_number_) {
          if (other == of) other = nullptr;
        }
        filters_.erase(filters_.find(of->filter->name()));
        done(absl::OkStatus());
      });
    };
    if (environment_.restores == nullptr) return forget();
    // Nothing of it may be restored or exported any more.
    auto held = std::make_shared<decltype(forget)>(std::move(forget));
    const absl::Status status = environment_.restores->RemoveFilter(
        of->filter->name(), [held] { (*held)(); });
    if (status.ok()) return;
    LogError("filter {}: {}", of->filter->name(),
                  std::string(status.message()));
    // A service that will not call has nothing of it that could be waited
    // for: its incarnation is over, and its number is about to be.
    (*held)();
  };
  grace_.After([this, of, end = std::move(end)]() mutable {
    End(*of, std::move(end));
  });
}

void FilterRegistry::Forget(
    std::vector<std::shared_ptr<LiveFilter>> filters,
    absl::AnyInvocable<void()> then) {
  struct Work {
    FilterRegistry* registry;
    std::vector<std::shared_ptr<LiveFilter>> filters;
    absl::AnyInvocable<void()> then;
    size_t orders = 0;
  };
  auto work = std::make_shared<Work>(
      Work{this, std::move(filters), std::move(then)});
  const auto withdraw = [](const std::shared_ptr<Work>& work) {
    FilterRegistry& registry = *work->registry;
    for (const auto& filter : work->filters) {
      registry.environment_.plane->filters.Withdraw(filter->number());
    }
    registry.grace_.After([work] {
      work->registry->ForgetSources(work->filters);
      for (const auto& filter : work->filters) {
        work->registry->GiveBackNumber(filter->number());
      }
      work->then();
    });
  };
  // Nothing is judged by them once every worker has the new topology.
  grace_.After([this, work, withdraw] {
    work->orders = work->filters.size() * environment_.workers.size();
    for (const auto& filter : work->filters) {
      for (Worker* worker : environment_.workers) {
        worker->mailbox().Post(std::make_unique<ForgetOrder>(
            &filter->plane(), [work, withdraw] {
              if (--work->orders == 0) withdraw(work);
            }));
      }
    }
  });
}

// ---- Incarnations ----------------------------------------------------------

bool FilterRegistry::HasEnabledPort(const Registered& of) const {
  return std::ranges::any_of(ports_.entries(), [&](const auto& entry) {
    return entry.second.filter == of.filter->number() && entry.second.enabled;
  });
}

}  // namespace sluice
