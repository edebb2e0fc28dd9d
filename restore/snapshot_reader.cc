#include "restore/snapshot_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "packet/checksum.h"
#include "pftable/policy/no_memory.h"
#include "restore/snapshot_cursor.h"
#include "restore/snapshot_digest.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_records.h"

namespace sluice {
namespace {

absl::Status Bad(size_t offset, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("snapshot, offset ", offset, ": ",
                   absl::string_view(what.data(), what.size())));
}

// The header, and what belongs to the frame.
struct Frame {
  SnapshotHeader header;
  uint16_t minor = 0;
  size_t header_bytes = 0;
  uint64_t total = 0;
  uint32_t sections = 0;
};

absl::StatusOr<Frame> ReadFrame(std::span<const uint8_t> bytes) {
  if (bytes.size() < kSnapshotHeaderBytes) {
    return Bad(bytes.size(), "truncated in the header");
  }
  if (!std::equal(kSnapshotMagic.begin(), kSnapshotMagic.end(),
                  bytes.begin())) {
    return Bad(0, "this is no snapshot of sluice");
  }
  SnapshotCursor from(bytes.first(kSnapshotHeaderBytes));
  from.GetBytes(kSnapshotMagic.size());
  Frame frame;
  const auto major = from.Get<uint16_t>();
  if (major != kSnapshotMajor) {
    return absl::UnimplementedError(absl::StrCat(
        "the snapshot has major version ", major, ", and this program reads ",
        kSnapshotMajor, ": export it again with a program of this version"));
  }
  frame.minor = from.Get<uint16_t>();
  frame.header_bytes = from.Get<uint16_t>();
  const auto upper = from.Get<uint16_t>();
  frame.total = from.Get<uint32_t>();
  frame.sections = from.Get<uint32_t>();
  const auto get = [&from](auto& out) {
    const auto got = from.GetBytes(out.size());
    std::copy(got.begin(), got.end(), out.begin());
  };
  SnapshotHeader& header = frame.header;
  get(header.id);
  get(header.filter_id);
  header.generation = from.Get<uint64_t>();
  header.policy_hash = from.Get<uint64_t>();
  header.wall_time = from.Get<int64_t>();
  header.monotonic_time = from.Get<uint64_t>();
  header.incarnation = from.Get<uint32_t>();
  const auto crc = from.Get<uint32_t>();
  if (crc != static_cast<uint32_t>(
                 ~Crc32c(0xffffffff, bytes.data(), kSnapshotCrcOffset))) {
    return Bad(kSnapshotCrcOffset, "the header's checksum is wrong");
  }
  if (frame.minor >= kMinorOfLongSnapshots) {
    frame.total |= uint64_t{upper} << 32;
  } else if (upper != 0) {
    return Bad(kSnapshotUpperLengthOffset, "unknown flags in the header");
  }
  if (header.id == kNoSnapshotId) return Bad(24, "the snapshot has no id");
  const bool longer = frame.minor > kSnapshotMinor;
  if (frame.header_bytes < kSnapshotHeaderBytes ||
      frame.header_bytes > (longer ? kMaxSnapshotHeaderBytes
                                   : kSnapshotHeaderBytes) ||
      frame.header_bytes % 8 != 0) {
    return Bad(12, "the header's length is not allowed");
  }
  return frame;
}

// One section as it lies in the snapshot.
struct Section {
  SnapshotTlv tlv;
  uint32_t count = 0;
  std::span<const uint8_t> records;
  size_t records_offset = 0;
};

absl::StatusOr<Section> ReadSection(std::span<const uint8_t> bytes,
                                    const SnapshotTlv& tlv) {
  if (tlv.value.size() < kSectionHeadBytes + kSectionTailBytes) {
    return Bad(tlv.offset, "a section that is too short");
  }
  Section section = {.tlv = tlv, .count = 0, .records = {}};
  SnapshotCursor from(tlv.value, tlv.value_offset);
  section.count = from.Get<uint32_t>();
  const auto length = from.Get<uint32_t>();
  if (length != tlv.value.size() - kSectionHeadBytes - kSectionTailBytes) {
    return Bad(tlv.offset, "a section whose lengths contradict each other");
  }
  section.records_offset = from.offset();
  section.records = from.GetBytes(length);
  const auto crc = from.Get<uint32_t>();
  const size_t covered = kTlvHeaderBytes + kSectionHeadBytes + length;
  if (crc != static_cast<uint32_t>(
                 ~Crc32c(0xffffffff, bytes.data() + tlv.offset, covered))) {
    return Bad(tlv.offset, "a section's checksum is wrong");
  }
  if (section.count > length / kTlvHeaderBytes) {
    return Bad(tlv.offset, "a section says that it has more records than fit");
  }
  return section;
}

absl::Status CheckEnd(std::span<const uint8_t> bytes, const SnapshotTlv& tlv,
                      uint32_t* sections, uint64_t* records) {
  if (tlv.value.size() != kEndBytes || !tlv.IsKnownForm() ||
      tlv.value_offset + kEndBytes != bytes.size()) {
    return Bad(tlv.offset, "the end is not the end");
  }
  SnapshotCursor from(tlv.value, tlv.value_offset);
  const auto algorithm = static_cast<DigestAlgorithm>(from.Get<uint32_t>());
  *sections = from.Get<uint32_t>();
  *records = from.Get<uint64_t>();
  if (algorithm != DigestAlgorithm::kSha256) {
    return absl::UnimplementedError(
        absl::StrCat("snapshot, offset ", tlv.value_offset,
                     ": a digest that is not known"));
  }
  const SnapshotDigest digest =
      DigestOf(bytes.first(bytes.size() - kDigestBytes));
  if (!IsSameDigest(digest, from.GetBytes(kDigestBytes))) {
    return Bad(bytes.size() - kDigestBytes, "the digest is wrong");
  }
  return absl::OkStatus();
}

bool IsKnown(uint16_t type, uint16_t minor) {
  switch (static_cast<SectionKind>(type)) {
    case SectionKind::kMeta:
    case SectionKind::kLimits:
    case SectionKind::kTables:
    case SectionKind::kRules:
    case SectionKind::kParentStates:
    case SectionKind::kChildStates:
    case SectionKind::kExpectations:
    case SectionKind::kCounters: return true;
    case SectionKind::kSourceNodes: return minor >= kMinorOfSourceNodes;
    default: return false;
  }
}

// That must be there.
constexpr uint32_t kKnownSections = 8;

bool IsOfStates(uint16_t type) {
  return type == static_cast<uint16_t>(SectionKind::kParentStates) ||
         type == static_cast<uint16_t>(SectionKind::kChildStates);
}

}  // namespace

