#include "pftable/store/policy_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy/no_memory.h"

namespace sluice {

StagedGeneration::StagedGeneration(const Generation& generation)
    : next(std::make_unique<Generation>(generation)),
      base(generation.number) {
  ++next->number;
}

PolicyStore::PolicyStore(const PolicyStoreConfig& config,
                         const InterfaceRegistry* interfaces,
                         Reclaimer* reclaimer)
    : interfaces_(interfaces),
      reclaimer_(reclaimer),
      frees_itself_(config.frees_itself),
      pool_(config.pool),
      classifier_(config.classifier),
      counters_(config.workers, config.rule_slots, config.table_slots),
      table_slots_(config.table_slots, &counters_),
      rule_slots_(config.rule_slots, &counters_, reclaimer,
                  config.rule_budget) {
  // An empty policy names nothing that could be refused or run out.
  PutInForce(*Compile(Policy(), /*base=*/nullptr, Context()));
}

PolicyStore::~PolicyStore() = default;

CompileContext PolicyStore::Context() {
  return CompileContext{.interfaces = interfaces_,
                        .tags = &tags_,
                        .rule_slots = &rule_slots_,
                        .table_slots = &table_slots_,
                        .pool = pool_,
                        .classifier = classifier_,
                        .in_force = nullptr};
}

void PolicyStore::Poll() { const Section section(*this); }

std::vector<std::shared_ptr<const Generation>> PolicyStore::TakeGarbage() {
  std::list<Retired> garbage;
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock.owns_lock()) garbage = Collect();
  }
  std::vector<std::shared_ptr<const Generation>> generations;
  for (Retired& retired : garbage) {
    generations.push_back(std::move(retired.generation));
  }
  rule_slots_.Poll();
  return generations;
}

PolicyStore::Section::~Section() {
  std::list<Retired> garbage;
  if (store_.frees_itself_) garbage = store_.Collect();
  lock_.unlock();
  garbage.clear();
  store_.rule_slots_.Poll();
}

std::list<PolicyStore::Retired> PolicyStore::Collect() {
  // In order of their grace periods, so that the passed ones come first.
  auto kept = retired_.begin();
  while (kept != retired_.end() && reclaimer_->HasPassed(kept->grace_period)) {
    ++kept;
  }
  std::list<Retired> garbage;
  garbage.splice(garbage.begin(), retired_, retired_.begin(), kept);
  return garbage;
}

void PolicyStore::MakeLimiters() {
  if (limiters_ != nullptr) return;
  limiters_ = std::make_unique<Limiters>();
  limiters_in_use_.store(limiters_.get(), std::memory_order_release);
}

absl::Status PolicyStore::AnnounceLimiters(
    std::span<const LimiterDefinition> definitions) {
  return OrNoMemory("make limiters", [&] {
    const Section section(*this);
    MakeLimiters();
    limiters_->Announce(definitions);
    return absl::OkStatus();
  });
}

void PolicyStore::PutInForce(std::unique_ptr<Generation> next) {
  std::list<Retired> retired(1);
  std::shared_ptr<const Generation> now = std::move(next);
  const bool loaded =
      in_force_ == nullptr || in_force_->policy != now->policy;
  if (!now->policy->limiters.empty()) MakeLimiters();
  BindRecords(*now, rule_slots_);
  if (loaded && limiters_ != nullptr) {
    limiters_->Define(now->policy->limiters);
  }
  now.swap(in_force_);
  current_.store(in_force_.get(), std::memory_order_release);
  if (now != nullptr) {
    // The grace period starts after the store: a worker that reports a
    // quiescent state from now on sees the new one.
    retired.front() = {.grace_period = reclaimer_->StartGracePeriod(),
                       .generation = std::move(now)};
    retired_.splice(retired_.end(), retired);
  }
}

std::shared_ptr<const Generation> PolicyStore::generation() const {
  const std::lock_guard lock(mutex_);
  return in_force_;
}

