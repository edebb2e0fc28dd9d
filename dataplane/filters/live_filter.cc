#include "dataplane/filters/live_filter.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/policy_source.h"
#include "dataplane/workers/worker.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

bool HasErrors(const std::vector<Diagnostic>& diagnostics) {
  return std::ranges::any_of(diagnostics, [](const Diagnostic& d) {
    return d.severity == Severity::kError;
  });
}

}  // namespace

// ---- Loading ---------------------------------------------------------------

class LiveFilter::LoadJob final : public BuildJob<LoadResult> {
 public:
  // `from_file`: the request's name is a path, and there is no text.
  LoadJob(std::shared_ptr<LiveFilter> filter, LoadRequest request,
          bool from_file)
      : filter_(std::move(filter)),
        request_(std::move(request)),
        from_file_(from_file),
        facts_(filter_->environment_.ports->facts()),
        ticket_(filter_->store_->Begin()) {}

  ~LoadJob() override {
    if (!ended_) static_cast<void>(filter_->store_->Rollback(ticket_));
  }

  void Build() override {
    const FilterEnvironment& environment = filter_->environment_;
    // Asked only if the rules or the request want their profile.
    RulePackets known;
    const RulePackets profile = [&](const Rule& rule, std::string_view path) {
      if (!known) known = ProfileOf(*filter_->store_);
      return known(rule, path);
    };
    const std::shared_ptr<const Policy> old = filter_->store_->policy();
    const sluice::Options* const base =
        request_.merge_options ? &old->options : nullptr;
    absl::StatusOr<ParseResult> parsed =
        from_file_
            ? ParseFile(request_.name, environment.dialect, *facts_, profile)
            : ParseRequest(request_, environment.dialect, *facts_, profile,
                           base);
    if (!parsed.ok()) {
      Diagnostic diagnostic;
      diagnostic.file = request_.name;
      diagnostic.message =
          absl::StrCat("cannot be read: ", parsed.status().message());
      result_.diagnostics.push_back(std::move(diagnostic));
      return;
    }
    result_.diagnostics = std::move(parsed->diagnostics);
    CheckStateLimit(parsed->policy, environment.state_capacity,
                    &result_.diagnostics);
    result_.rules = CountRules(parsed->policy.main);
    if (result_.HasErrors()) return;
    const absl::Status status =
        filter_->store_->Define(ticket_, std::move(parsed->policy));
    if (status.ok()) return;
    std::vector<Diagnostic> more = DiagnosticsOf(
        status, request_.name.empty() ? "stdin" : request_.name);
    std::ranges::move(more, std::back_inserter(result_.diagnostics));
  }

  absl::StatusOr<LoadResult> Publish() override {
    ended_ = true;
    PolicyStore& store = *filter_->store_;
    if (const absl::Status status = filter_->CheckAlive(); !status.ok()) {
      static_cast<void>(store.Rollback(ticket_));
      return status;
    }
    if (request_.dry_run || HasErrors(result_.diagnostics)) {
      static_cast<void>(store.Rollback(ticket_));
    } else {
      const absl::Status status = store.Commit(ticket_);
      if (!status.ok()) return status;
      filter_->loader_uid_ = request_.uid;
      filter_->loader_pid_ = request_.pid;
      filter_->AfterCommit();
    }
    result_.generation = store.generation()->number;
    return std::move(result_);
  }

 private:
  const std::shared_ptr<LiveFilter> filter_;
  const LoadRequest request_;
  const bool from_file_;
  const std::shared_ptr<const HostFacts> facts_;
  const Ticket ticket_;
  bool ended_ = false;
  LoadResult result_;
};

class LiveFilter::FlushRulesJob final : public BuildJob<uint64_t> {
 public:
  explicit FlushRulesJob(std::shared_ptr<LiveFilter> filter)
      : filter_(std::move(filter)), ticket_(filter_->store_->Begin()) {}

