// What sources that open too many connections bring upon themselves.
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/workers/worker.h"
#include "pftable/store/table_edits.h"

namespace sluice {
namespace {

// Orders taken from all workers at one look.
constexpr uint32_t kOrdersAPoll = 256;

}  // namespace

void FilterRegistry::PollOverloads() {
  uint32_t left = kOrdersAPoll;
  for (Worker* worker : environment_.workers) {
    OverloadOrder order;
    while (left > 0 && worker->overloads().Pop(&order)) {
      --left;
      CarryOut(order);
    }
  }
  if (!overloading_) OverloadNext();
}

void FilterRegistry::CarryOut(const OverloadOrder& order) {
  const std::shared_ptr<LiveFilter> filter =
      Serving(order.filter, order.filter_serial);
  if (filter == nullptr) return;
  if (order.limiter != 0) {
    const std::optional<LimiterTable> what = TableOfLimiter(
        *filter->store().generation(), order.limiter, order.source);
    if (!what.has_value()) return;
    return Enqueue({.filter = filter,
                    .table = what->table,
                    .entries = {what->entry},
                    .unload = !order.above});
  }
  const RuleSlots& slots = filter->store().rule_slots();
  const absl::StatusOr<RuleSlotInfo> rule = slots.Info(order.rule_slot);
  if (!rule.ok()) return;
  const auto bits = static_cast<uint8_t>(AddressBits(order.source.family));
  const Prefix host = {.address = order.source, .length = bits};
  const SourceTracking& tracking = slots.record(order.rule_slot).tracking;
  if (tracking.flush || tracking.flush_global) {
    auto matcher = std::make_shared<StateMatcher>();
    matcher->filter = filter->number();
    matcher->query.source = host;
    if (!tracking.flush_global) {
      matcher->by_rule_slots = true;
      matcher->rule_slots = {order.rule_slot};
    }
    for (Worker* worker : environment_.workers) {
      worker->mailbox().Post(
          std::make_unique<KillOrder>(matcher, [](uint64_t, std::vector<StateId>) {}));
    }
  }
  Enqueue({.filter = filter,
           .table = {.anchor = rule->anchor, .name = rule->overload_table},
           .entries = {{.prefix = host}}});
}

// Those for one table go together, unless something else was asked of it since.
void FilterRegistry::Enqueue(PendingOverload what) {
  for (auto pending = overloads_.rbegin(); pending != overloads_.rend();
       ++pending) {
    if (pending->filter != what.filter || pending->table != what.table) {
      continue;
    }
    if (pending->unload != what.unload) break;
    pending->entries.push_back(what.entries.front());
    return;
  }
  overloads_.push_back(std::move(what));
}

void FilterRegistry::OverloadNext() {
  overloading_ = !overloads_.empty();
  if (!overloading_) return;
  struct Work {
    PendingOverload what;
    absl::StatusOr<StagedEdit> edit = StagedEdit();
  };
  auto work = std::make_shared<Work>();
  work->what = std::move(overloads_.front());
  overloads_.pop_front();
  auto build = [work] {
    PolicyStore& store = work->what.filter->store();
    work->edit =
        work->what.unload
            ? StageUnload(store, work->what.table, work->what.entries)
            : StageOverload(store, work->what.table, work->what.entries);
  };
  auto finish = [this, work] {
    PolicyStore& store = work->what.filter->store();
    if (work->edit.ok() && !store.IsUpToDate(work->edit->generation)) {
      overloads_.push_front(std::move(work->what));
      return OverloadNext();
    }
    const absl::Status status =
        work->edit.ok() ? store.Publish(std::move(work->edit->generation))
                        : work->edit.status();
    if (status.ok() && !work->edit->key.name.empty()) {
      work->what.filter->Tables().Edited(work->edit->key, work->edit->before,
                                         work->what.entries);
    }
    if (!status.ok()) {
      LogWarning("filter {}: table <{}>: sources above their limits: {}",
                 work->what.filter->name(), work->what.table.name,
                 std::string(status.message()));
    }
    OverloadNext();
  };
  if (builder_.Submit(std::move(build), std::move(finish))) return;
  // The builder is full: at the next look.
  overloads_.push_front(std::move(work->what));
  overloading_ = false;
}

}  // namespace sluice