size_t PolicyStore::live_generations() const {
  const std::lock_guard lock(mutex_);
  return retired_.size() + 1;
}

// ---- Loads -----------------------------------------------------------------

absl::Status PolicyStore::GenerationMoved(Ticket ticket) const {
  return absl::AbortedError(absl::StrCat(
      "generation moved: ticket ", ticket,
      ticket < newest_ticket_ ? " is not the newest"
                              : " was not begun or has ended",
      "; begin again"));
}

PolicyStore::Draft* PolicyStore::FindDraft(Ticket ticket) {
  return draft_.has_value() && draft_->ticket == ticket ? &*draft_ : nullptr;
}

Ticket PolicyStore::Begin() {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  // Older tickets cannot be committed any more.
  ended.swap(draft_);
  draft_ = Draft{.ticket = ++newest_ticket_, .compiled = nullptr};
  return newest_ticket_;
}

absl::Status PolicyStore::Define(Ticket ticket, Policy policy) {
  return OrNoMemory("build the policy", [&] {
    return DefineCompiled(
        ticket, pool_ != nullptr
                    ? pool_->Share(std::move(policy))
                    : std::make_shared<const Policy>(std::move(policy)));
  });
}

absl::Status PolicyStore::DefineCompiled(
    Ticket ticket, std::shared_ptr<const Policy> policy) {
  auto usable = [&]() -> absl::Status {
    if (FindDraft(ticket) != nullptr) return absl::OkStatus();
    return GenerationMoved(ticket);
  };
  std::shared_ptr<const CompiledPolicy> before;  // outlives the mutex
  {
    const Section section(*this);
    if (absl::Status s = usable(); !s.ok()) return s;
    before.swap(FindDraft(ticket)->compiled);
  }
  before = nullptr;
  CompileContext context = Context();
  const std::shared_ptr<const Generation> in_force = generation();
  context.in_force = in_force.get();
  context.before = in_force->policy.get();
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled =
      CompilePolicy(std::move(policy), context);
  if (!compiled.ok()) return compiled.status();
  const Section section(*this);
  if (absl::Status s = usable(); !s.ok()) return s;
  before = std::exchange(FindDraft(ticket)->compiled, *compiled);
  return absl::OkStatus();
}

absl::Status PolicyStore::Commit(Ticket ticket) {
  const absl::Status status =
      OrNoMemory("commit the policy", [&] { return CommitDraft(ticket); });
  if (!status.ok() &&
      status.code() != absl::StatusCode::kFailedPrecondition) {
    EndTicket(ticket);
  }
  return status;
}

absl::Status PolicyStore::LookUp(
    Ticket ticket, std::shared_ptr<const CompiledPolicy>* compiled,
    std::shared_ptr<const Generation>* base) {
  const Section section(*this);
  const Draft* const draft = FindDraft(ticket);
  if (draft == nullptr) return GenerationMoved(ticket);
  if (draft->compiled == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("nothing is defined under ticket ", ticket,
                     ": define a policy"));
  }
  *compiled = draft->compiled;
  *base = in_force_;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Generation>> PolicyStore::Preview(
    Ticket ticket) {
  std::shared_ptr<const CompiledPolicy> compiled;
  std::shared_ptr<const Generation> base;
  if (absl::Status s = LookUp(ticket, &compiled, &base); !s.ok()) return s;
  std::shared_ptr<const Generation> preview;
  const absl::Status status = OrNoMemory("look at the policy", [&] {
    absl::StatusOr<std::unique_ptr<Generation>> next =
        MakeGeneration(compiled, base.get(), table_slots_);
    if (next.ok()) preview = *std::move(next);
    return next.status();
  });
  if (!status.ok()) return status;
  return preview;
}

void PolicyStore::EndTicket(Ticket ticket) noexcept {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  if (FindDraft(ticket) != nullptr) ended.swap(draft_);
}

