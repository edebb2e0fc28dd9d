// Whole snapshots: into memory, or on their way somewhere else.
#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "packet/checksum.h"
#include "pftable/policy/no_memory.h"
#include "restore/snapshot_digest.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"

namespace sluice {
namespace {

// What is collected before the sink gets it.
constexpr size_t kPiece = size_t{256} << 10;

void PatchHeader(std::vector<uint8_t>& bytes, uint64_t total,
                 uint32_t sections) {
  const auto patch = [&bytes](size_t offset, size_t length, uint64_t value) {
    for (size_t i = 0; i < length; ++i) {
      bytes[offset + i] = static_cast<uint8_t>(value >> (8 * i));
    }
  };
  patch(kSnapshotUpperLengthOffset, 2, total >> 32);
  patch(kSnapshotLengthOffset, 4, total);
  patch(kSnapshotSectionsOffset, 4, sections);
  patch(kSnapshotCrcOffset, 4,
        static_cast<uint32_t>(
            ~Crc32c(0xffffffff, bytes.data(), kSnapshotCrcOffset)));
}

class MemorySink final : public SnapshotSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace

void FinishSnapshot(std::vector<uint8_t>& bytes, uint32_t sections) {
  PatchHeader(bytes, bytes.size(), sections);
  const SnapshotDigest digest =
      DigestOf(std::span(bytes).first(bytes.size() - kDigestBytes));
  std::copy(digest.begin(), digest.end(), bytes.end() - kDigestBytes);
}

// Puts the parts behind each other. The sections with states are too large to
// be in memory a second time; the others are made first, so that the lengths
// are known.
class SnapshotStream {
 public:
  SnapshotStream(const Snapshot& rest, const SnapshotStates& states,
                 SnapshotSink* sink, const SnapshotWriting& how)
      : states_(states), sink_(sink), front_(rest.header) {
    const auto section = [](SnapshotWriter& to, SectionKind kind,
                            const auto& values) {
      to.Begin(kind);
      for (const auto& value : values) to.Add(value);
      to.End();
    };
    section(front_, SectionKind::kMeta, std::span(&rest.meta, 1));
    section(front_, SectionKind::kLimits, rest.limits);
    section(front_, SectionKind::kTables, rest.tables);
    section(front_, SectionKind::kRules, rest.rulesets);
    section(back_, SectionKind::kExpectations, rest.expectations);
    if (!rest.source_nodes.empty()) {
      section(back_, SectionKind::kSourceNodes, rest.source_nodes);
    }
    back_.Begin(SectionKind::kCounters);
    for (const auto& counters : rest.rule_counters) back_.Add(counters);
    for (const auto& counters : rest.table_counters) back_.Add(counters);
    back_.End();
    for (const SectionKind kind :
         {SectionKind::kParentStates, SectionKind::kChildStates}) {
      Divide(kind, how.section_bytes);
    }
  }

