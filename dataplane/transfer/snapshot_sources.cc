#include "dataplane/transfer/snapshot_sources.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/descriptor_io.h"
#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

SharedBytes Shared(std::vector<uint8_t> bytes) {
  return std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
}

}  // namespace

absl::StatusOr<SharedBytes> MemorySource::Read(
    const SnapshotReading& reading) {
  if (bytes_->size() > reading.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the snapshot is longer than the ", reading.max_bytes,
        " bytes allowed"));
  }
  if (reading.guard != nullptr) {
    if (absl::Status asked = reading.guard(bytes_->size()); !asked.ok()) {
      return asked;
    }
  }
  return bytes_;
}

absl::StatusOr<SharedBytes> FileSource::Read(const SnapshotReading& reading) {
  TransferPace pace(limits_, TransferClock());
  absl::StatusOr<std::vector<uint8_t>> bytes = ReadWholeFile(
      path_, reading.max_bytes, [&](uint64_t moved) -> absl::Status {
        absl::Status status =
            reading.guard != nullptr ? reading.guard(moved) : absl::OkStatus();
        return status.ok() ? pace.Look(moved, TransferClock()) : status;
      });
  if (!bytes.ok()) return bytes.status();
  return Shared(*std::move(bytes));
}

absl::StatusOr<SharedBytes> DescriptorSource::Read(
    const SnapshotReading& reading) {
  if (::lseek(file_->get(), 0, SEEK_SET) < 0) {
    return SystemError("the snapshot", errno);
  }
  TransferPace pace(limits_, TransferClock());
  absl::StatusOr<std::vector<uint8_t>> bytes = ReadDescriptor(
      file_->get(), reading.max_bytes, [&](uint64_t moved) -> absl::Status {
        absl::Status status =
            reading.guard != nullptr ? reading.guard(moved) : absl::OkStatus();
        return status.ok() ? pace.Look(moved, TransferClock()) : status;
      });
  if (!bytes.ok()) return bytes.status();
  return Shared(*std::move(bytes));
}

absl::StatusOr<SharedBytes> KeptFileSource::Read(
    const SnapshotReading& reading) {
  absl::Status first;
  for (const std::string& path : {path_, absl::StrCat(path_, ".old")}) {
    absl::StatusOr<std::vector<uint8_t>> bytes =
        ReadWholeFile(path, reading.max_bytes, reading.guard);
    absl::Status status = bytes.status();
    if (status.ok()) status = CheckWhole(*bytes);
    if (status.ok()) {
      const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(*bytes);
      if (header->filter_id == filter_) return Shared(*std::move(bytes));
      // Of a filter that had this name before.
      status = absl::NotFoundError(
          absl::StrCat(path, " belongs to another filter"));
    } else if (bytes.ok()) {
      status = absl::InvalidArgumentError(
          absl::StrCat(path, ": ", status.message()));
    }
    if (absl::IsCancelled(status)) return status;
    if (!absl::IsNotFound(status)) {
      complain_(std::string(status.message()));
      if (first.ok()) first = status;
    }
  }
  if (!first.ok()) return first;
  return absl::NotFoundError(absl::StrCat(path_, " is not there"));
}

absl::StatusOr<SnapshotHeader> PeekSnapshotHeader(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return SystemError(path, errno);
  std::array<uint8_t, kMaxSnapshotHeaderBytes> bytes;
  const ssize_t n = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return SystemError(path, errno);
  return ReadSnapshotHeader(
      std::span(bytes).first(static_cast<size_t>(n)));
}

}  // namespace sluice
