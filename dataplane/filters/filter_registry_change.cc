// What can be different of a filter that is there: its ports, what holds after
// a failure, and what passes while packets are held.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/transfer/restore_service.h"

namespace sluice {

absl::Status FilterRegistry::CheckChange(const FilterChange& change,
                                         const Registered& of) {
  if (&of == &main_) {
    return absl::FailedPreconditionError(
        "main cannot be changed: it has the ports that no other filter has, "
        "and expects no restore but its own");
  }
  if (change.fail_policy == FailPolicy::kOpen &&
      of.filter->emergency() == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "filter '", change.name, "' was made without an emergency ruleset, "
        "which is what holds if it fails open: make it anew, with `filter "
        "create --fail open --emergency FILE`"));
  }
  if (!change.ports) return absl::OkStatus();
  if (change.ports->empty() || change.ports->size() > kMaxPortsOfFilter) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a filter has 1 to ", kMaxPortsOfFilter, " ports"));
  }
  for (const std::string& port : *change.ports) {
    const auto known = ports_.entries().find(port);
    if (known == ports_.entries().end() ||
        known->second.filter == of.filter->number()) {
      continue;
    }
    if (known->second.claims > 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "port ", port, " is to belong to a filter that is being made: wait "
          "for that, or name other ports"));
    }
    if (known->second.filter == kMainFilter) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", port, " belongs to filter '",
        by_number_[known->second.filter]->filter->name(),
        "': take it from that first"));
  }
  return absl::OkStatus();
}

void FilterRegistry::ChangeFilter(const FilterChange& change, DoneStatus done) {
  Registered* const of = FindRegistered(change.name);
  if (of == nullptr) {
    return done(absl::NotFoundError(
        absl::StrCat("there is no filter '", change.name, "'")));
  }
  if (absl::Status status = CheckChange(change, *of); !status.ok()) {
    return done(status);
  }
  std::vector<std::string> named;  // that were not there before
  for (const std::string& port :
       change.ports.value_or(std::vector<std::string>())) {
    const bool known = ports_.Find(port) != nullptr;
    absl::StatusOr<PortSet::Entry*> entry = ports_.Name(port);
    if (!entry.ok()) {
      for (const std::string& made : named) ports_.Forget(made);
      return done(entry.status());
    }
    if (!known) named.push_back(port);
  }
  // From here on nothing fails.
  if (change.bypass_hold) {
    of->spec.bypass_hold = *change.bypass_hold;
    of->filter->plane().bypass_hold = *change.bypass_hold;
  }
  if (change.fail_policy) {
    of->spec.fail_policy = *change.fail_policy;
    of->filter->plane().fail_policy = *change.fail_policy;
    if (environment_.restores != nullptr) {
      environment_.restores->SetFailPolicy(change.name, *change.fail_policy);
    }
  }
  LogInfo("filter {}: changed", change.name);
  if (!change.ports) return done(absl::OkStatus());
  std::vector<std::string> leaving;
  for (const auto& [name, port] : ports_.entries()) {
    if (port.filter == of->filter->number() &&
        std::ranges::find(*change.ports, name) == change.ports->end()) {
      leaving.push_back(name);
    }
  }
  for (const std::string& name : *change.ports) {
    PortSet::Entry* const port = ports_.Find(name);
    if (port->filter != of->filter->number()) MovePort(port, *of);
  }
  for (const std::string& name : leaving) {
    MovePort(ports_.Find(name), main_);
    ports_.Forget(name);
  }
  of->spec.ports = *change.ports;
  // Before the workers hear of it, as when filters are made.
  Begin(*of);
  Begin(main_);
  ports_.Publish();
  if (HasEnabledPort(*of)) return done(absl::OkStatus());
  // A worker that still judged by it after its incarnation has ended would drop
  // packets that main lets pass.
  grace_.After([this, name = change.name, serial = of->filter->plane().serial,
                done = std::move(done)]() mutable {
    Registered* const left = FindRegistered(name);
    // Destroyed since, or given ports again, which have begun another one.
    if (left == nullptr || left->filter->plane().serial != serial ||
        HasEnabledPort(*left)) {
      return done(absl::OkStatus());
    }
    End(*left, [done = std::move(done)] { done(absl::OkStatus()); });
  });
}

}  // namespace sluice
