// A filter with workers, for tests of what goes from one to another: a policy
// store, shards whose states count for its rules, and the way in and out.
#ifndef SLUICE_TESTS_UNIT_RESTORE_IMPORT_NODE_H_
#define SLUICE_TESTS_UNIT_RESTORE_IMPORT_NODE_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "conntrack/state_import.h"
#include "pftable/engine/evaluate.h"
#include "pftable/policy/no_memory.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"
#include "pftable/engine/reclaimer.h"
#include "restore/export.h"
#include "restore/import.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {

// Counts states for the rules of one store, as the process does.
class StoreSink : public StateSink {
 public:
  StoreSink(PolicyStore* store, uint32_t worker)
      : store_(store), worker_(worker) {}

  bool StateInserted(uint16_t, const StateTemplate& values) override {
    if (values.has(kStateRuleLimit) &&
        !store_->rule_slots().record(values.rule_slot).AcquireState()) {
      return false;
    }
    CountStateCreated(values, store_->worker_counters(worker_));
    return true;
  }
  void AddTraffic(uint16_t, const StateTemplate& values,
                  const TrafficDelta& traffic) override {
    FoldTraffic(store_->rule_slots(), values,
                {.packets = traffic.packets, .bytes = traffic.bytes},
                store_->worker_counters(worker_));
  }
  void StateRemoved(uint16_t, const StateTemplate& values) override {
    if (values.has(kStateRuleLimit)) {
      store_->rule_slots().record(values.rule_slot).ReleaseState();
    }
    CountStateEnded(values, store_->worker_counters(worker_));
  }
  void StateCancelled(uint16_t, const StateTemplate& values) override {
    if (values.has(kStateRuleLimit)) {
      store_->rule_slots().record(values.rule_slot).ReleaseState();
    }
    CountStateCancelled(values, store_->worker_counters(worker_));
  }
  const TimeoutProfile* RuleTimeouts(uint16_t, uint32_t rule) const override {
    return store_->rule_slots().record(rule).rule_timeouts();
  }
  uint32_t RuleStates(uint16_t, uint32_t rule) const override {
    return static_cast<uint32_t>(store_->counters().Rule(rule).states);
  }

 private:
  PolicyStore* const store_;
  const uint32_t worker_;
};

inline absl::Status LoadText(PolicyStore& store, std::string text) {
  ParseInput input;
  input.text = std::move(text);
  ParseResult parsed = ParsePolicy(std::move(input));
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(FormatDiagnostics(parsed.diagnostics));
  }
  return store.Load(std::move(parsed.policy));
}

class ImportNode {
 public:
  explicit ImportNode(Family family, uint8_t workers = 1,
                      StateTableOptions options = {.capacity = 1000},
                      PolicyPool* pool = nullptr)
      : store({.workers = workers, .rule_slots = 1024, .table_slots = 64,
               .pool = pool},
              &interfaces, &reclaimer) {
    for (uint8_t i = 0; i < workers; ++i) {
      options.worker = i;
      shards.push_back(std::make_unique<Shard>(family, options));
      shards[i]->Share(shards[0]->expectations);
      sinks.push_back(std::make_unique<StoreSink>(&store, i));
      shards[i]->table->SetSink(sinks[i].get());
      // One limit for all of them.
      shards[i]->table->SetFilter(0, &shards[0]->budget,
                                  kDefaultTimeoutProfile);
    }
  }

  Shard& shard(size_t worker = 0) { return *shards[worker]; }
  size_t states() const {
    size_t sum = 0;
    for (const auto& one : shards) sum += one->table->size();
    return sum;
  }

