// What the daemon has to do with restores, and with its own life before.
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "dataplane/base/text.h"
#include "dataplane/daemon/daemon.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/transfer/kept_filter.h"

namespace sluice {
namespace {

// Milliseconds that the last snapshots may take.
constexpr uint64_t kSaveDeadline = 10'000;

}  // namespace

void Daemon::MakeRestores() {
  RestoreServiceOptions options;
  for (Worker* worker : environment_.workers) {
    options.plane.mailboxes.push_back(&worker->mailbox());
  }
  options.plane.steering = &plane_->steering;
  options.plane.expectations = expectations_.get();
  options.plane.interfaces = &interfaces_;
  options.plane.now = [this] { return plane_->clock.Now(); };
  options.limits.validating = 2;
  restores_ = std::make_unique<RestoreService>(std::move(options));
  environment_.restores = restores_.get();
}

absl::Status Daemon::ReadState() {
  if (config_.state.directory.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<StateDirectory>> directory =
      StateDirectory::Open(config_.state.directory);
  if (!directory.ok()) return directory.status();
  const auto complain = [](const std::string& what) {
    spdlog::error("state directory: {}; the older one is tried", what);
  };
  absl::StatusOr<std::vector<ManifestEntry>> manifest =
      (*directory)->ReadManifest(complain);
  if (!manifest.ok()) return manifest.status();
  const std::vector<ManifestEntry> kept = *manifest;
  for (ManifestEntry& entry : *manifest) {
    entry.spec.kept = (*directory)->Read(entry, complain);
    if (entry.spec.name == kMainFilterName) {
      kept_main_ = std::move(entry.spec.kept);
    } else {
      manifest_.push_back(std::move(entry));
    }
  }
  keeper_ = std::make_unique<StateKeeper>(
      *std::move(directory), restores_.get(),
      [this](const StateKeeper::Visit& visit) {
        filters_->ForEach([&](const FilterRegistry::Definition& filter) {
          visit({.spec = filter.spec,
                 .id = filter.id,
                 .plane = filter.filter.plane()});
        });
      },
      uint64_t{config_.state.interval} * 1000, kept);
  return absl::OkStatus();
}

bool Daemon::LoadKeptRuleset() {
  if (kept_main_ == nullptr) return false;
  LiveFilter& main = filters_->main();
  for (const std::vector<uint8_t>* snapshot :
       {&kept_main_->policy, &kept_main_->older_policy}) {
    if (snapshot->empty()) continue;
    KeptPolicy policy(&main.store(), &interfaces_, config_.policy.dialect);
    absl::Status status = policy.Build(*snapshot);
    if (status.ok()) status = policy.Publish();
    if (status.ok()) {
      main.Rules().AfterCommit();
      spdlog::info("the ruleset that was committed last is in force; SIGHUP "
                   "loads {}",
                   config_.policy.ruleset);
      return true;
    }
    spdlog::error("the kept ruleset: {}", Text(status));
  }
  return false;
}

void Daemon::MakeKeptFilters() {
  for (ManifestEntry& entry : manifest_) {
    const std::string name = entry.spec.name;
    std::unique_ptr<BuildJob<LoadResult>> job =
        filters_->BeginCreateFilter(std::move(entry.spec));
    job->Build();
    const absl::StatusOr<LoadResult> result = job->Publish();
    if (!result.ok() || result->HasErrors()) {
      spdlog::error("filter {} is not made again: {}", name,
                    result.ok() ? "its emergency ruleset has errors"
                                : Text(result.status()));
    }
  }
  manifest_.clear();
}

void Daemon::PollRestores(uint64_t milliseconds) {
  restores_->Poll();
  if (keeper_ != nullptr) keeper_->Poll(milliseconds);
}

void Daemon::SaveState() {
  if (keeper_ == nullptr) return;
  keeper_->Finish();
  const uint64_t deadline = plane_->clock.Milliseconds() + kSaveDeadline;
  const int signals = stop_signals_;
  while (!keeper_->finished()) {
    const uint64_t now = plane_->clock.Milliseconds();
    if (now >= deadline || stop_signals_ != signals) {
      spdlog::error("state directory: not all could be saved");
      return;
    }
    PollRestores(now);
    usleep(500);
    OnSignal();
  }
  spdlog::info("state directory: saved");
}

}  // namespace sluice
