#include "dataplane/replay/replay.h"

#include <rte_mbuf.h>

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/replay_setup.h"
#include "dataplane/replay/verdict_text.h"
#include "packet/parse.h"

namespace sluice {
namespace {

// To a file, to the standard output ("-") or nowhere ("").
absl::Status WriteText(const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  if (path != "-") return WriteWholeFile(path, text);
  std::cout << text << std::flush;
  return std::cout ? absl::OkStatus()
                   : absl::UnavailableError("cannot write to stdout");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Replay>> Replay::Open(
    const ReplayOptions& options) {
  std::unique_ptr<Replay> replay(new Replay(options));
  if (absl::Status s = replay->LoadRules(); !s.ok()) return s;
  if (absl::Status s = replay->OpenFiles(); !s.ok()) return s;
  return replay;
}

absl::Status Replay::LoadRules() {
  auto pool = FramePool::Create();
  if (!pool.ok()) return pool.status();
  pool_ = *std::move(pool);
  auto built = BuildReplay(options_, options_.rules_file, pool_->get(),
                           &Replay::OnVerdict, this);
  if (!built.ok()) return built.status();
  simulation_ = *std::move(built);
  return absl::OkStatus();
}

absl::Status Replay::OpenFiles() {
  auto source = OpenCaptures(options_, *simulation_);
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  writers_.resize(simulation_->ports().size());
  for (const ReplayOptions::File& output : options_.outputs) {
    auto writer = CaptureWriter::Create(output.path);
    if (!writer.ok()) return writer.status();
    writers_[*FindPort(*simulation_, output.port)] = *std::move(writer);
  }
  return absl::OkStatus();
}

void Replay::OnVerdict(void* context, uint32_t, const PacketVerdict& verdict) {
  static_cast<Replay*>(context)->verdict_ = verdict;
}

absl::Status Replay::Run() {
  uint64_t clock = 0;
  for (;;) {
    SourcedPacket packet;
    const absl::StatusOr<bool> more = source_->Next(packet);
    if (!more.ok()) return more.status();
    if (!*more) break;
    simulation_->Advance(packet.clock - clock);
    clock = packet.clock;
    if (absl::Status s = OnePacket(packet); !s.ok()) return s;
  }
  if (absl::Status s = CheckSums(); !s.ok()) return s;
  return Publish();
}

absl::Status Replay::OnePacket(const SourcedPacket& packet) {
  ++packets_;
  if (packet.cut) {
    ++cut_;
    if (!options_.verdicts_file.empty()) WriteVerdict(packet, nullptr);
    return absl::OkStatus();
  }
  PacketBurst burst;
  burst.mbufs[0] = pool_->Make(packet.frame);
  if (burst.mbufs[0] == nullptr) {
    return absl::ResourceExhaustedError("no mbufs are left");
  }
  burst.count = 1;
  PacketInfo info;
  if (!options_.verdicts_file.empty()) {
    ParsePacket(*burst.mbufs[0],
                {.verify_checksums = !options_.ignore_checksums}, &info);
  }
  BurstResult result;
  simulation_->Process(packet.port, burst, result);
  if (!options_.verdicts_file.empty()) WriteVerdict(packet, &info);
  simulation_->Send(packet.port, result, [&](uint16_t port, rte_mbuf* mbuf) {
    if (port < writers_.size() && writers_[port] != nullptr) {
      writers_[port]->Write(packet.nanoseconds, FrameBytes(*mbuf, buffer_));
    }
    rte_pktmbuf_free(mbuf);
  });
  return absl::OkStatus();
}

void Replay::WriteVerdict(const SourcedPacket& packet,
                          const PacketInfo* info) {
  VerdictLine line{.number = packets_,
                   .arrival = simulation_->ports()[packet.port].name,
                   .reason = kCutReason,
                   .info = info};
  if (info != nullptr) {
    line.passed = verdict_.passed;
    line.held = verdict_.held;
    if (!line.passed && !line.held) line.reason = Name(verdict_.reason);
    if (verdict_.rule != kNoRule) line.rule = verdict_.rule;
    line.judged = verdict_.judged;
    if (line.judged) {
      const uint16_t port = *line.judged == Direction::kIn
                                ? packet.port
                                : simulation_->peer(packet.port);
      line.judged_at = simulation_->ports()[port].name;
    }
  }
  absl::StrAppend(&verdicts_, VerdictText(line), "\n");
}

absl::Status Replay::CheckSums() const {
  uint64_t received = 0;
  uint64_t settled = 0;
  int64_t refragmented = 0;
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    const PortCounters& counters = simulation_->counters(i);
    uint64_t accounted = counters.forwarded_packets.value();
    for (const Counter& drops : counters.drops) accounted += drops.value();
    received += counters.received_packets.value();
    refragmented += counters.made_here();
    settled += accounted;
  }
  const FragmentCache& fragments = simulation_->fragments();
  if (received + static_cast<uint64_t>(refragmented) !=
      settled + fragments.held()) {
    return absl::InternalError(absl::StrCat(
        "the sums do not close: ", received, " packets received, ", settled,
        " transmitted or dropped, ", fragments.held(), " held"));
  }
  if (received + cut_ != packets_ ||
      pool_->InUse() != fragments.segments()) {
    return absl::InternalError(absl::StrCat(
        "the sums do not close: ", packets_, " packets read, ", received,
        " received, ", cut_, " cut, ", pool_->InUse(), " buffers not returned"));
  }
  return absl::OkStatus();
}

absl::Status Replay::Publish() {
  for (const auto& writer : writers_) {
    if (writer == nullptr) continue;
    if (absl::Status s = writer->Finish(); !s.ok()) return s;
  }
  if (absl::Status s = WriteText(options_.verdicts_file, verdicts_); !s.ok()) {
    return s;
  }
  if (!options_.report_file.empty()) {
    if (absl::Status s = WriteText(options_.report_file, JsonReport());
        !s.ok()) {
      return s;
    }
  }
  for (const auto& writer : writers_) {
    if (writer == nullptr) continue;
    if (absl::Status s = writer->Publish(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

uint64_t Replay::checksum_drops() const {
  uint64_t count = 0;
  for (uint16_t i = 0; i < simulation_->ports().size(); ++i) {
    count += simulation_->counters(i)
                 .drops[static_cast<size_t>(DropReason::kProtoCksum)]
                 .value();
  }
  return count;
}

}  // namespace sluice