  ~FlushRulesJob() override {
    if (!ended_) static_cast<void>(filter_->store_->Rollback(ticket_));
  }

  void Build() override {
    status_ = filter_->store_->Define(
        ticket_, Policy(filter_->environment_.dialect));
  }

  absl::StatusOr<uint64_t> Publish() override {
    PolicyStore& store = *filter_->store_;
    status_.Update(filter_->CheckAlive());
    if (!status_.ok()) return status_;
    ended_ = true;
    if (const absl::Status status = store.Commit(ticket_); !status.ok()) {
      return status;
    }
    filter_->AfterCommit();
    return store.generation()->number;
  }

 private:
  const std::shared_ptr<LiveFilter> filter_;
  const Ticket ticket_;
  bool ended_ = false;
  absl::Status status_;
};

LiveFilter::LiveFilter(const FilterEnvironment* environment, Options options)
    : environment_(*environment),
      options_(std::move(options)),
      host_id_(environment->host_id),
      budget_(0),
      store_(std::make_unique<PolicyStore>(
          environment->store, environment->interfaces,
          environment->reclaimer)) {
  plane_.number = options_.number;
  plane_.serial = options_.serial;
  plane_.policy = store_.get();
  plane_.budget = &budget_;
  plane_.fail_policy = options_.fail_policy;
  if (options_.emergency != nullptr) {
    plane_.emergency = &options_.emergency->plane_;
  }
  plane_.bypass_hold = options_.bypass_hold;
  plane_.MakeHolds(environment->store.workers, environment->hold_budget);
  budget_.SetLimit(std::min(
      store_->policy()->options.limit(Limit::kStates),
      environment->state_capacity));
  snapshots_.resize(environment->store.workers);
}

LiveFilter::~LiveFilter() = default;

absl::Status LiveFilter::CheckAlive() const {
  if (!destroyed_) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("filter '", name(), "' was destroyed meanwhile"));
}

uint64_t LiveFilter::SinceStart() const {
  return environment_.plane->clock.Milliseconds();
}

void LiveFilter::AfterCommit() {
  const std::shared_ptr<const Policy> policy = store_->policy();
  budget_.SetLimit(std::min(policy->options.limit(Limit::kStates),
                            environment_.state_capacity));
  rule_cache_.reset();
  // Workers that see this see the generation too: it was published before.
  plane_.loaded.store(true, std::memory_order_release);
  if (!switched_at_) switched_at_ = SinceStart();
}

std::unique_ptr<BuildJob<LoadResult>> LiveFilter::BeginLoad(
    LoadRequest request) {
  return std::make_unique<LoadJob>(shared_from_this(), std::move(request), false);
}

std::unique_ptr<BuildJob<LoadResult>> LiveFilter::BeginLoadFile(
    std::string path) {
  LoadRequest request;
  request.name = std::move(path);
  request.uid = geteuid();
  request.pid = getpid();
  return std::make_unique<LoadJob>(shared_from_this(), std::move(request), true);
}

std::unique_ptr<BuildJob<uint64_t>> LiveFilter::BeginFlushRules() {
  return std::make_unique<FlushRulesJob>(shared_from_this());
}

void LiveFilter::Poll() {
  store_->Poll();
}

// ---- Rules -----------------------------------------------------------------

