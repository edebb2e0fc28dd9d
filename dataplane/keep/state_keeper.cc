#include "dataplane/keep/state_keeper.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// Milliseconds between two looks at what has changed, and between two files of
// one filter's policy.
constexpr uint64_t kPolicyLookInterval = 20;
constexpr uint64_t kPolicyInterval = 500;

// Whether what it has may take the place of what is kept: not while that has
// still to be restored, nor when that has failed.
bool IsWorthKeeping(const FilterStatus& status) {
  return !status.enabled() ||
         DispositionOf(status) == FilterDisposition::kJudge;
}

}  // namespace

StateKeeper::StateKeeper(std::unique_ptr<StateDirectory> directory,
                         RestoreService* service, ForEach for_each,
                         uint64_t interval,
                         const std::vector<ManifestEntry>& kept)
    : directory_(std::move(directory)),
      service_(service),
      for_each_(std::move(for_each)),
      interval_(interval) {
  for (const ManifestEntry& entry : kept) {
    Known& known = known_[entry.spec.name];
    known.id = entry.id;
    known.has_policy = true;
  }
}

StateKeeper::~StateKeeper() = default;

uint64_t StateKeeper::PolicyInterval() const {
  return std::min(kPolicyInterval, interval_);
}

void StateKeeper::Poll(uint64_t now) {
  now_ = now;
  builder_.Finish();
  if (working_) return;
  if (work_.empty() &&
      (finishing_ || now - last_look_ >= kPolicyLookInterval)) {
    last_look_ = now;
    Look(now);
    finished_ = finishing_ && !working_ && work_.empty();
  }
  Begin();
}

void StateKeeper::Finish() {
  finishing_ = true;
  for (auto& [name, known] : known_) known.states_wanted = true;
}

void StateKeeper::Look(uint64_t now) {
  std::vector<ManifestEntry> entries;
  std::map<std::string, Known, std::less<>> next;
  for_each_([&](const KeeperView& filter) {
    const std::string& name = filter.spec.name;
    const auto found = known_.find(name);
    Known known;
    if (found != known_.end() && found->second.id == filter.id) {
      known = found->second;
    } else {
      known.id = filter.id;
      known.states_at = now + interval_;
      known.states_wanted = finishing_;
    }
    if (known.states_at == 0) known.states_at = now + interval_;
    const bool loaded = filter.plane.loaded.load(std::memory_order_acquire);
    const uint64_t generation = filter.plane.policy->generation()->number;
    if (loaded && known.generation != generation &&
        !known.given_up &&
        (finishing_ || known.policy_at == 0 ||
         now - known.policy_at >= PolicyInterval())) {
      work_.push_back({name, /*states=*/false});
    }
    if (known.states_wanted || (!finishing_ && now >= known.states_at)) {
      known.states_at = now + interval_;
      known.states_wanted = false;
      if (IsWorthKeeping(filter.plane.status.Load())) {
        work_.push_back({name, /*states=*/true});
      }
    }
    // A filter without its policy would come back as another one.
    if (!loaded || known.has_policy) {
      ManifestEntry& entry = entries.emplace_back();
      entry.spec = filter.spec;
      entry.spec.ruleset.reset();
      entry.spec.kept.reset();
      entry.id = filter.id;
    }
    next[name] = known;
  });
  known_ = std::move(next);
  std::string text = FormatManifest(entries);
  if (text != manifest_ && now >= manifest_at_) {
    SaveManifest(std::move(entries), std::move(text));
  }
}

void StateKeeper::SaveManifest(std::vector<ManifestEntry> entries,
                               std::string text) {
  auto status = std::make_shared<absl::Status>();
  auto held = std::make_shared<std::vector<ManifestEntry>>(std::move(entries));
  working_ = builder_.Submit(
      [this, status, held] {
        *status = directory_->WriteManifest(*held);
        if (status->ok()) directory_->Sweep(*held);
      },
      [this, status, text = std::move(text)]() mutable {
        working_ = false;
        if (status->ok()) {
          ++saved_;
          manifest_ = std::move(text);
          return;
        }
        ++failed_;
        LogError("state directory: {}", std::string(status->message()));
        manifest_at_ = finishing_ ? UINT64_MAX : now_ + PolicyInterval();
      });
}

void StateKeeper::Begin() {
  while (!working_ && !work_.empty()) {
    const Work work = std::move(work_.front());
    work_.pop_front();
    auto sink = [this, work](std::span<const uint8_t> bytes) {
      return work.states ? directory_->WriteStates(work.name, bytes)
                         : directory_->WritePolicy(work.name, bytes);
    };
    working_ = true;
    const absl::Status status = service_->BeginExport(
        work.name, work.states, &builder_, sink,
        [this, work](const absl::StatusOr<ExportReport>& report) {
          Saved(work, report.ok() ? report->generation : 0, report.status());
        });
    // It has gone meanwhile.
    if (!status.ok()) working_ = false;
  }
}

void StateKeeper::Saved(const Work& work, uint64_t generation,
                        const absl::Status& status) {
  working_ = false;
  const auto found = known_.find(work.name);
  if (!status.ok()) {
    ++failed_;
    if (absl::IsCancelled(status)) return;
    LogError("state directory: {} of filter {} not written: {}",
                  work.states ? "states" : "policy", work.name,
                  std::string(status.message()));
  } else {
    ++saved_;
  }
  if (found == known_.end() || work.states) return;
  found->second.policy_at = std::max<uint64_t>(now_, 1);
  if (status.ok()) {
    found->second.has_policy = true;
    found->second.generation = generation;
  } else if (finishing_) {
    found->second.given_up = true;
  }
}

}  // namespace sluice
