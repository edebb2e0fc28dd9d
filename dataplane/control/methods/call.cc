#include "dataplane/control/methods/call.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/log_format.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/method.h"

namespace sluice {

using nlohmann::json;

FilterControl* Call::filter() {
  FilterControl* const filter = operations_->directory_->Find(filter_);
  if (filter == nullptr) {
    Error(absl::NotFoundError(
        absl::StrCat("there is no filter \"", filter_,
                     "\"")));
  }
  return filter;
}

bool Call::MayAsk(const std::string& filter) {
  const Role needed = RoleFor(FindMethod(method_)->access, filter);
  if (peer_.role >= needed) return true;
  operations_->LogRefusal(peer_, method_ + " of filter " + filter, needed);
  Error(RpcError::kNotAllowed, Operations::NotAllowed(peer_, needed));
  return false;
}

void Call::LargeResult(absl::AnyInvocable<json()> make) {
  if (!wants_answer_) return Done();
  const std::shared_ptr<Call> call = shared_from_this();
  auto line = std::make_shared<std::string>();
  // `make` goes where it runs: what it holds is large, too.
  const bool submitted = operations_->builder_->Submit(
      [call, line, make = std::move(make)]() mutable {
        *line = ResultLine(call->id_, make());
        make = nullptr;
      },
      [call, line] {
        call->Audit("done");
        call->reply_.Send(std::move(*line));
      });
  if (!submitted) {
    Error(RpcError::kBusy,
          "it is done, but there is too much work to say what became of each "
          "address");
  }
}

uint64_t Call::MonotonicMicroseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void Call::CountChange(uint64_t build, uint64_t publish) const {
  Operations::OrderCounts& counts = operations_->orders_[method_];
  ++counts.changes;
  counts.build += build;
  counts.publish += publish;
  counts.longest_publish = std::max(counts.longest_publish, publish);
}

void Call::Audit(std::string_view outcome) const {
  const Method* const method = FindMethod(method_);
  // What strangers call their methods is counted together.
  Operations::OrderCounts& counts =
      operations_->orders_[method == nullptr ? "unknown" : method_];
  ++(outcome == "done" ? counts.done : counts.failed);
  const bool changes = method == nullptr || (method->access != Access::kRead &&
                                             method->access != Access::kWatch);
  // In words: "table add".
  std::string what = PrintableName(method_.substr(0, 64));
  std::ranges::replace(what, '.', ' ');
  if (!changes) {
    LogDebug("control: uid {} pid {}: {}{}: {}", peer_.uid, peer_.pid, what,
             filter_.empty() ? "" : " of filter " + filter_, outcome);
    return;
  }
  std::vector<LogField> fields = {
      {.name = "uid", .value = absl::StrCat(peer_.uid), .is_number = true},
      {.name = "pid", .value = absl::StrCat(peer_.pid), .is_number = true},
      {.name = "command", .value = what}};
  if (!filter_.empty()) fields.push_back({.name = "filter", .value = filter_});
  const auto add = [&fields](const char* name, std::optional<uint64_t> number) {
    if (!number) return;
    fields.push_back(
        {.name = name, .value = absl::StrCat(*number), .is_number = true});
  };
  add("generation_before", generation_before_);
  add("generation_after", Generation());
  fields.push_back({.name = "outcome", .value = std::string(outcome)});
  LogChange(fields,
            fmt::format("control: uid {} pid {}: {}{}: {}", peer_.uid,
                        peer_.pid, what,
                        filter_.empty() ? "" : " of filter " + filter_,
                        outcome));
}

std::optional<uint64_t> Call::Generation() const {
  const Method* const method = FindMethod(method_);
  if (filter_.empty() || method == nullptr ||
      method->access == Access::kRead || method->access == Access::kWatch) {
    return std::nullopt;
  }
  FilterControl* const filter = operations_->directory_->Find(filter_);
  if (filter == nullptr) return std::nullopt;
  return filter->Status().Generation();
}

}  // namespace sluice
