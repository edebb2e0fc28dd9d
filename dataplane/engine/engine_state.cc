// What the engine has to do with its own life before, and the one after.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/engine/engine.h"
#include "dataplane/transfer/kept_filter.h"

namespace sluice {
namespace {

// Milliseconds in which the last snapshots have to get on.
constexpr uint64_t kSavePatience = 120'000;
// Milliseconds that a thread which is not waited for any more has to end.
constexpr uint64_t kSaveEnd = 2'000;

}  // namespace

absl::Status Engine::ReadState() {
  if (options_.state_directory.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<StateDirectory>> directory =
      StateDirectory::Open(options_.state_directory);
  if (!directory.ok()) return directory.status();
  const auto complain = [](const std::string& what) {
    LogError("state directory: {}; the older one is tried", what);
  };
  absl::StatusOr<std::vector<ManifestEntry>> manifest =
      (*directory)->ReadManifest(complain, &kept_ports_, &kept_segments_);
  if (!manifest.ok()) return manifest.status();
  const std::vector<ManifestEntry> kept = *manifest;
  for (ManifestEntry& entry : *manifest) {
    entry.spec.kept =
        (*directory)->Read(entry, options_.max_snapshot, complain);
    Working();
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
      [this] {
        return KeptPorts{.ports = filters_->added_ports(),
                         .segments = filters_->added_segments()};
      },
      options_.state_interval,
      kept);
  return absl::OkStatus();
}

bool Engine::LoadKeptPolicy() {
  if (kept_main_ == nullptr) return false;
  LiveFilter& main = filters_->main();
  for (const std::vector<uint8_t>* snapshot :
       {&kept_main_->policy, &kept_main_->older_policy}) {
    if (snapshot->empty()) continue;
    KeptPolicy policy(&main.store(), &interfaces_, options_.dialect);
    absl::Status status = policy.Build(*snapshot);
    if (status.ok()) status = policy.Publish();
    if (status.ok()) {
      main.Rules().AfterCommit("kept");
      return true;
    }
    LogError("the kept ruleset: {}", Text(status));
  }
  return false;
}

void Engine::PlugKeptPorts() {
  // What they are on comes before ports, and parents before their children.
  for (const SegmentSpec& segment : kept_segments_) {
    const absl::Status status = filters_->AddSegment(segment);
    if (!status.ok()) {
      LogError("segment {} is not made again: {}", segment.name,
               Text(status));
    }
  }
  kept_segments_.clear();
  std::stable_partition(
      kept_ports_.begin(), kept_ports_.end(),
      [](const PortSpec& spec) { return spec.parent.empty(); });
  for (PortSpec& spec : kept_ports_) {
    spec.kept = true;
    const std::string name = spec.name;
    std::unique_ptr<BuildJob<PortListing>> job =
        filters_->BeginAddPort(std::move(spec));
    job->Build();
    const absl::StatusOr<PortListing> result = job->Publish();
    if (absl::IsAlreadyExists(result.status())) {
      LogWarning("port {}: the one that was added by an order is not plugged "
                 "in again: {}",
                 name, Text(result.status()));
    } else if (!result.ok()) {
      LogError("port {} is not plugged in again: {}; it is tried at the next "
               "start, until `sluicectl port remove {}`",
               name, Text(result.status()), name);
    }
    Working();
  }
  kept_ports_.clear();
}

void Engine::MakeKeptFilters() {
  for (ManifestEntry& entry : manifest_) {
    const std::string name = entry.spec.name;
    std::unique_ptr<BuildJob<LoadResult>> job =
        filters_->BeginCreateFilter(std::move(entry.spec));
    job->Build();
    const absl::StatusOr<LoadResult> result = job->Publish();
    if (!result.ok() || result->HasErrors()) {
      LogError("filter {} is not made again: {}", name,
                    result.ok() ? "its emergency ruleset has errors"
                                : Text(result.status()));
    }
    Working();
  }
  manifest_.clear();
}

void Engine::PollTransfers(uint64_t now) {
  restores_->Poll();
  if (keeper_ != nullptr) keeper_->Poll(now);
}

void Engine::SaveState(absl::FunctionRef<bool()> hurry) {
  if (keeper_ == nullptr) return;
  keeper_->Finish();
  uint64_t progress = keeper_->progress();
  uint64_t deadline = Now() + kSavePatience;
  while (!keeper_->finished()) {
    const uint64_t now = Now();
    // Even in a hurry once, so that it is known what there was to be kept.
    PollTransfers(now);
    if (now >= deadline || hurry()) break;
    if (keeper_->progress() != progress) {
      progress = keeper_->progress();
      deadline = now + kSavePatience;
      Working();
    }
    Wait();
  }
  kept_ = keeper_->Kept();
  if (kept_.ok()) LogInfo("state directory: saved");
}

bool Engine::EndSaving() {
  const uint64_t deadline = Now() + kSaveEnd;
  while (keeper_ != nullptr && keeper_->at_work()) {
    if (Now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace sluice
