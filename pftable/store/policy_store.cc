#include "pftable/store/policy_store.h"

#include <algorithm>
#include <functional>
#include <mutex>
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
      own_publication_(config.publication == nullptr
                           ? std::make_unique<Publication>()
                           : nullptr),
      publication_(config.publication == nullptr ? *own_publication_
                                                 : *config.publication),
      classifier_(config.classifier),
      tables_alone_(config.tables_alone),
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
  if (retired_count_.load(std::memory_order_relaxed) > 0) {
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
  retired_count_.store(retired_.size(), std::memory_order_relaxed);
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
  Incoming incoming = Prepare(std::move(next));
  Install(std::span(&incoming, 1));
}

PolicyStore::Incoming PolicyStore::Prepare(std::unique_ptr<Generation> next) {
  Incoming incoming{.store = this, .now = nullptr, .retired{}};
  incoming.retired.emplace_back();
  if (!next->policy->limiters.empty()) MakeLimiters();
  incoming.now = std::move(next);
  return incoming;
}

void PolicyStore::Install(std::span<Incoming> set) noexcept {
  // All of one process share it.
  Publication& publication = set.front().store->publication_;
  const std::lock_guard lock(publication.mutex_);
  const uint64_t last = publication.epoch_.load(std::memory_order_relaxed);
  bool anew = false;  // somebody may be judging by what is replaced
  for (Incoming& incoming : set) {
    PolicyStore& store = *incoming.store;
    Generation& now = *incoming.now;
    const bool first = store.in_force_ == nullptr;
    anew = anew || !first;
    // What there is at the beginning was never anything else: a worker that
    // comes with an older epoch has nothing to go back to.
    now.epoch = first ? 0 : last + 1;
    now.before = store.in_force_.get();
    BindRecords(now, store.in_force_.get(), store.rule_slots_);
    if ((first || store.in_force_->policy != now.policy) &&
        store.limiters_ != nullptr) {
      store.limiters_->Define(now.policy->limiters);
    }
    incoming.retired.front().generation =
        std::exchange(store.in_force_, std::move(incoming.now));
    store.current_.store(store.in_force_.get(), std::memory_order_release);
  }
  if (!anew) return;
  publication.epoch_.store(last + 1, std::memory_order_release);
  for (Incoming& incoming : set) {
    Retired& retired = incoming.retired.front();
    if (retired.generation == nullptr) continue;
    // The grace period starts after the store: a worker that reports a
    // quiescent state from now on sees the new one.
    retired.grace_period = incoming.store->reclaimer_->StartGracePeriod();
    incoming.store->retired_.splice(incoming.store->retired_.end(),
                                    incoming.retired);
    incoming.store->retired_count_.store(incoming.store->retired_.size(),
                                         std::memory_order_relaxed);
  }
}

std::shared_ptr<const Generation> PolicyStore::generation() const {
  const std::lock_guard lock(mutex_);
  return in_force_;
}

size_t PolicyStore::live_generations() const {
  return retired_count_.load(std::memory_order_relaxed) + 1;
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

Ticket PolicyStore::Begin(bool comes_back) {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  // Older tickets cannot be committed any more.
  ended.swap(draft_);
  draft_ = Draft{.ticket = ++newest_ticket_,
                 .compiled = nullptr,
                 .comes_back = comes_back};
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

absl::Status PolicyStore::LookUp(Ticket ticket, Draft* draft,
                                 std::shared_ptr<const Generation>* base) {
  const Section section(*this);
  const Draft* const found = FindDraft(ticket);
  if (found == nullptr) return GenerationMoved(ticket);
  if (found->compiled == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("nothing is defined under ticket ", ticket,
                     ": define a policy"));
  }
  *draft = *found;
  *base = in_force_;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Generation>> PolicyStore::Preview(
    Ticket ticket) {
  absl::StatusOr<StagedGeneration> staged = StageLoad(ticket);
  if (!staged.ok()) return staged.status();
  return std::shared_ptr<const Generation>(std::move(staged->next));
}

absl::StatusOr<StagedGeneration> PolicyStore::StageLoad(
    Ticket ticket, std::shared_ptr<const Generation>* base) {
  using Staged = absl::StatusOr<StagedGeneration>;
  return OrNoMemory("build the policy", [&]() -> Staged {
    Draft draft;
    std::shared_ptr<const Generation> now;
    if (absl::Status s = LookUp(ticket, &draft, &now); !s.ok()) return s;
    absl::StatusOr<std::unique_ptr<Generation>> next =
        MakeGeneration(std::move(draft.compiled), now.get(), table_slots_,
                       *interfaces_, draft.comes_back);
    if (!next.ok()) return next.status();
    AddIndex(**next);
    StagedGeneration staged;
    staged.next = *std::move(next);
    staged.base = now->number;
    if (base != nullptr) *base = std::move(now);
    return staged;
  });
}

void PolicyStore::EndTicket(Ticket ticket) noexcept {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  if (FindDraft(ticket) != nullptr) ended.swap(draft_);
}

absl::Status PolicyStore::CommitDraft(Ticket ticket) {
  while (true) {
    Draft draft;
    std::shared_ptr<const Generation> base;
    if (absl::Status s = LookUp(ticket, &draft, &base); !s.ok()) return s;
    const std::shared_ptr<const CompiledPolicy>& compiled = draft.compiled;
    if (compiled->interface_version != interfaces_->version()) {
      // Interfaces have come or gone since it was compiled.
      absl::Status status = DefineCompiled(ticket, compiled->source);
      if (!status.ok()) return status;
      continue;
    }
    absl::StatusOr<std::unique_ptr<Generation>> next =
        MakeGeneration(compiled, base.get(), table_slots_, *interfaces_,
                       draft.comes_back);
    if (!next.ok()) return next.status();
    AddIndex(**next);
    const uint64_t number = base->number;
    base = nullptr;  // so that it can be freed as soon as it is replaced
    std::optional<Draft> ended;  // outlives the mutex
    const Section section(*this);
    if (FindDraft(ticket) == nullptr) return GenerationMoved(ticket);
    // Somebody else has published, or defined under this ticket, or addresses
    // have changed, meanwhile.
    if (in_force_->number != number || draft_->compiled != compiled ||
        HasOldAddresses(**next)) {
      continue;
    }
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
      if (!HasOldAddresses(*base)) return StagedGeneration();
      StagedGeneration staged(*base);
      TakeAddresses(*staged.next, *interfaces_);
      FinishGeneration(*staged.next);
      return staged;
    }
    CompileContext context = Context();
    context.before = base->policy.get();
    context.again = true;
    auto again = CompilePolicy(base->policy->source, context);
    if (!again.ok()) return again.status();
    // The tables stay as they are: a reload would take those of the text.
    StagedGeneration staged(*base);
    staged.next->policy = *std::move(again);
    TakeAddresses(*staged.next, *interfaces_);
    FinishGeneration(*staged.next);
    return staged;
  });
}