  absl::StatusOr<uint64_t> Write() {
    const size_t sections = front_.sections_ + parts_.size() + back_.sections_;
    uint64_t total = front_.out_.size() + back_.out_.size() + kTlvHeaderBytes +
                     kEndBytes;
    uint64_t records = front_.records_ + back_.records_;
    for (const StateSection& part : parts_) {
      total += kTlvHeaderBytes + PaddedBytes(ValueBytes(part));
      records += part.end - part.first;
    }
    if (total > kMaxSnapshotBytes || sections + 1 > kMaxSections) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "a snapshot of ", total, " bytes in ", sections,
          " sections is more than its format can say"));
    }
    PatchHeader(front_.out_.bytes(), total,
                static_cast<uint32_t>(sections + 1));
    Put(front_.out_.bytes());
    for (const StateSection& part : parts_) PutSection(part);
    Put(back_.out_.bytes());
    SnapshotBytes end;
    const size_t at = end.BeginTlv(static_cast<uint16_t>(SectionKind::kEnd));
    end.Put(static_cast<uint32_t>(DigestAlgorithm::kSha256));
    end.Put(static_cast<uint32_t>(sections));
    end.Put(records);
    const size_t digest_at = end.size();
    end.bytes().resize(digest_at + kDigestBytes);
    end.EndTlv(at);
    hash_.Add(std::span(end.bytes()).first(digest_at));
    const SnapshotDigest digest = hash_.Finish();
    std::copy(digest.begin(), digest.end(),
              end.bytes().begin() + static_cast<ptrdiff_t>(digest_at));
    piece_.insert(piece_.end(), end.bytes().begin(), end.bytes().end());
    Flush();
    if (!status_.ok()) return status_;
    return total;
  }

 private:
  // Which of the states stand in a section.
  struct StateSection {
    SectionKind kind = SectionKind::kParentStates;
    size_t first = 0;
    size_t end = 0;
    uint64_t bytes = 0;  // of the records
  };

  static uint64_t ValueBytes(const StateSection& part) {
    return kSectionHeadBytes + part.bytes + kSectionTailBytes;
  }

  std::span<const uint8_t> StateAt(SectionKind kind, size_t i) const {
    return kind == SectionKind::kParentStates ? states_.parent(i)
                                              : states_.child(i);
  }

  void Divide(SectionKind kind, uint64_t most) {
    const size_t count = kind == SectionKind::kParentStates
                             ? states_.parents()
                             : states_.children();
    StateSection part = {.kind = kind};
    for (size_t i = 0; i < count; ++i) {
      const size_t bytes = StateAt(kind, i).size();
      if (part.end > part.first && part.bytes + bytes > most) {
        parts_.push_back(part);
        part = {.kind = kind, .first = i, .end = i};
      }
      part.bytes += bytes;
      part.end = i + 1;
    }
    parts_.push_back(part);
  }

  void PutSection(const StateSection& part) {
    SnapshotBytes head;
    head.BeginTlv(static_cast<uint16_t>(part.kind));
    head.Patch32(4, static_cast<uint32_t>(ValueBytes(part)));
    head.Put(static_cast<uint32_t>(part.end - part.first));
    head.Put(static_cast<uint32_t>(part.bytes));
    uint32_t crc = Crc32c(0xffffffff, head.bytes().data(), head.size());
    Put(head.bytes());
    for (size_t i = part.first; i < part.end && status_.ok(); ++i) {
      const std::span<const uint8_t> state = StateAt(part.kind, i);
      crc = Crc32c(crc, state.data(), state.size());
      Put(state);
    }
    SnapshotBytes tail;
    tail.Put(~crc);
    tail.bytes().resize(kSectionTailBytes + PaddedBytes(ValueBytes(part)) -
                        ValueBytes(part));
    Put(tail.bytes());
  }

  void Put(std::span<const uint8_t> bytes) {
    while (!bytes.empty() && status_.ok()) {
      const size_t some = std::min(bytes.size(), kPiece - piece_.size());
      hash_.Add(bytes.first(some));
      piece_.insert(piece_.end(), bytes.begin(),
                    bytes.begin() + static_cast<ptrdiff_t>(some));
      bytes = bytes.subspan(some);
      if (piece_.size() == kPiece) Flush();
    }
  }

  void Flush() {
    if (status_.ok() && !piece_.empty()) status_ = sink_->Write(piece_);
    piece_.clear();
  }

  const SnapshotStates& states_;
  SnapshotSink* const sink_;
  SnapshotWriter front_;
  SnapshotWriter back_;
  std::vector<StateSection> parts_;
  std::vector<uint8_t> piece_;
  SnapshotHasher hash_;
  absl::Status status_;
};

namespace {

// Whether a reader takes what is not states. Expectations need their parents,
// and were looked at one by one, as states are.
absl::Status CheckRest(const Snapshot& rest) {
  Snapshot alone;
  alone.header = rest.header;
  alone.meta = rest.meta;
  alone.limits = rest.limits;
  alone.tables = rest.tables;
  alone.rulesets = rest.rulesets;
  alone.source_nodes = rest.source_nodes;
  alone.rule_counters = rest.rule_counters;
  alone.table_counters = rest.table_counters;
  MemorySink memory;
  const SnapshotStates none;
  const absl::StatusOr<uint64_t> written =
      SnapshotStream(alone, none, &memory, {}).Write();
  if (!written.ok()) return written.status();
  SnapshotLimits limits;
  limits.bytes = SIZE_MAX;
  return ReadSnapshot(memory.Take(), limits).status();
}

}  // namespace

absl::StatusOr<uint64_t> WriteSnapshot(const Snapshot& rest,
                                       const SnapshotStates& states,
                                       SnapshotSink* sink,
                                       const SnapshotWriting& how) {
  return OrNoMemory("write the snapshot", [&]() -> absl::StatusOr<uint64_t> {
    if (absl::Status status = CheckRest(rest); !status.ok()) return status;
    return SnapshotStream(rest, states, sink, how).Write();
  });
}

absl::StatusOr<std::vector<uint8_t>> WriteSnapshot(
    const Snapshot& snapshot, const SnapshotWriting& how) {
  return OrNoMemory(
      "write the snapshot",
      [&]() -> absl::StatusOr<std::vector<uint8_t>> {
        SnapshotStates states;
        for (const auto* some : {&snapshot.parents, &snapshot.children}) {
          for (const SnapshotState& state : *some) states.Add(state);
        }
        states.Keep(snapshot.parents.size());
        MemorySink memory;
        const absl::StatusOr<uint64_t> written =
            SnapshotStream(snapshot, states, &memory, how).Write();
        if (!written.ok()) return written.status();
        std::vector<uint8_t> bytes = memory.Take();
        SnapshotLimits limits;
        limits.bytes = SIZE_MAX;
        const absl::StatusOr<ReadResult> read = ReadSnapshot(bytes, limits);
        if (!read.ok()) return read.status();
        return bytes;
      });
}

}  // namespace sluice
