#include "dataplane/transfer/restore_task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conntrack/source_nodes.h"
#include "conntrack/state_budget.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/steering.h"
#include "dataplane/workers/mailbox.h"
#include "packet/icmp.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/policy_store.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

// How many ids a worker may use up between the moment at which it says which
// are taken and the one at which places are reserved: more than it can make
// states in the longest validation.
constexpr uint64_t kIdSlack = uint64_t{1} << 26;
// Families and sources that the control lcore publishes or gives back in a
// step: some milliseconds.
constexpr size_t kPartsAStep = 8192;

uint8_t OwnerOf(const Steering& steering, const SnapshotState& state) {
  const bool ports =
      state.proto == protocol::kTcp || state.proto == protocol::kUdp;
  // The responder's port of an ICMP state is the request's type.
  const uint32_t hash =
      state.proto == protocol::kIcmp6 &&
              state.family() == Family::kIpv6 &&
              IsAskedOfMany(static_cast<uint8_t>(state.peers[1].port))
          ? HashOfQuerier(state.peers[0].address)
          : SymmetricHash(state.peers[0].address, state.peers[1].address,
                          Be16(ports ? state.peers[0].port : 0),
                          Be16(ports ? state.peers[1].port : 0));
  return static_cast<uint8_t>(steering.reta(hash % kRetaSize));
}

std::string WhyNotReserved(ReserveResult result) {
  switch (result) {
    case ReserveResult::kIds:
      return "ids of its states are taken";
    case ReserveResult::kFilter:
      return "a worker does not know the filter";
    case ReserveResult::kSlots:
      return "a worker has no room for its states ([memory] states)";
    case ReserveResult::kIndex:
      return "a worker's index has no room for its states ([memory] states)";
    case ReserveResult::kStateLimit:
      return "it has more states than `set limit states` leaves room for";
    case ReserveResult::kRuleLimit:
      return "it has more states of a rule than its `max` leaves room for";
    case ReserveResult::kTranslated:
      return "an address and port that one of its states has given out is "
             "another live state's";
    case ReserveResult::kMore:
    case ReserveResult::kReady:
      break;
  }
  return "stopped";
}

// Limits and timeouts as the snapshot's policy has them; what it does not say
// stays as it is.
TimeoutProfile TimeoutsOf(const Snapshot& snapshot, TimeoutProfile timeouts) {
  for (const SnapshotLimit& limit : snapshot.limits) {
    const size_t index = size_t{limit.code} - kTimeoutLimitCode;
    if (limit.code >= kTimeoutLimitCode && index < kTimeoutCount) {
      timeouts.values[index] = limit.value;
    }
  }
  return timeouts;
}

}  // namespace

RestoreTask::RestoreTask(const TransferPlane* plane, TransferFilter filter,
                         Builder* builder, const RestoreJob& job,
                         std::shared_ptr<TransferSource> source,
                         size_t max_bytes)
    : plane_(plane),
      filter_(std::move(filter)),
      builder_(builder),
      job_(job),
      source_(std::move(source)),
      max_bytes_(max_bytes),
      steps_(plane->mailboxes.size()),
      times_(plane->mailboxes.size()) {}

ImportOrderParts RestoreTask::PartsOf(size_t worker) {
  const bool adaptive = filter_.plane->policy->current()->options().syncookies ==
                        Syncookies::kAdaptive;
  return {.arena = importer_->arena(worker),
          .policy = filter_.plane->policy,
          .budget = filter_.plane->budget,
          .sources = filter_.plane->sources,
          .handshakes = filter_.plane->handshakes,
          .counts_handshakes = filter_.plane->handshakes != nullptr && adaptive,
          .stop = &stop_,
          .steps = &steps_[worker]};
}

void RestoreTask::Begin() {
  waiting_ = static_cast<uint32_t>(plane_->mailboxes.size());
  for (Mailbox* mailbox : plane_->mailboxes) {
    mailbox->Post(std::make_unique<NewestIdOrder>(
        [self = shared_from_this()](uint64_t id) { self->IdKnown(id); }));
  }
}

void RestoreTask::IdKnown(uint64_t newest) {
  newest_id_ = std::max(newest_id_, newest);
  ++answers_;
  if (--waiting_ > 0) return;
  phase_ = Phase::kBuild;
  Submit(&RestoreTask::Build, &RestoreTask::Built);
}

