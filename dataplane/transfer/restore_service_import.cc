// Snapshots that clients bring on a descriptor.
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/descriptor_io.h"
#include "dataplane/transfer/restore_service.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

// A client's snapshot while it is read. The thread has `snapshot` and `bytes`
// until it has left the descriptor.
struct Intake {
  ImportRequest request;
  TransferControl::Done<ImportReport> done;
  std::shared_ptr<LaneIo> io;
  absl::StatusOr<std::vector<uint8_t>> bytes = absl::UnknownError("not read");

  void Read(uint64_t max_bytes) {
    io->Enter();
    bytes = ReadDescriptor(request.snapshot.get(), max_bytes,
                           [this](uint64_t moved) {
                             absl::Status status = io->lease()->Grow(moved);
                             return status.ok() ? io->Guard(moved) : status;
                           });
    io->Leave();
    request.snapshot.Reset();
  }
};

absl::Status NotRead(const absl::Status& why) {
  return absl::Status(
      why.code(),
      absl::StrCat("the snapshot cannot be read: ", why.message()));
}

}  // namespace

void RestoreService::Import(ImportRequest request, Done<ImportReport> done) {
  const KnownFilter* filter = Find(request.filter);
  if (filter == nullptr || filter->removed) {
    return done(NoKnownFilter(request.filter));
  }
  auto intake = std::make_shared<Intake>();
  const TransferClient client = request.client;
  const absl::StatusOr<TransferLanes::Lane*> taken = lanes_.Take(
      client, filter->plane(), request.filter, nullptr,
      [this, intake](const absl::Status& why) {
        const KnownFilter* f = Find(intake->request.filter);
        if (f != nullptr) restores_.Arriving(*f, false);
        ledger_.calls.push_back(
            [done = std::move(intake->done), why] { done(NotRead(why)); });
      });
  if (!taken.ok()) return done(taken.status());
  TransferLanes::Lane* const lane = *taken;
  intake->request = std::move(request);
  intake->done = std::move(done);
  intake->io = lane->io();
  const bool submitted = lane->builder().Submit(
      [intake, max_bytes = options_.max_snapshot] { intake->Read(max_bytes); },
      [this, lane, intake] {
        lanes_.Release(lane);
        const auto arrived = absl::MakeCleanup([this, intake] {
          const KnownFilter* f = Find(intake->request.filter);
          if (f != nullptr) restores_.Arriving(*f, false);
        });
        if (!intake->bytes.ok()) {
          return intake->done(NotRead(intake->bytes.status()));
        }
        SubmitRead(intake->request, *std::move(intake->bytes),
                   intake->io->lease(), std::move(intake->done));
      });
  if (submitted) {
    // It is there, if not read: nobody is to fail for want of it.
    restores_.Arriving(*filter, true);
    return;
  }
  lanes_.Release(lane);
  intake->done(absl::ResourceExhaustedError("too much work; try again"));
}

void RestoreService::SubmitRead(ImportRequest& request,
                                std::vector<uint8_t> bytes,
                                std::shared_ptr<const void> lease,
                                Done<ImportReport> done) {
  // What is no snapshot at all ends no expectation.
  const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(bytes);
  if (!header.ok()) return done(header.status());
  const ImportChoice choice = {.policy = request.policy,
                               .from_filter = request.from_filter,
                               .orphans = request.keep_orphans
                                              ? OrphanPolicy::kKeep
                                              : OrphanPolicy::kDrop};
  const RestoreOrder order = {
      .incarnation = 0,
      .source = RequestSource::kOrder,
      .snapshot = header->id,
      .snapshot_source =
          std::make_shared<MemorySource>(std::move(bytes), choice,
                                         std::move(lease)),
      .replace_generation = request.replace_generation};
  auto joined = std::make_shared<bool>(false);
  const std::string name = request.filter;
  const RestoreAnswer answer = Submit(
      name, order, [this, name, joined, done](const RestoreAnswer& end) {
        const KnownFilter* filter = Find(name);
        done(ImportReport{
            .answer = end,
            .joined = *joined,
            .time = filter != nullptr && end.code == RestoreCode::kRestored
                        ? filter->last_time
                        : TransferTime{}});
      });
  *joined = answer.code == RestoreCode::kJoined;
  if (answer.code == RestoreCode::kStarted || *joined) return;
  done(ImportReport{.answer = answer, .joined = false, .time = {}});
}

}  // namespace sluice