absl::StatusOr<RuleSlice> LiveFilter::ListRules(const RuleQuery& query,
                                                const std::string& cursor,
                                                size_t limit) {
  const PolicyListing listing(*store_);
  const uint64_t generation = listing.generation().number;
  size_t begin = 0;
  if (cursor.empty()) {
    absl::StatusOr<std::vector<RuleStatus>> rules =
        listing.Rules(query.anchor);
    if (!rules.ok()) return rules.status();
    rule_cache_ = {.generation = generation,
                   .anchor = query.anchor,
                   .policy = listing.policy(),
                   .rules = *std::move(rules)};
  } else {
    uint64_t of = 0;
    const char* const end = cursor.data() + cursor.size();
    auto [middle, error] = std::from_chars(cursor.data(), end, of);
    if (error != std::errc() || middle == end || *middle != ':' ||
        std::from_chars(middle + 1, end, begin).ptr != end) {
      return absl::InvalidArgumentError("not a cursor of this filter");
    }
    if (of != generation || !rule_cache_ ||
        rule_cache_->generation != generation ||
        rule_cache_->anchor != query.anchor) {
      return absl::AbortedError(
          "the rules have changed since the listing began");
    }
  }
  const std::shared_ptr<const HostFacts> facts = environment_.ports->facts();
  const PrintOptions print = {.dialect = rule_cache_->policy->options.dialect,
                              .facts = facts.get(),
                              .flip_port_names = query.flip_port_names};
  RuleSlice slice;
  slice.generation = generation;
  slice.uid = loader_uid_;
  slice.pid = loader_pid_;
  const std::vector<RuleStatus>& rules = rule_cache_->rules;
  size_t i = std::min(begin, rules.size());
  for (; i < rules.size() && slice.rules.size() < limit; ++i) {
    const RuleStatus& status = rules[i];
    const Rule& rule = *status.rule.rule;
    if (!query.interface.empty() && rule.on.IsSet() &&
        rule.on.name != query.interface) {
      continue;
    }
    slice.rules.push_back(
        {.number = status.rule.number,
         .text = PrintRule(rule, print),
         .labels = status.rule.labels,
         .counters = {.evaluations = status.counts.evaluations,
                      .packets = status.counts.packets,
                      .bytes = status.counts.bytes,
                      .states = status.counts.states,
                      .state_creations = status.counts.states_created}});
  }
  if (i < rules.size()) slice.next = absl::StrCat(generation, ":", i);
  return slice;
}

void LiveFilter::ClearRuleCounters() {
  ZeroRules(*store_);
  rule_cache_.reset();
}

const LiveFilter::RuleFacts* LiveFilter::FactsOfRule(uint32_t slot) {
  const std::shared_ptr<const Generation> generation = store_->generation();
  if (facts_generation_ != generation->number) {
    facts_generation_ = generation->number;
    facts_.clear();
    for (const ListedRule& rule : generation->policy->listed) {
      facts_[rule.slot] = {.number = rule.number,
                           .anchor = rule.anchor,
                           .pflog = rule.rule->log.pflog,
                           .identifier = rule.rule->ridentifier};
    }
  }
  const auto found = facts_.find(slot);
  return found == facts_.end() ? nullptr : &found->second;
}

uint8_t LiveFilter::Describe(const LogRecord& record, PflogContext* context) {
  context->dialect = store_->policy()->options.dialect;
  context->loader_uid = loader_uid_;
  context->loader_pid = loader_pid_;
  context->rule = kNoPflogRule;
  context->subrule = kNoPflogRule;
  const RuleFacts* const rule = FactsOfRule(record.rule_slot);
  if (rule == nullptr) return 0;
  context->rule_identifier = rule->identifier;
  if (rule->anchor.empty()) {
    context->rule = rule->number;
    return rule->pflog;
  }
  context->anchor = rule->anchor;
  context->subrule = rule->number;
  const RuleFacts* const call = FactsOfRule(record.anchor_slot);
  if (call != nullptr) context->rule = call->number;
  return rule->pflog;
}

// ---- On and off ------------------------------------------------------------

absl::Status LiveFilter::Enable() {
  if (plane_.enabled.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError("pf already enabled");
  }
  plane_.enabled.store(true, std::memory_order_release);
  switched_at_ = SinceStart();
  return absl::OkStatus();
}

absl::Status LiveFilter::Disable() {
  if (!plane_.enabled.load(std::memory_order_relaxed)) {
    return absl::FailedPreconditionError("pf not enabled");
  }
  plane_.enabled.store(false, std::memory_order_release);
  switched_at_ = SinceStart();
  return absl::OkStatus();
}

}  // namespace sluice