void RestoreTask::Submit(absl::Status (RestoreTask::*work)(),
                         void (RestoreTask::*finish)(absl::Status)) {
  auto status = std::make_shared<absl::Status>(
      absl::UnavailableError("too much work; try again"));
  std::shared_ptr<RestoreTask> self = shared_from_this();
  const bool submitted = builder_->Submit(
      [self, work, status] {
        *status = self->stop_ ? absl::CancelledError("abandoned")
                              : ((*self).*work)();
      },
      [self, finish, status] { ((*self).*finish)(std::move(*status)); });
  if (!submitted) ((*this).*finish)(std::move(*status));
}

// ---- Validation ------------------------------------------------------------

absl::Status RestoreTask::Build() {
  return OrNoMemory("take the snapshot in", [this] { return ReadAndPrepare(); });
}

absl::Status RestoreTask::ReadAndPrepare() {
  const auto guard = [this, last = uint64_t{0}](uint64_t bytes) mutable {
    if (bytes != last) checked_.fetch_add(1, std::memory_order_relaxed);
    last = bytes;
    return stop_ || job_.IsDead() ? absl::CancelledError("abandoned")
                                  : absl::OkStatus();
  };
  absl::StatusOr<SharedBytes> bytes =
      source_->Read({.max_bytes = max_bytes_, .guard = guard});
  FaultPoint("import.read");
  if (!bytes.ok()) return bytes.status();
  if (absl::Status status = Prepare(*std::move(bytes)); !status.ok()) {
    // What cannot be understood will not be understood later, whatever the
    // layer below calls it.
    return absl::IsCancelled(status) || absl::IsAborted(status) ||
                   IsNoMemory(status)
               ? status
               : absl::InvalidArgumentError(status.message());
  }
  FaultPoint("import.prepared");
  return absl::OkStatus();
}

absl::Status RestoreTask::Prepare(SharedBytes bytes) {
  const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(*bytes);
  if (!header.ok()) return header.status();
  if (job_.snapshot != kNoSnapshotId && job_.snapshot != header->id) {
    return absl::InvalidArgumentError(
        "the source has another snapshot than was asked for");
  }
  snapshot_ = header->id;
  const ImportChoice& choice = source_->choice();
  ImportOptions options;
  options.policy = choice.policy;
  options.run_time_tables = choice.run_time_tables;
  options.orphans = choice.orphans;
  options.from_filter =
      choice.from_filter.empty() ? filter_.name : choice.from_filter;
  options.dialect = filter_.dialect;
  options.limits.bytes = max_bytes_;
  options.limits.states = choice.policy
                              ? filter_.state_capacity
                              : std::min(filter_.plane->budget->limit(),
                                         filter_.state_capacity);
  options.limits.rules = filter_.plane->policy->rule_slots().capacity();
  if (plane_->sources != nullptr) {
    options.limits.source_nodes = plane_->sources->capacity();
  }
  options.limits.go_on = [this] {
    checked_.fetch_add(1, std::memory_order_relaxed);
    return !stop_ && !job_.IsDead();
  };
  ImportTarget target;
  target.store = filter_.plane->policy;
  target.interfaces = plane_->interfaces;
  target.expectations = plane_->expectations;
  target.sources = plane_->sources;
  target.source_budget = filter_.plane->sources;
  target.filter = filter_.plane->number;
  target.workers = static_cast<uint8_t>(plane_->mailboxes.size());
  // At the first attempt an idle process is believed to stay idle, so that ids
  // stay as they are.
  target.last_id = newest_id_ == 0 && job_.attempt <= 1
                       ? 0
                       : newest_id_ + kIdSlack;
  target.owner = [this](const SnapshotState& state) {
    return OwnerOf(*plane_->steering, state);
  };
  importer_ = std::make_unique<StateImporter>(target, std::move(options));
  return importer_->Prepare(std::move(bytes));
}

void RestoreTask::Built(absl::Status status) {
  ++answers_;
  if (stop_) return Undo();
  if (absl::IsNotFound(status)) {
    return Refuse(ValidateOutcome::kAbsent, std::string(status.message()));
  }
  if (absl::IsUnavailable(status) || absl::IsAborted(status) ||
      IsNoMemory(status)) {
    return Refuse(ValidateOutcome::kTransient, std::string(status.message()));
  }
  if (!status.ok()) {
    return Refuse(ValidateOutcome::kRefused, std::string(status.message()));
  }
  RaiseLimits();
  phase_ = Phase::kReserve;
  reserved_ = true;
  waiting_ = static_cast<uint32_t>(plane_->mailboxes.size());
  for (size_t i = 0; i < plane_->mailboxes.size(); ++i) {
    plane_->mailboxes[i]->Post(std::make_unique<ReserveOrder>(
        PartsOf(i),
        [self = shared_from_this(), i](ReserveResult result,
                                       const OrderTime& time) {
          self->Reserved(i, result, time);
        }));
  }
}