  // Everything, from the middle of its life.
  void AddAll(StateExporter* exporter) {
    for (const auto& one : shards) {
      uint32_t cursor = 0;
      while (one->table->entries().Visit(&cursor, 16, [&](StateIndex state) {
        one->table->Fold(state);
        exporter->Add(one->Record(state));
      })) {
      }
    }
    std::vector<ExpectationRecord> expected;
    uint32_t cursor = 0;
    while (shard().expectations->List(&cursor, 64, shard().now, &expected)) {
    }
    for (const ExpectationRecord& record : expected) exporter->Add(record);
  }
  absl::StatusOr<Snapshot> TryExport() {
    Snapshot snapshot;
    snapshot.header.id[0] = 1;
    snapshot.meta = {.filter = "main", .creator = "test"};
    StateExporter exporter(&store, &interfaces);
    absl::Status status = OrNoMemory("list what is expected", [&] {
      AddAll(&exporter);
      return absl::OkStatus();
    });
    exporter.Finish(&snapshot);
    if (status.ok()) status = exporter.status();
    if (status.ok()) status = ExportPolicy(&store, &snapshot);
    if (!status.ok()) return status;
    return snapshot;
  }
  Snapshot Export() { return *TryExport(); }

  ImportTarget Target() {
    uint64_t last_id = 0;
    for (const auto& one : shards) {
      last_id = std::max(last_id, StateIntake(one->table.get()).last_id());
    }
    return {.store = &store,
            .interfaces = &interfaces,
            .expectations = shard().expectations,
            .workers = static_cast<uint8_t>(shards.size()),
            .last_id = last_id,
            .owner = owner};
  }
  // VALIDATE behind Prepare().
  absl::Status Validate(StateImporter* importer) {
    for (size_t i = 0; i < shards.size(); ++i) {
      ReserveResult reserved;
      do {
        reserved = StateIntake(shards[i]->table.get())
                       .Reserve(importer->arena(i), 4);
      } while (reserved == ReserveResult::kMore);
      if (reserved != ReserveResult::kReady) {
        return absl::ResourceExhaustedError("no room in a shard");
      }
    }
    return importer->Tie();
  }
  void Cancel(StateImporter* importer) {
    for (size_t i = 0; i < shards.size(); ++i) {
      while (!StateIntake(shards[i]->table.get())
                  .Cancel(importer->arena(i), 4)) {
      }
    }
    importer->Abandon();
  }
  // COMMIT, the policy included.
  absl::StatusOr<RestoreReport> Commit(StateImporter* importer) {
    absl::Status status = importer->PublishPolicy();
    if (!status.ok()) {
      Cancel(importer);
      return status;
    }
    for (size_t i = 0; i < shards.size(); ++i) {
      while (!StateIntake(shards[i]->table.get())
                  .Commit(importer->arena(i), shard().now, 4)) {
      }
    }
    return importer->Finish(shard().now);
  }
  template <typename Source>
  absl::StatusOr<RestoreReport> Run(StateImporter* importer, Source&& source) {
    absl::Status status = importer->Prepare(std::forward<Source>(source));
    if (!status.ok()) return status;
    status = Validate(importer);
    if (!status.ok()) {
      Cancel(importer);
      return status;
    }
    if (meanwhile) meanwhile();
    return Commit(importer);
  }
  absl::StatusOr<RestoreReport> ImportBytes(std::span<const uint8_t> bytes,
                                            ImportOptions options = {}) {
    StateImporter importer(Target(), std::move(options));
    return Run(&importer, bytes);
  }
  absl::StatusOr<RestoreReport> Import(const Snapshot& snapshot,
                                       ImportOptions options = {}) {
    const auto bytes = WriteSnapshot(snapshot);
    if (!bytes.ok()) return bytes.status();
    return ImportBytes(*bytes, std::move(options));
  }

  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyStore store;
  std::vector<std::unique_ptr<StoreSink>> sinks;
  std::vector<std::unique_ptr<Shard>> shards;
  std::function<void()> meanwhile;  // between the phases
  std::function<uint8_t(const SnapshotState&)> owner;
};

inline ImportOptions WithPolicy(bool policy,
                                OrphanPolicy orphans = OrphanPolicy::kKeep) {
  ImportOptions options;
  options.policy = policy;
  options.orphans = orphans;
  return options;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_IMPORT_NODE_H_
