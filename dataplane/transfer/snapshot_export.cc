#include "dataplane/transfer/snapshot_export.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conntrack/expectation.h"
#include "conntrack/source_nodes.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/workers/mailbox.h"
#include "restore/snapshot_writer.h"

namespace sluice {
namespace {

using std::chrono::microseconds;

// Records in a chunk, and chunks of a worker that are on their way, so that it
// has one to fill while another is encoded.
constexpr size_t kChunkRecords = 2048;
constexpr size_t kChunksAWorker = 2;
constexpr uint32_t kExpectationsASlice = 64;
// Places of sources that the control lcore looks at in a piece: less than a
// millisecond.
constexpr uint32_t kSourcesASlice = 8192;
// How often the policy is looked at again when it changes meanwhile.
constexpr int kPolicyAttempts = 20;

uint64_t MonotonicMicroseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

int64_t WallMicroseconds() {
  return std::chrono::duration_cast<microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

absl::Status RandomId(SnapshotId* id) {
  const ssize_t n = ::getrandom(id->data(), id->size(), 0);
  if (n != static_cast<ssize_t>(id->size())) {
    return SystemError("getrandom", errno);
  }
  (*id)[0] = static_cast<uint8_t>((*id)[0] | 1);  // not all zero
  return absl::OkStatus();
}

}  // namespace

SnapshotExport::SnapshotExport(const TransferPlane* plane,
                               TransferFilter filter, Builder* builder,
                               ExportOrder order, Finish done)
    : plane_(plane),
      filter_(std::move(filter)),
      builder_(builder),
      order_(std::move(order)),
      done_(std::move(done)),
      begun_(MonotonicMicroseconds()),
      times_(plane->mailboxes.size()),
      exporter_(filter_.plane->policy, plane->interfaces,
                order_.content == ExportContent::kAll) {}

std::shared_ptr<SnapshotExport> SnapshotExport::Begin(
    const TransferPlane* plane, TransferFilter filter, Builder* builder,
    ExportOrder order, Finish done) {
  FaultPoint("export.begin");
  std::shared_ptr<SnapshotExport> made(
      new SnapshotExport(plane, std::move(filter), builder, std::move(order),
                         std::move(done)));
  if (made->order_.content == ExportContent::kPolicy) {
    made->FinishRecording();
    return made;
  }
  for (size_t worker = 0; worker < plane->mailboxes.size(); ++worker) {
    made->cursors_.push_back(std::make_shared<RecordCursor>());
    made->outstanding_ += kChunksAWorker;
  }
  for (size_t worker = 0; worker < plane->mailboxes.size(); ++worker) {
    for (size_t i = 0; i < kChunksAWorker; ++i) {
      std::vector<StateRecord> storage;
      storage.reserve(kChunkRecords);
      made->Record(worker, std::move(storage));
    }
  }
  return made;
}

void SnapshotExport::Record(size_t worker, std::vector<StateRecord> storage) {
  plane_->mailboxes[worker]->Post(std::make_unique<RecordOrder>(
      filter_.plane->number, cursors_[worker], std::move(storage),
      [self = shared_from_this(), worker](RecordOrder::Chunk chunk) {
        self->Recorded(worker, std::move(chunk));
      }));
}

void SnapshotExport::Recorded(size_t worker, RecordOrder::Chunk chunk) {
  times_[worker].Append(chunk.time);
  if (chunk.records.empty() || cancelled_ || failed_) {
    // The shard had nothing more.
    ChunkDone();
    return;
  }
  auto held = std::make_shared<RecordOrder::Chunk>(std::move(chunk));
  const bool submitted = builder_->Submit(
      [self = shared_from_this(), held] {
        self->AddRecords(held->records);
        held->records.clear();
      },
      [self = shared_from_this(), worker, held] {
        FaultPoint("export.chunk");
        if (held->more) {
          self->ChunkAdded(worker, std::move(held->records));
        } else {
          self->ChunkDone();
        }
      });
  if (!submitted) {
    failed_ = true;
    ChunkDone();
  }
}

void SnapshotExport::AddRecords(const std::vector<StateRecord>& records) {
  if (cancelled_ || !memory_.ok()) return;
  for (const StateRecord& record : records) exporter_.Add(record);
  if (order_.lease != nullptr) memory_ = order_.lease->Grow(exporter_.bytes());
  recorded_.fetch_add(records.size(), std::memory_order_relaxed);
}

void SnapshotExport::ChunkAdded(size_t worker,
                                std::vector<StateRecord> storage) {
  if (cancelled_ || failed_) {
    ChunkDone();
  } else {
    Record(worker, std::move(storage));
  }
}

void SnapshotExport::ChunkDone() {
  if (--outstanding_ == 0) FinishRecording();
}

void SnapshotExport::FinishRecording() {
  FaultPoint("export.recorded");
  if (plane_->sources != nullptr && !failed_ &&
      order_.content != ExportContent::kPolicy) {
    RecordSources();
  } else {
    EncodeAll();
  }
}

void SnapshotExport::RecordSources() {
  auto held = std::make_shared<std::vector<SourceRecord>>();
  const bool more = plane_->sources->Visit(
      &source_cursor_, kSourcesASlice, plane_->now(),
      [&](const SourceRecord& record) {
        if (record.key.filter == filter_.plane->number) {
          held->push_back(record);
        }
      });
  const bool submitted = builder_->Submit(
      [self = shared_from_this(), held] { self->AddSources(*held); },
      [self = shared_from_this(), more] {
        if (more && !self->cancelled_) {
          self->RecordSources();
        } else {
          self->EncodeAll();
        }
      });
  if (!submitted) {
    End(absl::ResourceExhaustedError("too much work; try again"));
  }
}

void SnapshotExport::AddSources(const std::vector<SourceRecord>& records) {
  if (cancelled_ || !memory_.ok()) return;
  for (const SourceRecord& record : records) exporter_.Add(record);
  if (order_.lease != nullptr) memory_ = order_.lease->Grow(exporter_.bytes());
}

void SnapshotExport::EncodeAll() {
  auto status = std::make_shared<absl::Status>();
  const bool submitted =
      !failed_ && builder_->Submit(
                      [self = shared_from_this(), status] {
                        *status = self->Encode();
                      },
                      [self = shared_from_this(), status] {
                        self->End(*status);
                      });
  if (!submitted) {
    End(absl::ResourceExhaustedError("too much work; try again"));
  }
}

void SnapshotExport::AddExpectations() {
  std::vector<ExpectationRecord> records;
  uint32_t cursor = 0;
  while (plane_->expectations->List(&cursor, kExpectationsASlice,
                                    plane_->now(), &records)) {
  }
  for (const ExpectationRecord& record : records) {
    if (record.filter == filter_.plane->number) exporter_.Add(record);
  }
}

absl::Status SnapshotExport::Encode() {
  if (cancelled_) return absl::CancelledError("the filter goes away");
  if (!memory_.ok()) return memory_;
  Snapshot snapshot;
  AddExpectations();
  exporter_.Finish(&snapshot);
  // What found no memory is not in it, and nothing in it would say so.
  absl::Status status = exporter_.status();
  if (!status.ok()) return status;
  status = ExportPolicy(filter_.plane->policy, plane_->now(), &snapshot);
  for (int i = 1; absl::IsAborted(status) && i < kPolicyAttempts; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i));
    status = ExportPolicy(filter_.plane->policy, plane_->now(), &snapshot);
  }
  if (!status.ok()) return status;
  if (status = RandomId(&snapshot.header.id); !status.ok()) return status;
  snapshot.header.filter_id = filter_.id;
  snapshot.header.incarnation = filter_.plane->status.Load().incarnation;
  snapshot.header.wall_time = WallMicroseconds();
  snapshot.header.monotonic_time = MonotonicMicroseconds();
  snapshot.meta.filter = filter_.name;
  snapshot.meta.creator = "sluiced-" SLUICE_VERSION;
  FaultPoint("export.encoded");
  if (cancelled_) return absl::CancelledError("the filter goes away");
  const absl::StatusOr<uint64_t> bytes =
      WriteSnapshot(snapshot, exporter_.states(), order_.sink.get());
  if (!bytes.ok()) return bytes.status();
  if (status = order_.sink->End(); !status.ok()) return status;
  FaultPoint("export.written");
  const ExportStatistics& counts = exporter_.statistics();
  report_.id = snapshot.header.id;
  report_.bytes = *bytes;
  report_.generation = snapshot.header.generation;
  report_.states = counts.states;
  report_.expectations = counts.expectations;
  report_.no_sync = counts.no_sync;
  report_.not_portable = counts.not_portable;
  report_.ties_cut = counts.ties_cut;
  return absl::OkStatus();
}

void SnapshotExport::Lose(const absl::Status& why) {
  if (is_over()) return;
  Cancel();
  // The thread looks at nothing of the filter any more, and must not be the
  // one that lets go of it.
  filter_.owner.reset();
  filter_.policy_changed = nullptr;
  End(why);
}

void SnapshotExport::End(absl::Status status) {
  const Finish done = std::exchange(done_, nullptr);
  if (done == nullptr) return;  // it was lost
  if (!status.ok()) {
    done(std::move(status));
    return;
  }
  report_.duration = MonotonicMicroseconds() - begun_;
  for (const OrderTime& time : times_) {
    report_.time.longest_step = std::max(report_.time.longest_step,
                                         CyclesToNanoseconds(time.longest));
    report_.time.busiest =
        std::max(report_.time.busiest, CyclesToNanoseconds(time.total));
  }
  done(report_);
}

}  // namespace sluice
