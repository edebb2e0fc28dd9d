#include "dataplane/transfer/snapshot_sources.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

#include "absl/strings/str_cat.h"
#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"
#include "restore/snapshot_digest.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

constexpr size_t kTotalLengthOffset = 16;

uint32_t ReadU32(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint32_t>(bytes[at]) |
         static_cast<uint32_t>(bytes[at + 1]) << 8 |
         static_cast<uint32_t>(bytes[at + 2]) << 16 |
         static_cast<uint32_t>(bytes[at + 3]) << 24;
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> MemorySource::Read(size_t max_bytes) {
  if (bytes_.size() > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the snapshot is longer than the ", max_bytes, " bytes allowed"));
  }
  return bytes_;
}

absl::StatusOr<std::vector<uint8_t>> FileSource::Read(size_t max_bytes) {
  return ReadWholeFile(path_, max_bytes);
}

absl::Status CheckWhole(const std::vector<uint8_t>& bytes) {
  const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(bytes);
  if (!header.ok()) return header.status();
  const uint32_t length = ReadU32(bytes, kTotalLengthOffset);
  if (length != bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes.size(), " bytes of a snapshot of ", length,
                     ": truncated, or with something behind its end"));
  }
  const std::span<const uint8_t> all(bytes);
  if (!IsSameDigest(DigestOf(all.first(all.size() - kDigestBytes)),
                    all.last(kDigestBytes))) {
    return absl::InvalidArgumentError("the digest at its end is not its own");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> KeptFileSource::Read(size_t max_bytes) {
  absl::Status first;
  for (const std::string& path : {path_, absl::StrCat(path_, ".old")}) {
    absl::StatusOr<std::vector<uint8_t>> bytes =
        ReadWholeFile(path, max_bytes);
    absl::Status status = bytes.status();
    if (status.ok()) status = CheckWhole(*bytes);
    if (status.ok()) {
      const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(*bytes);
      if (header->filter_id == filter_) return bytes;
      // Of a filter that had this name before.
      status = absl::NotFoundError(
          absl::StrCat(path, " belongs to another filter"));
    } else if (bytes.ok()) {
      status = absl::InvalidArgumentError(
          absl::StrCat(path, ": ", status.message()));
    }
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
