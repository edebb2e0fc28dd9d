// Incarnations of filters, and what the restore service knows of them.
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/transfer/kept_filter.h"
#include "dataplane/transfer/restore_service.h"

namespace sluice {

void FilterRegistry::Begin(Registered& of) {
  if (!HasEnabledPort(of)) return;
  // For the first incarnation alone.
  const std::shared_ptr<KeptFilter> kept = std::exchange(of.spec.kept, {});
  if (environment_.restores == nullptr) {
    FilterStatusWord& word = of.filter->plane().status;
    if (!word.Load().enabled()) word.Enable(of.spec.expect_restore);
    return;
  }
  const absl::StatusOr<FilterStatus> status = environment_.restores->Enable(
      of.filter->name(), of.spec.expect_restore || kept != nullptr,
      kept != nullptr ? kept->states : nullptr);
  if (!status.ok()) {
    LogError("filter {}: {}", of.filter->name(),
                  std::string(status.status().message()));
  }
}

absl::Status FilterRegistry::Introduce(Registered& of, bool has_ruleset) {
  if (of.spec.kept != nullptr) {
    of.id = of.spec.kept->id;
  } else {
    std::random_device random;
    for (uint8_t& byte : of.id) byte = static_cast<uint8_t>(random());
  }
  if (environment_.restores == nullptr) return absl::OkStatus();
  std::weak_ptr<LiveFilter> filter = of.filter;
  // Rules that were given stay, with what the snapshot's tables had been given
  // at run time; without any they come with the states.
  const ImportChoice choice = {
      .policy = !has_ruleset,
      .run_time_tables = has_ruleset && of.spec.kept == nullptr,
      .from_filter = of.spec.from_filter};
  std::shared_ptr<TransferSource> passed;
  if (of.spec.snapshot != nullptr) {
    passed = std::make_shared<DescriptorSource>(
        std::exchange(of.spec.snapshot, nullptr), choice,
        environment_.restores->transfer_limits());
  }
  return environment_.restores->AddFilter(
      {.filter = {.name = of.filter->name(),
                  .id = of.id,
                  .plane = &of.filter->plane(),
                  .owner = of.filter,
                  .dialect = environment_.dialect,
                  .state_capacity = environment_.state_capacity,
                  .policy_changed =
                      [filter] {
                        const auto live = filter.lock();
                        if (live != nullptr) live->Rules().AfterCommit("restore");
                      }},
       .source = passed != nullptr ? of.spec.snapshot_name : of.spec.source,
       // Of a filter that the process before had, it may have gone since.
       .source_may_be_absent = of.spec.kept != nullptr,
       .own_source = std::move(passed),
       .choice = choice,
       .give_up = of.spec.restore_give_up.has_value()
                      ? std::optional<RestoreTime>(
                            RestoreTime{*of.spec.restore_give_up} * 1'000'000)
                      : std::nullopt});
}

void FilterRegistry::ForEach(
    const std::function<void(const Definition&)>& visit) {
  visit({main_.spec, main_.id, *main_.filter});
  for (auto& [name, of] : filters_) {
    if (!of.leaving) visit({of.spec, of.id, *of.filter});
  }
}

void FilterRegistry::End(Registered& of, absl::AnyInvocable<void()> then) {
  if (environment_.restores == nullptr) {
    FilterStatusWord& word = of.filter->plane().status;
    if (word.Load().enabled()) word.Disable();
    return then();
  }
  environment_.restores->Disable(
      of.filter->name(),
      [held = std::make_shared<absl::AnyInvocable<void()>>(std::move(then))](
          const absl::StatusOr<FilterStatus>&) { (*held)(); });
}

}  // namespace sluice
