#include "dataplane/replay/compare.h"

#include <rte_mbuf.h>

#include <iostream>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/capture.h"
#include "dataplane/replay/replay_setup.h"
#include "packet/parse.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<Comparison>> Comparison::Open(
    const ReplayOptions& options) {
  std::unique_ptr<Comparison> comparison(new Comparison(options));
  auto pool = FramePool::Create();
  if (!pool.ok()) return pool.status();
  comparison->pool_ = *std::move(pool);
  const std::string files[2] = {options.rules_file, options.compare_file};
  for (size_t i = 0; i < 2; ++i) {
    Side& side = comparison->sides_[i];
    side.comparison = comparison.get();
    auto built = BuildReplay(options, files[i], comparison->pool_->get(),
                             &Comparison::OnVerdict, &side);
    if (!built.ok()) return built.status();
    side.simulation = *std::move(built);
  }
  auto source = OpenCaptures(options, *comparison->sides_[0].simulation);
  if (!source.ok()) return source.status();
  comparison->source_ = *std::move(source);
  return comparison;
}

void Comparison::OnVerdict(void* context, uint32_t,
                           const PacketVerdict& verdict) {
  static_cast<Side*>(context)->verdict = verdict;
}

absl::Status Comparison::Run() {
  uint64_t clock = 0;
  for (;;) {
    SourcedPacket packet;
    const absl::StatusOr<bool> more = source_->Next(packet);
    if (!more.ok()) return more.status();
    if (!*more) break;
    for (Side& side : sides_) side.simulation->Advance(packet.clock - clock);
    clock = packet.clock;
    if (absl::Status s = OnePacket(packet); !s.ok()) return s;
  }
  if (options_.report_file.empty()) return absl::OkStatus();
  if (options_.report_file != "-") {
    return WriteWholeFile(options_.report_file, JsonReport());
  }
  std::cout << JsonReport() << std::flush;
  return std::cout ? absl::OkStatus()
                   : absl::UnavailableError("cannot write to stdout");
}

absl::Status Comparison::OnePacket(const SourcedPacket& packet) {
  ++packets_;
  if (packet.cut) {
    ++cut_;
    return absl::OkStatus();
  }
  PacketInfo info{};
  rte_mbuf* const mbuf = pool_->Make(packet.frame);
  if (mbuf == nullptr) return absl::ResourceExhaustedError("no mbufs are left");
  ParsePacket(*mbuf, {.verify_checksums = !options_.ignore_checksums}, &info);
  rte_pktmbuf_free(mbuf);

  FlowKey key;
  if (info.kind == Kind::kIp) {
    key.family = info.family;
    key.proto = info.proto;
    key.fragment = info.has(kFragment);
    const auto source = std::pair(info.source, info.source_port.host());
    const auto destination =
        std::pair(info.destination, info.destination_port.host());
    const bool turned = destination < source;
    std::tie(key.low, key.low_port) = turned ? destination : source;
    std::tie(key.high, key.high_port) = turned ? source : destination;
    // The two ways of a ping: the identifier is where the sender has it.
    if (info.proto == protocol::kIcmp || info.proto == protocol::kIcmp6) {
      key.low_port = info.source_port.host();
      key.high_port = 0;
    }
  } else {
    key.arrival = static_cast<uint16_t>(packet.port + 1);
  }
  const auto [at, is_new] = flows_.try_emplace(key);
  if (is_new && flows_.size() > kMaxFlows) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxFlows,
                     " flows: compare parts of the captures"));
  }
  Flow& flow = at->second;
  if (is_new) {
    flow.first = info;
    flow.first_packet = packets_;
  }
  ++flow.packets;
  std::array<Fate, 2> fates;
  for (size_t i = 0; i < 2; ++i) {
    if (absl::Status s = Judge(packet, sides_[i]); !s.ok()) return s;
    fates[i] = FateOf(packet, sides_[i]);
    if (fates[i].rule) flow.ruled[i] = fates[i].rule;
    fates[i].rule = flow.ruled[i];
  }
  const bool same = fates[0].passed == fates[1].passed &&
                    fates[0].held == fates[1].held &&
                    fates[0].reason == fates[1].reason &&
                    sides_[0].leaving == sides_[1].leaving;
  if (same) return absl::OkStatus();
  if (++flow.changed_packets > 1) return absl::OkStatus();
  flow.changed_at = packets_;
  flow.fates = fates;
  flow.leaving = {sides_[0].leaving, sides_[1].leaving};
  return absl::OkStatus();
}

absl::Status Comparison::Judge(const SourcedPacket& packet, Side& side) {
  PacketBurst burst;
  burst.mbufs[0] = pool_->Make(packet.frame);
  if (burst.mbufs[0] == nullptr) {
    return absl::ResourceExhaustedError("no mbufs are left");
  }
  burst.count = 1;
  BurstResult result;
  side.verdict = {};
  side.leaving = {};
  side.simulation->Process(packet.port, burst, result);
  const uint16_t onward = side.simulation->peer(packet.port);
  bool first = true;
  side.simulation->Send(packet.port, result, [&](uint16_t port, rte_mbuf* m) {
    // What goes on; answers leave by the port of arrival.
    if (port == onward && std::exchange(first, false)) {
      PacketInfo info{};
      ParsePacket(*m, {.verify_checksums = false}, &info);
      if (info.kind == Kind::kIp) {
        side.leaving = {.family = info.family,
                        .source = info.source,
                        .destination = info.destination,
                        .destination_port = info.destination_port.host()};
      }
    }
    rte_pktmbuf_free(m);
  });
  return absl::OkStatus();
}

Comparison::Fate Comparison::FateOf(const SourcedPacket& packet,
                                    const Side& side) const {
  const PacketVerdict& verdict = side.verdict;
  Fate fate{.passed = verdict.passed,
            .held = verdict.held,
            .reason = verdict.passed || verdict.held ? DropReason::kMatch
                                                     : verdict.reason,
            .rule = {}};
  if (verdict.rule != kNoRule && verdict.judged) {
    const bool out = *verdict.judged == Direction::kOut;
    fate.rule = {.rule_slot = verdict.rule_slot,
                 .out = out,
                 .port = out ? side.simulation->peer(packet.port)
                             : packet.port};
  }
  return fate;
}

}  // namespace sluice
