#include "pftable/store/policy_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/policy/no_memory.h"

namespace sluice {
namespace {

absl::Status GenerationMoved(Ticket ticket, std::string_view why) {
  return absl::AbortedError(
      absl::StrCat("generation moved: ticket ", ticket, " ",
                   std::string(why), "; begin again"));
}

RuleStatus StatusOf(const ListedRule& listed, const RuleSlots& slots) {
  return RuleStatus{.rule = listed, .counts = slots.Counts(listed.slot)};
}

}  // namespace

PolicyStore::PolicyStore(const PolicyStoreConfig& config,
                         const InterfaceRegistry* interfaces,
                         Reclaimer* reclaimer)
    : interfaces_(interfaces),
      reclaimer_(reclaimer),
      pool_(config.pool),
      counters_(config.workers, config.rule_slots, config.table_slots),
      table_slots_(config.table_slots, &counters_),
      rule_slots_(config.rule_slots, &counters_, reclaimer) {
  // An empty policy names nothing that could be refused or run out.
  Publish(*Compile(Policy(), /*base=*/nullptr, Context()));
}

PolicyStore::~PolicyStore() = default;

CompileContext PolicyStore::Context() {
  return CompileContext{.interfaces = interfaces_,
                        .tags = &tags_,
                        .rule_slots = &rule_slots_,
                        .table_slots = &table_slots_,
                        .pool = pool_};
}

void PolicyStore::Poll() { const Section section(*this); }

PolicyStore::Section::~Section() {
  std::list<Retired> garbage = store_.Collect();
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

void PolicyStore::Publish(std::unique_ptr<Generation> next) {
  std::list<Retired> retired(1);
  BindRecords(*next, rule_slots_);
  std::unique_ptr<const Generation> old = std::move(owned_current_);
  owned_current_ = std::move(next);
  current_.store(owned_current_.get(), std::memory_order_release);
  if (old != nullptr) {
    // The grace period starts after the store: a worker that reports a
    // quiescent state from now on sees the new one.
    retired.front() = {.grace_period = reclaimer_->StartGracePeriod(),
                       .generation = std::move(old)};
    retired_.splice(retired_.end(), retired);
  }
}

std::unique_ptr<Generation> PolicyStore::Next() const {
  auto next = std::make_unique<Generation>(*owned_current_);
  ++next->number;
  return next;
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
    return GenerationMoved(ticket, ticket < newest_ticket_
                                       ? "is not the newest"
                                       : "was not begun or has ended");
  };
  std::shared_ptr<const CompiledPolicy> before;  // outlives the mutex
  {
    const Section section(*this);
    if (absl::Status s = usable(); !s.ok()) return s;
    before.swap(FindDraft(ticket)->compiled);
  }
  before = nullptr;
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled =
      CompilePolicy(std::move(policy), Context());
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

void PolicyStore::EndTicket(Ticket ticket) noexcept {
  std::optional<Draft> ended;  // outlives the mutex
  const Section section(*this);
  if (FindDraft(ticket) != nullptr) ended.swap(draft_);
}

absl::Status PolicyStore::CommitDraft(Ticket ticket) {
  while (true) {
    std::optional<Draft> ended;  // outlives the mutex
    std::shared_ptr<const Policy> stale;
    {
      const Section section(*this);
      Draft* draft = FindDraft(ticket);
      if (draft == nullptr) {
        return GenerationMoved(ticket, ticket < newest_ticket_
                                           ? "is not the newest"
                                           : "was not begun or has ended");
      }
      if (draft->compiled == nullptr) {
        return absl::FailedPreconditionError(
            absl::StrCat("nothing is defined under ticket ", ticket,
                         ": define a policy"));
      }
      if (draft->compiled->interface_version == interfaces_->version()) {
        ended.swap(draft_);
        return CommitCompiled(ended->compiled);
      }
      stale = draft->compiled->source;
    }
    // Interfaces have come or gone since it was compiled.
    if (absl::Status s = DefineCompiled(ticket, stale); !s.ok()) return s;
  }
}

absl::Status PolicyStore::CommitCompiled(
    std::shared_ptr<const CompiledPolicy> compiled) {
  absl::StatusOr<std::unique_ptr<Generation>> next =
      MakeGeneration(std::move(compiled), owned_current_.get(), table_slots_);
  if (!next.ok()) return next.status();
  Publish(*std::move(next));
  return absl::OkStatus();
}

bool PolicyStore::IsNewest(Ticket ticket) const {
  const std::lock_guard lock(mutex_);
  return draft_.has_value() && draft_->ticket == ticket &&
         draft_->compiled != nullptr;
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

absl::Status PolicyStore::Refresh() {
  return OrNoMemory("compile the policy again",
                    [&] { return RefreshCompiled(); });
}

absl::Status PolicyStore::RefreshCompiled() {
  while (true) {
    std::shared_ptr<const CompiledPolicy> before;
    {
      const std::lock_guard lock(mutex_);
      before = owned_current_->policy;
    }
    if (before->interface_version == interfaces_->version()) {
      return absl::OkStatus();
    }
    auto again = CompilePolicy(before->source, Context());
    if (!again.ok()) return again.status();
    const Section section(*this);
    // Somebody else may have committed meanwhile.
    if (owned_current_->policy != before) continue;
    // The tables stay as they are: a reload would take those of the text.
    std::unique_ptr<Generation> next = Next();
    next->policy = *std::move(again);
    FinishGeneration(*next);
    Publish(std::move(next));
    return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<RuleStatus>> PolicyStore::ListRules(
    std::string_view anchor) const {
  return OrNoMemory("list the rules", [&] { return RulesOf(anchor); });
}

absl::StatusOr<std::vector<RuleStatus>> PolicyStore::RulesOf(
    std::string_view anchor) const {
  const std::lock_guard lock(mutex_);
  const CompiledPolicy& policy = *owned_current_->policy;
  if (policy.source->main.Find(anchor) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("anchor \"", std::string(anchor), "\" does not exist"));
  }
  std::vector<RuleStatus> result;
  for (const ListedRule& listed : policy.listed) {
    if (listed.anchor == anchor) {
      result.push_back(StatusOf(listed, rule_slots_));
    }
  }
  return result;
}

std::vector<RuleStatus> PolicyStore::ListAllRules() const {
  const std::lock_guard lock(mutex_);
  std::vector<RuleStatus> result;
  for (const ListedRule& listed : owned_current_->policy->listed) {
    result.push_back(StatusOf(listed, rule_slots_));
  }
  return result;
}

void PolicyStore::ZeroRules() {
  const std::lock_guard lock(mutex_);
  rule_slots_.Zero(kDefaultRuleSlot);
  for (const ListedRule& listed : owned_current_->policy->listed) {
    rule_slots_.Zero(listed.slot);
  }
}

std::shared_ptr<const Policy> PolicyStore::policy() const {
  const std::lock_guard lock(mutex_);
  return owned_current_->policy->source;
}

uint64_t PolicyStore::generation_number() const {
  const std::lock_guard lock(mutex_);
  return owned_current_->number;
}

uint64_t PolicyStore::generation_hash() const {
  const std::lock_guard lock(mutex_);
  return owned_current_->hash;
}

size_t PolicyStore::live_generations() const {
  const std::lock_guard lock(mutex_);
  return retired_.size() + 1;
}

}  // namespace sluice