bool PolicyStore::HasOldAddresses(const Generation& generation) const {
  return !generation.policy->dynamic_addresses.empty() &&
         generation.address_version != interfaces_->address_version();
}

bool PolicyStore::HasOldAddresses() const {
  return HasOldAddresses(*generation());
}

bool PolicyStore::WantsIndex() const {
  const std::lock_guard lock(mutex_);
  return in_force_->wants_index;
}

std::shared_ptr<const IndexedTables> PolicyStore::MakeIndex(
    std::vector<AddressTable> tables) const {
  std::shared_ptr<const TableIndex> index =
      pool_ != nullptr ? pool_->Index(tables) : TableIndex::Build(tables);
  return std::make_shared<const IndexedTables>(std::move(index),
                                               std::move(tables),
                                               tables_alone_);
}

void PolicyStore::AddIndex(Generation& next) const {
  if (!next.wants_index) return;
  std::vector<AddressTable> tables = ContentsToIndex(next);
  size_t entries = 0;
  for (const AddressTable& table : tables) entries += table.size();
  if (entries > IndexedTables::kMostAtOnce) return;
  next.index = MakeIndex(std::move(tables));
  BindIndex(next);
}

absl::StatusOr<StagedGeneration> PolicyStore::StageIndex() {
  using Staged = absl::StatusOr<StagedGeneration>;
  return OrNoMemory("index the tables", [&]() -> Staged {
    const std::shared_ptr<const Generation> base = generation();
    if (!base->wants_index) return StagedGeneration();
    auto index = MakeIndex(ContentsToIndex(*base));
    // Of what is in force by now: tables that were edited since have no bit.
    StagedGeneration staged(*generation());
    staged.next->number = staged.base;
    staged.next->index = std::move(index);
    BindIndex(*staged.next);
    return staged;
  });
}

bool PolicyStore::IsUpToDate(const StagedGeneration& staged) const {
  return staged.next == nullptr || generation()->number == staged.base;
}

absl::Status PolicyStore::CheckStaged(const StagedCommit& commit) const {
  if (commit.ticket != 0) {
    if (!draft_.has_value() || draft_->ticket != commit.ticket ||
        draft_->compiled != commit.generation.next->policy) {
      return GenerationMoved(commit.ticket);
    }
  }
  if (in_force_->number == commit.generation.base) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(
      "generation moved: ", in_force_->number, " is in force, and not ",
      commit.generation.base, " as when this was built; build it again"));
}

absl::Status PolicyStore::Publish(StagedGeneration staged) {
  if (staged.next == nullptr) return absl::OkStatus();
  StagedCommit commit = {
      .store = this, .ticket = 0, .generation = std::move(staged)};
  return PublishTogether(std::span(&commit, 1));
}

absl::Status PublishTogether(std::span<StagedCommit> commits,
                             size_t* culprit) {
  return OrNoMemory("publish the policy", [&]() -> absl::Status {
    std::vector<StagedCommit*> order;
    for (StagedCommit& commit : commits) {
      if (commit.generation.next != nullptr) order.push_back(&commit);
    }
    // In one order, whoever else does so at the same time.
    std::sort(order.begin(), order.end(),
              [](const StagedCommit* a, const StagedCommit* b) {
                return std::less<>()(a->store, b->store);
              });
    std::vector<PolicyStore::Incoming> set;
    set.reserve(order.size());
    // Outlive the mutexes.
    std::vector<std::optional<PolicyStore::Draft>> ended(order.size());
    std::vector<std::unique_lock<std::mutex>> locks;
    for (StagedCommit* const commit : order) {
      locks.emplace_back(commit->store->mutex_);
    }
    for (StagedCommit* const commit : order) {
      if (absl::Status s = commit->store->CheckStaged(*commit); !s.ok()) {
        if (culprit != nullptr) {
          *culprit = static_cast<size_t>(commit - commits.data());
        }
        return s;
      }
    }
    for (StagedCommit* const commit : order) {
      set.push_back(
          commit->store->Prepare(std::move(commit->generation.next)));
    }
    if (set.empty()) return absl::OkStatus();
    PolicyStore::Install(set);
    for (size_t i = 0; i < order.size(); ++i) {
      if (order[i]->ticket != 0) ended[i].swap(order[i]->store->draft_);
    }
    locks.clear();
    for (StagedCommit* const commit : order) commit->store->Poll();
    return absl::OkStatus();
  });
}

}  // namespace sluice
