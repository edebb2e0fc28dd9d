// Filters in the making.
#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/filters/policy_source.h"
#include "dataplane/transfer/kept_filter.h"
#include "dataplane/workers/worker.h"
#include "pftable/policy/name.h"

namespace sluice {

absl::Status FilterRegistry::CheckSpec(const FilterSpec& spec) const {
  if (!IsFilterName(spec.name, kMaxFilterName)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", spec.name.substr(0, kMaxFilterName),
        "' cannot name a filter: 1 to ", kMaxFilterName,
        " letters, digits and _ . : -"));
  }
  if (spec.name.ends_with(kEmergencySuffix)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", spec.name, "' would name an emergency ruleset"));
  }
  if (spec.name == kMainFilterName || filters_.contains(spec.name)) {
    const auto found = filters_.find(spec.name);
    return absl::AlreadyExistsError(
        found != filters_.end() && found->second.leaving
            ? absl::StrCat("filter '", spec.name,
                           "' is still being destroyed; try again")
            : absl::StrCat("there is a filter '", spec.name, "' already"));
  }
  if (spec.ports.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("filter '", spec.name, "' needs a port"));
  }
  if (spec.ports.size() > kMaxPortsOfFilter) {
    return absl::InvalidArgumentError(absl::StrCat(
        "filter '", spec.name, "': more than ", kMaxPortsOfFilter, " ports"));
  }
  for (size_t i = 0; i < spec.ports.size(); ++i) {
    const std::string& port = spec.ports[i];
    if (std::find(spec.ports.begin(), spec.ports.begin() + i, port) !=
        spec.ports.begin() + i) {
      return absl::InvalidArgumentError(
          absl::StrCat("port ", port, " is named twice"));
    }
    const auto known = ports_.entries().find(port);
    if (known != ports_.entries().end() &&
        known->second.filter != kMainFilter) {
      return absl::FailedPreconditionError(absl::StrCat(
          "port ", port, " belongs to filter '",
          by_number_[known->second.filter]->filter->name(),
          "': destroy that first"));
    }
  }
  // One of the process before may have been told to fail closed since.
  const bool spare = spec.kept != nullptr && spec.emergency.has_value();
  if ((spec.fail_policy == FailPolicy::kOpen) != spec.emergency.has_value() &&
      !spare) {
    return absl::InvalidArgumentError(
        spec.emergency.has_value()
            ? "an emergency ruleset is for a filter that fails open"
            : "a filter that fails open needs an emergency ruleset: what is "
              "to hold then has to be said");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> FilterRegistry::TakeNumber() {
  if (free_numbers_.empty()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kMaxFilters, " filters already"));
  }
  const uint16_t number = free_numbers_.front();
  free_numbers_.pop_front();
  return number;
}

void FilterRegistry::GiveBackNumber(uint16_t number) {
  free_numbers_.push_back(number);
}

class FilterRegistry::CreateJob final : public BuildJob<LoadResult> {
 public:
  CreateJob(FilterRegistry* registry, FilterSpec spec)
      : registry_(*registry), spec_(std::move(spec)) {
    status_ = registry_.CheckSpec(spec_);
    if (!status_.ok()) return;
    TakeNumber(&number_);
    if (spec_.emergency.has_value()) TakeNumber(&emergency_number_);
    if (!status_.ok()) return;
    serial_ = registry_.next_serial_;
    registry_.next_serial_ += 2;
    // Known as interfaces from here on, for its rules.
    for (const std::string& port : spec_.ports) {
      absl::StatusOr<PortSet::Entry*> entry = registry_.ports_.Name(port);
      if (!entry.ok()) {
        status_ = entry.status();
        return;
      }
      // Neither may a port that is being removed be forgotten meanwhile.
      ++(*entry)->claims;
      claimed_.push_back(port);
    }
  }

  ~CreateJob() override {
    load_.reset();
    emergency_load_.reset();
    kept_policy_.reset();
    for (const std::string& port : claimed_) {
      --registry_.ports_.Find(port)->claims;
      registry_.ports_.Forget(port);
    }
    if (made_) return;
    if (number_ != kMainFilter) registry_.GiveBackNumber(number_);
    if (emergency_number_ != kMainFilter) {
      registry_.GiveBackNumber(emergency_number_);
    }
  }

  void Build() override {
    if (!status_.ok()) return;
    if (filter_ != nullptr) {
      // Again, for interfaces that have come or gone meanwhile.
      for (auto* load : {&emergency_load_, &load_}) {
        if (*load != nullptr && (*load)->Outdated()) (*load)->Build();
      }
      return;
    }
    const FilterEnvironment* const environment = &registry_.environment_;
    if (spec_.emergency.has_value()) {
      emergency_ = std::make_shared<LiveFilter>(
          environment,
          LiveFilter::Options{
              .name = absl::StrCat(spec_.name, View(kEmergencySuffix)),
              .number = emergency_number_,
              .serial = serial_ + 1});
      // Kept, for who has to make the filter again.
      emergency_load_ = emergency_->Rules().BeginLoad(*spec_.emergency);
      emergency_load_->Build();
    }
    filter_ = std::make_shared<LiveFilter>(
        environment, LiveFilter::Options{.name = spec_.name,
                                         .number = number_,
                                         .serial = serial_,
                                         .fail_policy = spec_.fail_policy,
                                         .emergency = emergency_,
                                         .bypass_hold = spec_.bypass_hold});
    has_ruleset_ = spec_.ruleset.has_value() || spec_.kept != nullptr;
    if (spec_.kept != nullptr && !spec_.ruleset.has_value()) BuildKept();
    if (!spec_.ruleset.has_value()) return;
    load_ = filter_->Rules().BeginLoad(*std::exchange(spec_.ruleset, {}));
    load_->Build();
  }