absl::Status PolicyStore::CommitDraft(Ticket ticket) {
  while (true) {
    std::shared_ptr<const CompiledPolicy> compiled;
    std::shared_ptr<const Generation> base;
    if (absl::Status s = LookUp(ticket, &compiled, &base); !s.ok()) return s;
    if (compiled->interface_version != interfaces_->version()) {
      // Interfaces have come or gone since it was compiled.
      absl::Status status = DefineCompiled(ticket, compiled->source);
      if (!status.ok()) return status;
      continue;
    }
    absl::StatusOr<std::unique_ptr<Generation>> next =
        MakeGeneration(compiled, base.get(), table_slots_);
    if (!next.ok()) return next.status();
    const uint64_t number = base->number;
    base = nullptr;  // so that it can be freed as soon as it is replaced
    std::optional<Draft> ended;  // outlives the mutex
    const Section section(*this);
    if (FindDraft(ticket) == nullptr) return GenerationMoved(ticket);
    // Somebody else has published, or defined under this ticket, meanwhile.
    if (in_force_->number != number || draft_->compiled != compiled) continue;
    PutInForce(*std::move(next));
    ended.swap(draft_);
    return absl::OkStatus();
  }
}

bool PolicyStore::IsNewest(Ticket ticket) const {
  const std::lock_guard lock(mutex_);
  return draft_.has_value() && draft_->ticket == ticket &&
         draft_->compiled != nullptr;
}

bool PolicyStore::IsOutdated(Ticket ticket) const {
  const std::lock_guard lock(mutex_);
  return draft_.has_value() && draft_->ticket == ticket &&
         draft_->compiled != nullptr &&
         draft_->compiled->interface_version != interfaces_->version();
}

absl::Status PolicyStore::Rollback(Ticket ticket) {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  if (FindDraft(ticket) == nullptr) {
    return OrNoMemory("say that the ticket has ended", [&] {
      return absl::NotFoundError(absl::StrCat(
          "ticket ", ticket, " was not begun or has ended"));
    });
  }
  ended.swap(draft_);
  return absl::OkStatus();
}

absl::Status PolicyStore::Load(Policy policy) {
  const Ticket ticket = Begin();
  if (absl::Status s = Define(ticket, std::move(policy)); !s.ok()) {
    EndTicket(ticket);  // unless another one has
    return s;
  }
  return Commit(ticket);
}

// ---- Other changes ---------------------------------------------------------

absl::StatusOr<StagedGeneration> PolicyStore::StageRefresh() {
  using Staged = absl::StatusOr<StagedGeneration>;
  return OrNoMemory("compile the policy again", [&]() -> Staged {
    const std::shared_ptr<const Generation> base = generation();
    if (base->policy->interface_version == interfaces_->version()) {
      return StagedGeneration();
    }
    CompileContext context = Context();
    context.before = base->policy.get();
    context.again = true;
    auto again = CompilePolicy(base->policy->source, context);
    if (!again.ok()) return again.status();
    // The tables stay as they are: a reload would take those of the text.
    StagedGeneration staged(*base);
    staged.next->policy = *std::move(again);
    FinishGeneration(*staged.next);
    return staged;
  });
}

bool PolicyStore::IsUpToDate(const StagedGeneration& staged) const {
  return staged.next == nullptr || generation()->number == staged.base;
}

absl::Status PolicyStore::Publish(StagedGeneration staged) {
  if (staged.next == nullptr) return absl::OkStatus();
  return OrNoMemory("publish the policy", [&]() -> absl::Status {
    const Section section(*this);
    if (in_force_->number != staged.base) {
      return absl::AbortedError(absl::StrCat(
          "generation moved: ", in_force_->number, " is in force, and not ",
          staged.base, " as when this was built; build it again"));
    }
    PutInForce(std::move(staged.next));
    return absl::OkStatus();
  });
}

}  // namespace sluice