absl::StatusOr<SnapshotHeader> ReadSnapshotHeader(
    std::span<const uint8_t> bytes) {
  const absl::StatusOr<Frame> frame = ReadFrame(bytes);
  if (!frame.ok()) return frame.status();
  return frame->header;
}

absl::Status CheckWhole(std::span<const uint8_t> bytes) {
  const absl::StatusOr<Frame> frame = ReadFrame(bytes);
  if (!frame.ok()) return frame.status();
  if (frame->total != bytes.size() ||
      bytes.size() < kSnapshotHeaderBytes + kTlvHeaderBytes + kEndBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes.size(), " bytes of a snapshot of ", frame->total,
                     ": truncated, or with something behind its end"));
  }
  if (!IsSameDigest(DigestOf(bytes.first(bytes.size() - kDigestBytes)),
                    bytes.last(kDigestBytes))) {
    return absl::InvalidArgumentError("the digest at its end is not its own");
  }
  return absl::OkStatus();
}

namespace {

absl::StatusOr<ReadResult> ReadAll(std::span<const uint8_t> bytes,
                                   const SnapshotLimits& limits) {
  if (bytes.size() > limits.bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the snapshot has ", bytes.size(), " bytes, and ",
                     limits.bytes, " are allowed"));
  }
  const absl::StatusOr<Frame> frame = ReadFrame(bytes);
  if (!frame.ok()) return frame.status();
  if (frame->total != bytes.size()) {
    return Bad(bytes.size(), frame->total > bytes.size()
                                 ? "truncated"
                                 : "bytes behind the end");
  }
  if (frame->sections > kMaxSections || frame->sections < 1) {
    return Bad(20, "the number of sections is not allowed");
  }
  if (frame->header_bytes > bytes.size()) {
    return Bad(12, "the header is longer than the snapshot");
  }

  // First the frame and the digest: nothing is built from bytes that are not
  // what was written.
  SnapshotCursor from(bytes.subspan(frame->header_bytes),
                      frame->header_bytes);
  std::vector<Section> sections;
  sections.reserve(frame->sections);
  uint64_t records = 0;
  uint32_t told_sections = 0;
  uint64_t told_records = 0;
  bool ended = false;
  for (uint32_t i = 0; i < frame->sections; ++i) {
    SnapshotTlv tlv;
    if (!GetTlv(from, &tlv)) {
      return Bad(tlv.offset, "a section that is truncated, or padded wrongly");
    }
    if (tlv.type == static_cast<uint16_t>(SectionKind::kEnd)) {
      if (i + 1 != frame->sections) {
        return Bad(tlv.offset, "the end comes too early");
      }
      const absl::Status status =
          CheckEnd(bytes, tlv, &told_sections, &told_records);
      if (!status.ok()) return status;
      ended = true;
      break;
    }
    absl::StatusOr<Section> section = ReadSection(bytes, tlv);
    if (!section.ok()) return section.status();
    records += section->count;
    sections.push_back(*section);
  }
  if (!ended) return Bad(bytes.size(), "there is no end: truncated");
  if (told_sections != sections.size() || told_records != records) {
    return Bad(bytes.size() - kEndBytes, "the counts at the end are wrong");
  }

  ReadResult result;
  result.snapshot.header = frame->header;
  result.minor = frame->minor;
  SnapshotRecords reader(limits, &result);
  uint16_t last = 0;
  uint32_t known = 0;  // kinds of sections
  for (const Section& section : sections) {
    const SnapshotTlv& tlv = section.tlv;
    // By kind without the critical bit, so that sections of a newer version
    // stand where they belong.
    const auto order = static_cast<uint16_t>(tlv.type & ~kCriticalType);
    const bool again = order == last && frame->minor >= kMinorOfLongSnapshots &&
                       IsOfStates(tlv.type);
    if (order <= last && !again) {
      return Bad(tlv.offset, "sections are out of order");
    }
    last = order;
    result.divided |= again;
    if (!IsKnown(tlv.type, frame->minor) || tlv.version != kRecordVersion) {
      if (tlv.critical()) {
        return absl::UnimplementedError(
            absl::StrCat("snapshot, offset ", tlv.offset,
                         ": a section that is not known (type ", tlv.type,
                         ", version ", tlv.version,
                         ") and must not be skipped"));
      }
      if (IsKnown(static_cast<uint16_t>(tlv.type | kCriticalType),
                  frame->minor)) {
        return Bad(tlv.offset, "a section of a kind that is never so");
      }
      ++result.skips.sections;
      continue;
    }
    if (tlv.flags != 0) return Bad(tlv.offset, "unknown flags of a section");
    const absl::Status status = reader.Read(
        static_cast<SectionKind>(tlv.type), section.count,
        SnapshotCursor(section.records, section.records_offset));
    if (!status.ok()) return status;
    known += !again && tlv.critical();
  }
  if (known != kKnownSections) {
    return Bad(bytes.size(), "a section is missing");
  }
  const absl::Status status = reader.Finish();
  if (!status.ok()) return status;
  return result;
}

}  // namespace

absl::StatusOr<ReadResult> ReadSnapshot(std::span<const uint8_t> bytes,
                                        const SnapshotLimits& limits) {
  return OrNoMemory("read the snapshot",
                    [&] { return ReadAll(bytes, limits); });
}

}  // namespace sluice