  bool Outdated() const override {
    return status_.ok() && ((load_ != nullptr && load_->Outdated()) ||
                            (emergency_load_ != nullptr &&
                             emergency_load_->Outdated()));
  }

  absl::StatusOr<LoadResult> Publish() override {
    if (!status_.ok()) return status_;
    // It was asked when the order came; others may have come before it.
    if (status_ = registry_.CheckSpec(spec_); !status_.ok()) return status_;
    LoadResult result;
    for (auto* load : {&emergency_load_, &load_}) {
      if (*load == nullptr) continue;
      absl::StatusOr<LoadResult> loaded = (*load)->Publish();
      if (!loaded.ok()) return loaded.status();
      std::ranges::move(loaded->diagnostics,
                        std::back_inserter(result.diagnostics));
      result.rules = loaded->rules;
      result.generation = loaded->generation;
      if (result.HasErrors()) return result;
    }
    if (kept_policy_ != nullptr) {
      if (status_ = kept_policy_->Publish(); !status_.ok()) return status_;
      filter_->Rules().AfterCommit("kept");
      result.rules = CountRules(filter_->store().policy()->main);
      result.generation = filter_->store().generation()->number;
    }
    Registered made;
    made.filter = filter_;
    made.spec = spec_;
    if (status_ = registry_.Introduce(made, has_ruleset_); !status_.ok()) {
      return status_;
    }
    made_ = true;
    FilterTable& table = registry_.environment_.plane->filters;
    if (emergency_ != nullptr) table.Publish(&emergency_->plane());
    table.Publish(&filter_->plane());
    Registered& of = registry_.filters_[spec_.name];
    of = std::move(made);
    of.created = std::time(nullptr);
    registry_.by_number_[number_] = &of;
    if (emergency_ != nullptr) registry_.by_number_[emergency_number_] = &of;
    for (const std::string& name : of.spec.ports) {
      registry_.MovePort(registry_.ports_.Find(name), of);
    }
    // Before the workers hear of it: from its first packet on the filter is
    // in the state that it begins with.
    registry_.Begin(of);
    registry_.ports_.Publish();
    LogInfo("filter {}: made, {} rules, {}", filter_->name(),
                 result.rules,
                 of.filter->plane().status.Load().expects()
                     ? "expecting a restore"
                     : "in force");
    return result;
  }

 private:
  // The policy of the process before, or the one before that.
  void BuildKept() {
    for (const std::vector<uint8_t>* policy :
         {&spec_.kept->policy, &spec_.kept->older_policy}) {
      if (policy->empty()) continue;
      kept_policy_ = std::make_unique<KeptPolicy>(
          &filter_->store(), registry_.environment_.interfaces,
          registry_.environment_.dialect);
      if (status_ = kept_policy_->Build(*policy); status_.ok()) return;
      LogError("filter {}: its kept policy: {}", filter_->name(),
                    std::string(status_.message()));
      kept_policy_.reset();
    }
    // It comes up without one: nothing passes.
    status_ = absl::OkStatus();
  }

  void TakeNumber(uint16_t* number) {
    if (!status_.ok()) return;
    absl::StatusOr<uint16_t> taken = registry_.TakeNumber();
    status_ = taken.status();
    if (taken.ok()) *number = *taken;
  }

  FilterRegistry& registry_;
  FilterSpec spec_;
  absl::Status status_;
  uint16_t number_ = kMainFilter;  // main's: none yet
  uint16_t emergency_number_ = kMainFilter;
  uint64_t serial_ = 0;
  std::vector<std::string> claimed_;
  std::shared_ptr<LiveFilter> filter_;
  std::shared_ptr<LiveFilter> emergency_;
  bool has_ruleset_ = false;
  std::unique_ptr<KeptPolicy> kept_policy_;
  std::unique_ptr<BuildJob<LoadResult>> load_;
  std::unique_ptr<BuildJob<LoadResult>> emergency_load_;
  bool made_ = false;
};

std::unique_ptr<BuildJob<LoadResult>> FilterRegistry::BeginCreateFilter(
    FilterSpec spec) {
  return std::make_unique<CreateJob>(this, std::move(spec));
}

void FilterRegistry::MovePort(PortSet::Entry* port, Registered& to) {
  OfPort(*port).filter->Status().Leave(*port);
  port->filter = to.filter->number();
  to.filter->Status().Join(*port);
}

}  // namespace sluice
