// A filter with workers, for tests of what goes from one to another: a policy
// store, shards whose states count for its rules, and the way in and out.
#ifndef SLUICE_TESTS_UNIT_RESTORE_IMPORT_NODE_H_
#define SLUICE_TESTS_UNIT_RESTORE_IMPORT_NODE_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "conntrack/source_nodes.h"
#include "conntrack/state_import.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/forward/rule_sink.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/language/parser.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/policy_store.h"
#include "restore/export.h"
#include "restore/import.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/whole_snapshot.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {

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
    filter.policy = &store;
    filters.Publish(&filter);
    for (uint8_t i = 0; i < workers; ++i) {
      options.worker = i;
      shards.push_back(std::make_unique<Shard>(family, options));
      shards[i]->Share(shards[0]->expectations);
      sinks.push_back(std::make_unique<RuleSink>(i, &filters));
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
    if (source_nodes == nullptr) return;
    cursor = 0;
    while (source_nodes->Visit(
        &cursor, 16, shard().now,
        [&](const SourceRecord& record) { exporter->Add(record); })) {
    }
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
    if (status.ok()) status = ExportPolicy(&store, shard().now, &snapshot);
    if (!status.ok()) return status;
    return OrNoMemory("write what was exported",
                      [&] { return WholeSnapshot(snapshot, exporter); });
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
            .sources = source_nodes,
            .source_budget = node_budget,
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
  // COMMIT as the daemon has it: the states, then the policy.
  absl::StatusOr<RestoreReport> Commit(StateImporter* importer) {
    for (size_t i = 0; i < shards.size(); ++i) {
      while (!StateIntake(shards[i]->table.get())
                  .Commit(importer->arena(i), shard().now, 4)) {
      }
    }
    if (absl::Status s = importer->PublishPolicy(); !s.ok()) {
      Undo(importer);
      return s;
    }
    return importer->Finish(shard().now);
  }
  void Undo(StateImporter* importer) {
    for (size_t i = 0; i < shards.size(); ++i) {
      const StateImport& arena = *importer->arena(i);
      StateTable& table = *shards[i]->table;
      for (uint32_t j = 0; j < arena.done; ++j) {
        const StateRecord& record = arena.states[j].record;
        const StateIndex state =
            table.entries().Resolve({record.id, record.slot});
        if (state != kNoState) table.Remove(state);
      }
    }
    Cancel(importer);
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
  FilterPlane filter;
  FilterTable filters;
  std::vector<std::unique_ptr<RuleSink>> sinks;
  std::vector<std::unique_ptr<Shard>> shards;
  std::function<void()> meanwhile;  // between the phases
  std::function<uint8_t(const SnapshotState&)> owner;
  // Null: sources are not carried by themselves.
  SourceNodes* source_nodes = nullptr;
  SourceBudget* node_budget = nullptr;
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
