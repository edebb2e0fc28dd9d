#include "dataplane/keep/state_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// Milliseconds between two looks at what has changed, and between two files of
// one filter's policy.
constexpr uint64_t kPolicyLookInterval = 20;
constexpr uint64_t kPolicyInterval = 500;
// What cannot be written is tried after that time, twice it, and so on up to
// the other.
constexpr uint64_t kRetryInterval = 10'000;
// Between two lines of the log about one file that cannot be written.
constexpr uint64_t kSayInterval = 60'000;

constexpr char kManifest[] = "the list of filters";

template <typename Work>
std::string NameOf(const Work& work) {
  return absl::StrCat(work.states ? "the states" : "the policy",
                      " of filter ", work.name);
}

// Whether what it has may take the place of what is kept: not while that has
// still to be restored, nor when that has failed.
bool IsWorthKeeping(const FilterStatus& status) {
  return !status.enabled() ||
         DispositionOf(status) == FilterDisposition::kJudge;
}

}  // namespace

StateKeeper::StateKeeper(std::unique_ptr<StateDirectory> directory,
                         RestoreService* service, ForEach for_each,
                         Ports ports, uint64_t interval,
                         const std::vector<ManifestEntry>& kept)
    : directory_(std::move(directory)),
      service_(service),
      for_each_(std::move(for_each)),
      ports_(std::move(ports)),
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
        (finishing_ || now >= known.policy_at)) {
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
  // Of filters that have gone.
  std::erase_if(troubles_, [this](const auto& trouble) {
    return trouble.first != kManifest &&
           std::ranges::none_of(known_, [&trouble](const auto& known) {
             return trouble.first ==
                        NameOf(Work{known.first, /*states=*/true}) ||
                    trouble.first ==
                        NameOf(Work{known.first, /*states=*/false});
           });
  });
  KeptPorts ports = ports_();
  std::string text = FormatManifest(entries, ports.ports, ports.segments);
  if (text != manifest_ && now >= manifest_at_) {
    SaveManifest(std::move(entries), std::move(ports), std::move(text));
  }
}

void StateKeeper::SaveManifest(std::vector<ManifestEntry> entries,
                               KeptPorts ports, std::string text) {
  auto status = std::make_shared<absl::Status>();
  auto held = std::make_shared<std::vector<ManifestEntry>>(std::move(entries));
  working_ = saving_manifest_ = builder_.Submit(
      [this, status, held, ports = std::move(ports)] {
        *status = directory_->WriteManifest(*held, ports.ports,
                                             ports.segments);
        if (status->ok()) directory_->Sweep(*held);
      },
      [this, status, text = std::move(text)]() mutable {
        working_ = false;
        saving_manifest_ = false;
        ++files_;
        KeepMetrics& metrics = service_->keep_metrics();
        ++(status->ok() ? metrics.manifests_saved : metrics.manifests_failed);
        const uint64_t again = Note(kManifest, *status);
        if (status->ok()) {
          manifest_ = std::move(text);
        } else {
          manifest_at_ = finishing_ ? UINT64_MAX : again;
        }
      });
}

void StateKeeper::Begin() {
  while (!working_ && !work_.empty()) {
    const Work work = std::move(work_.front());
    work_.pop_front();
    working_ = true;
    at_ = work;
    const auto begun = service_->BeginExport(
        work.name, &builder_,
        {.content = work.states ? ExportContent::kAll : ExportContent::kPolicy,
         .sink = work.states ? directory_->StatesSink(work.name, &written_)
                             : directory_->PolicySink(work.name, &written_)},
        [this, work](const absl::StatusOr<ExportReport>& report) {
          Saved(work, report.ok() ? report->generation : 0, report.status());
        });
    if (begun.ok()) {
      export_ = *begun;
      continue;
    }
    // It has gone meanwhile.
    working_ = false;
    at_.reset();
  }
}

uint64_t StateKeeper::progress() const {
  return files_ + written_.load(std::memory_order_relaxed) +
         (export_ != nullptr ? export_->recorded() : 0);
}

uint64_t StateKeeper::Note(const std::string& what,
                           const absl::Status& status) {
  const auto found = troubles_.find(what);
  if (status.ok()) {
    if (found != troubles_.end()) {
      LogInfo("state directory: {} is written again", what);
      troubles_.erase(found);
    }
    return now_ + PolicyInterval();
  }
  Trouble& trouble = troubles_[what];
  trouble.why = Text(status);
  if (trouble.attempts++ == 0 || now_ - trouble.said_at >= kSayInterval ||
      finishing_) {
    trouble.said_at = now_;
    LogError("state directory: {} not written, {} attempt(s): {}", what,
             trouble.attempts, trouble.why);
  }
  return now_ + std::min(kRetryInterval,
                         PolicyInterval()
                             << std::min<uint64_t>(trouble.attempts - 1, 8));
}

absl::Status StateKeeper::Kept() const {
  std::vector<std::string> lost;
  for (const auto& [what, trouble] : troubles_) {
    lost.push_back(absl::StrCat(what, " (", trouble.why, ")"));
  }
  if (saving_manifest_) lost.push_back(absl::StrCat(kManifest, " (not in time)"));
  std::vector<Work> left(work_.begin(), work_.end());
  if (at_.has_value()) left.push_back(*at_);
  for (const auto& [name, known] : known_) {
    if (known.states_wanted) left.push_back({name, /*states=*/true});
  }
  for (const Work& work : left) {
    lost.push_back(absl::StrCat(NameOf(work), " (not in time)"));
  }
  if (lost.empty()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("state directory: not kept: ", absl::StrJoin(lost, "; "),
                   "; what was kept before is still there"));
}

void StateKeeper::Saved(const Work& work, uint64_t generation,
                        const absl::Status& status) {
  working_ = false;
  at_.reset();
  export_.reset();
  ++files_;
  // The filter has gone.
  if (absl::IsCancelled(status)) return;
  KeepMetrics& metrics = service_->keep_metrics();
  if (work.states) {
    ++(status.ok() ? metrics.states_saved : metrics.states_failed);
  } else {
    ++(status.ok() ? metrics.policies_saved : metrics.policies_failed);
  }
  const uint64_t again = Note(NameOf(work), status);
  const auto found = known_.find(work.name);
  if (found == known_.end() || work.states) return;
  found->second.policy_at = again;
  if (status.ok()) {
    found->second.has_policy = true;
    found->second.generation = generation;
  } else if (finishing_) {
    found->second.given_up = true;
  }
}

}  // namespace sluice
