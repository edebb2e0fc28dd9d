// Snapshots that clients bring on a descriptor.
#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/file_io.h"
#include "dataplane/transfer/restore_service.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

// A pipe with a snapshot in it has to end in this time.
constexpr std::chrono::milliseconds kIntakeTime{5'000};
// Descriptors that wait to be read.
constexpr uint32_t kMaxIntakes = 16;

}  // namespace

void RestoreService::Import(ImportRequest request, Done<ImportReport> done) {
  const KnownFilter* filter = Find(request.filter);
  if (filter == nullptr || filter->removed) {
    return done(NoKnownFilter(request.filter));
  }
  if (intakes_ >= kMaxIntakes) {
    return done(absl::ResourceExhaustedError(
        "too many snapshots are waiting to be read; try again"));
  }
  struct Intake {
    ImportRequest request;
    Done<ImportReport> done;
    absl::StatusOr<std::vector<uint8_t>> bytes =
        absl::UnknownError("not read");
  };
  auto intake = std::make_shared<Intake>();
  intake->request = std::move(request);
  intake->done = std::move(done);
  const bool submitted = intake_.Submit(
      [this, intake] {
        intake->bytes =
            ReadDescriptor(intake->request.snapshot.get(),
                           options_.max_snapshot, kIntakeTime, &stopping_);
        intake->request.snapshot.Reset();
      },
      [this, intake] {
        --intakes_;
        const auto arrived = absl::MakeCleanup([this, intake] {
          const KnownFilter* f = Find(intake->request.filter);
          if (f != nullptr) restores_.Arriving(*f, false);
        });
        if (!intake->bytes.ok()) {
          return intake->done(absl::Status(
              intake->bytes.status().code(),
              absl::StrCat("the snapshot cannot be read: ",
                           intake->bytes.status().message())));
        }
        SubmitRead(intake->request, *std::move(intake->bytes),
                   std::move(intake->done));
      });
  if (submitted) {
    ++intakes_;
    // It is there, if not read: nobody is to fail for want of it.
    restores_.Arriving(*filter, true);
  } else {
    intake->done(absl::ResourceExhaustedError("too much work; try again"));
  }
}

void RestoreService::SubmitRead(ImportRequest& request,
                                std::vector<uint8_t> bytes,
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
          std::make_shared<MemorySource>(std::move(bytes), choice),
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