void RestoreTask::RaiseLimits() {
  if (!importer_->has_policy()) return;
  RaiseSourceLimit();
  StateBudget& budget = *filter_.plane->budget;
  for (const SnapshotLimit& limit : importer_->snapshot().limits) {
    if (limit.code != static_cast<uint16_t>(Limit::kStates)) continue;
    // FreeBSD's word for no limit.
    const uint32_t wanted =
        limit.value == 0 ? filter_.state_capacity
                         : std::min(limit.value, filter_.state_capacity);
    if (wanted <= budget.limit()) return;
    limit_before_ = budget.limit();
    raised_limit_ = wanted;
    budget.SetLimit(wanted);
    return;
  }
}

// That of the policy to come, as far as it is the higher one.
void RestoreTask::RaiseSourceLimit() {
  if (filter_.plane->sources == nullptr) return;
  StateBudget& budget = filter_.plane->sources->nodes;
  for (const SnapshotLimit& limit : importer_->snapshot().limits) {
    if (limit.code != static_cast<uint16_t>(Limit::kSourceNodes) ||
        limit.value <= budget.limit()) {
      continue;
    }
    source_limit_before_ = budget.limit();
    raised_source_limit_ = limit.value;
    budget.SetLimit(limit.value);
  }
}

void RestoreTask::Reserved(size_t worker, ReserveResult result,
                           const OrderTime& time) {
  times_[worker].Append(time);
  ++answers_;
  if (result != ReserveResult::kReady) refusal_ = result;
  if (--waiting_ == 0) AllReserved();
}

void RestoreTask::AllReserved() {
  FaultPoint("import.reserved");
  if (stop_) return Undo();
  if (refusal_ != ReserveResult::kReady) {
    // New states have taken the ids meanwhile: another attempt takes others.
    return Refuse(refusal_ == ReserveResult::kIds
                      ? ValidateOutcome::kTransient
                      : ValidateOutcome::kRefused,
                  WhyNotReserved(refusal_));
  }
  phase_ = Phase::kTie;
  Submit(&RestoreTask::Tie, &RestoreTask::Tied);
}

void RestoreTask::Tied(absl::Status status) {
  FaultPoint("import.tied");
  left_builder_ = true;
  if (stop_) return Undo();
  if (!status.ok()) {
    return Refuse(IsNoMemory(status) ? ValidateOutcome::kTransient
                                     : ValidateOutcome::kRefused,
                  std::string(status.message()));
  }
  ++answers_;
  phase_ = Phase::kReady;
}

void RestoreTask::Refuse(ValidateOutcome outcome, std::string detail) {
  result_ = {.outcome = outcome, .snapshot = kNoSnapshotId,
             .detail = std::move(detail), .progress = 0};
  Undo();
}

ValidateResult RestoreTask::Poll() {
  if (phase_ != Phase::kReady) {
    ValidateResult result = result_;
    result.progress = progress();
    return result;
  }
  if (!importer_->CanPublish()) {
    Refuse(ValidateOutcome::kTransient,
           "the policy was changed while the snapshot was validated");
    return result_;
  }
  return {.outcome = ValidateOutcome::kReady, .snapshot = snapshot_,
          .detail = {},
          .progress = progress()};
}

uint64_t RestoreTask::progress() const {
  uint64_t sum = answers_ + checked_.load(std::memory_order_relaxed);
  for (const std::atomic<uint64_t>& steps : steps_) {
    sum += steps.load(std::memory_order_relaxed);
  }
  return sum;
}

// ---- Commit ----------------------------------------------------------------

CommitResult RestoreTask::StepCommit() {
  if (phase_ == Phase::kFinish) return StepFinish();
  if (phase_ == Phase::kReady) {
    FaultPoint("commit.begin");
    phase_ = Phase::kCommit;
    TimeoutProfile timeouts =
        filter_.plane->policy->current()->options().timeouts;
    if (importer_->has_policy()) {
      timeouts = TimeoutsOf(importer_->snapshot(), timeouts);
    }
    if (job_.word->Load().emergency() && filter_.plane->emergency != nullptr) {
      adoptions_.assign(plane_->mailboxes.size(),
                        {.from = filter_.plane->emergency->number,
                         .to = filter_.plane->number});
    }
    waiting_ = static_cast<uint32_t>(plane_->mailboxes.size());
    for (size_t i = 0; i < plane_->mailboxes.size(); ++i) {
      plane_->mailboxes[i]->Post(std::make_unique<CommitOrder>(
          PartsOf(i), timeouts, AdoptionOf(i),
          [self = shared_from_this(), i](bool all, const OrderTime& time) {
            self->Committed(i, all, time);
          }));
    }
    return Moving();
  }
  if (phase_ != Phase::kCommit || waiting_ > 0 || !all_committed_) {
    return Moving();
  }
  return Publish();
}

CommitResult RestoreTask::Moving() const {
  CommitResult result;
  result.progress = progress();
  return result;
}

void RestoreTask::Committed(size_t worker, bool all, const OrderTime& time) {
  times_[worker].Append(time);
  ++answers_;
  all_committed_ = all_committed_ && all;
  if (--waiting_ == 0 && stop_) Undo();
}

CommitResult RestoreTask::Publish() {
  FaultPoint("commit.states");
  if (absl::Status status = importer_->PublishPolicy(); !status.ok()) {
    return {.done = false,
            .failed = true,
            .detail = std::string(status.message()),
            .report = {},
            .progress = 0};
  }
  FaultPoint("commit.published");
  if (importer_->has_policy()) {
    const auto& options = filter_.plane->policy->policy()->options;
    filter_.plane->budget->SetLimit(
        std::min(options.limit(Limit::kStates), filter_.state_capacity));
    limit_before_.reset();
    source_limit_before_.reset();
    // Before the status says that it is restored.
    const uint64_t epoch = filter_.plane->policy->current()->epoch;
    filter_.plane->restored_from.store(epoch, std::memory_order_relaxed);
    filter_.plane->NoteLoaded(epoch);
    if (filter_.policy_changed) filter_.policy_changed();
  }
  phase_ = Phase::kFinish;
  return StepFinish();
}

CommitResult RestoreTask::StepFinish() {
  if (!importer_->StepFinish(plane_->now(), kPartsAStep)) {
    ++answers_;
    return Moving();
  }
  CommitResult result = {.done = true,
                         .failed = false,
                         .detail = {},
                         .report = importer_->Finish(plane_->now()),
                         .progress = 0};
  FaultPoint("commit.done");
  Over();
  return result;
}

// ---- The way back ----------------------------------------------------------

void RestoreTask::Abandon() {
  stop_ = true;
  // In the other phases somebody has it and finds that it is to stop.
  if (phase_ == Phase::kReady || phase_ == Phase::kFinish ||
      (phase_ == Phase::kCommit && waiting_ == 0)) {
    Undo();
  }
}

void RestoreTask::Undo() {
  left_builder_ = true;
  if (!reserved_) return Over();
  phase_ = Phase::kUndo;
  waiting_ = static_cast<uint32_t>(plane_->mailboxes.size());
  for (size_t i = 0; i < plane_->mailboxes.size(); ++i) {
    plane_->mailboxes[i]->Post(std::make_unique<UndoOrder>(
        PartsOf(i), AdoptionOf(i),
        [self = shared_from_this(), i](const OrderTime& time) {
          self->UndoneAt(i, time);
        }));
  }
}

void RestoreTask::UndoneAt(size_t worker, const OrderTime& time) {
  times_[worker].Append(time);
  if (--waiting_ == 0) Over();
}

void RestoreTask::StepBack() {
  if (phase_ == Phase::kReturn && importer_->Discard(kPartsAStep)) {
    Over();
  }
}

void RestoreTask::Over() {
  left_builder_ = true;
  if (importer_ != nullptr && importer_->has_more()) {
    phase_ = Phase::kReturn;
    return;
  }
  phase_ = Phase::kOver;
  if (importer_ != nullptr) {
    // From here on it refers to nothing of the filter. What it holds may take
    // long to free.
    importer_->Abandon();
    std::shared_ptr<StateImporter> garbage = std::move(importer_);
    builder_->Submit(
        [garbage = std::move(garbage)]() mutable { garbage.reset(); }, [] {});
  }
  StateBudget& budget = *filter_.plane->budget;
  if (limit_before_.has_value() && budget.limit() == raised_limit_) {
    budget.SetLimit(*limit_before_);
  }
  limit_before_.reset();
  if (source_limit_before_.has_value()) {
    StateBudget& sources = filter_.plane->sources->nodes;
    if (sources.limit() == raised_source_limit_) {
      sources.SetLimit(*source_limit_before_);
    }
    source_limit_before_.reset();
  }
}

TransferTime RestoreTask::time() const {
  TransferTime all;
  for (const OrderTime& time : times_) {
    all.longest_step =
        std::max(all.longest_step, CyclesToNanoseconds(time.longest));
    all.busiest = std::max(all.busiest, CyclesToNanoseconds(time.total));
  }
  return all;
}

}  // namespace sluice
