#include "restore/snapshot_writer.h"

#include <utility>

#include "packet/checksum.h"

namespace sluice {
namespace {

// What all expectations begin with.
void PutHead(SnapshotBytes& out, const SnapshotExpectation& expectation) {
  out.Put(expectation.parent);
  out.Put(expectation.binding.rule);
  out.Put(expectation.remaining);
  out.Put(expectation.binding.flags);
  out.Put(static_cast<uint8_t>(expectation.client.family));
  out.Put(expectation.proto);
  out.Put(static_cast<uint8_t>(expectation.helper));
}

// Counts the attributes, which stand behind the fixed part of a record.
uint16_t PutBinding(SnapshotBytes& out, const SnapshotBinding& binding) {
  uint16_t count = 0;
  const auto begin = [&out, &count](AttributeType type) {
    ++count;
    return out.BeginTlv(static_cast<uint16_t>(type));
  };
  if (!binding.tag.empty()) {
    const size_t at = begin(AttributeType::kTag);
    out.PutBytes(binding.tag.data(), binding.tag.size());
    out.EndTlv(at);
  }
  if (binding.anchor_rule != 0) {
    const size_t at = begin(AttributeType::kAnchorRule);
    out.Put(binding.anchor_rule);
    out.EndTlv(at);
  }
  if (!binding.match_rules.empty()) {
    const size_t at = begin(AttributeType::kMatchRules);
    for (const RuleId id : binding.match_rules) out.Put(id);
    out.EndTlv(at);
  }
  if (!binding.timeouts.empty()) {
    const size_t at = begin(AttributeType::kTimeouts);
    for (const SnapshotTimeout& timeout : binding.timeouts) {
      out.Put(static_cast<uint32_t>(timeout.timeout));
      out.Put(timeout.value);
    }
    out.EndTlv(at);
  }
  if (!binding.actions.empty()) {
    const PacketActions& actions = binding.actions;
    const size_t at = begin(AttributeType::kActions);
    out.Put(actions.flags);
    out.Put(actions.min_ttl);
    out.Put(actions.tos);
    for (const uint8_t priority : actions.priority) out.Put(priority);
    out.Put(actions.reserved);
    out.Put(actions.max_mss);
    out.Put(actions.max_packet_size);
    out.EndTlv(at);
  }
  if (binding.scrub) {
    const size_t at = begin(AttributeType::kTcpScrub);
    for (const TcpScrubPeer& peer : binding.scrub->peers) {
      out.Put(peer.modulation);
      out.Put(peer.value);
      out.Put(peer.echo);
      out.Put(peer.lowest);
      out.Put(uint32_t{peer.last});
      out.Put(peer.flags);
      out.Put(peer.ttl);
      out.Put(uint16_t{0});
    }
    out.EndTlv(at);
  }
  return count;
}

// Of the first attribute; none if the name is empty.
uint16_t PutInterface(SnapshotBytes& out, const std::string& name) {
  if (name.empty()) return 0;
  const size_t at =
      out.BeginTlv(static_cast<uint16_t>(AttributeType::kInterface));
  out.PutBytes(name.data(), name.size());
  out.EndTlv(at);
  return 1;
}

// None if nothing is known of its hosts' links.
uint16_t PutLinks(SnapshotBytes& out, const SnapshotState& state) {
  if (!state.links.any()) return 0;
  const size_t at = out.BeginTlv(static_cast<uint16_t>(AttributeType::kLinks));
  uint8_t known = 0, returns = 0;
  for (size_t peer = 0; peer < 2; ++peer) {
    known = static_cast<uint8_t>(known | state.links.known[peer] << peer);
    returns = static_cast<uint8_t>(returns | state.links.returns[peer] << peer);
  }
  out.Put(known);
  out.Put(returns);
  out.Put(uint16_t{0});
  for (const MacAddress& mac : state.links.mac) {
    out.PutBytes(mac.data(), mac.size());
  }
  out.EndTlv(at);
  return 1;
}

// None without any.
uint16_t PutMarks(SnapshotBytes& out, const SnapshotBinding& binding) {
  if (binding.marks == 0) return 0;
  const size_t at = out.BeginTlv(static_cast<uint16_t>(AttributeType::kMarks));
  out.Put(binding.marks);
  out.EndTlv(at);
  return 1;
}

// None if the routes say where it goes.
uint16_t PutRoute(SnapshotBytes& out, const SnapshotBinding& binding) {
  if (!binding.route) return 0;
  const SnapshotRoute& route = *binding.route;
  const size_t at = out.BeginTlv(static_cast<uint16_t>(AttributeType::kRoute));
  out.Put(static_cast<uint8_t>(route.kind));
  out.Put(static_cast<uint8_t>(route.gateway.family));
  for (int i = 0; i < 6; ++i) out.Put(uint8_t{0});
  out.Put(route.sticky_rule);
  out.PutAddress(route.gateway);
  out.PutBytes(route.interface.data(), route.interface.size());
  out.EndTlv(at);
  return 1;
}

// None if the state is not translated.
uint16_t PutTranslation(SnapshotBytes& out, const SnapshotState& state) {
  if (!state.is_translated()) return 0;
  const size_t at =
      out.BeginTlv(static_cast<uint16_t>(AttributeType::kTranslation));
  out.Put(static_cast<uint8_t>(state.translated[0].family));
  out.Put(uint8_t{0});
  for (const uint16_t port : state.translated_port) out.Put(port);
  out.Put(uint16_t{0});
  for (const Address& address : state.translated) out.PutAddress(address);
  out.EndTlv(at);
  return 1;
}

// None if no pool keeps anything of it.
uint16_t PutPools(SnapshotBytes& out, const SnapshotState& state) {
  if (state.pool_marks == 0) return 0;
  const size_t at = out.BeginTlv(static_cast<uint16_t>(AttributeType::kPools));
  out.Put(state.pool_marks);
  for (int i = 0; i < 7; ++i) out.Put(uint8_t{0});
  for (const RuleId rule : state.sticky_rules) out.Put(rule);
  out.EndTlv(at);
  return 1;
}

uint16_t PutLimiters(SnapshotBytes& out, const SnapshotState& state) {
  if ((state.state_limiter | state.source_limiter) == 0) return 0;
  const size_t at =
      out.BeginTlv(static_cast<uint16_t>(AttributeType::kLimiters));
  out.Put(state.state_limiter);
  out.Put(state.source_limiter);
  out.EndTlv(at);
  return 1;
}

// A child that stands among those without a parent says whose it is.
bool NamesParent(const SnapshotState& state) {
  return state.parent != 0 && state.proto != protocol::kUdp;
}

uint16_t PutParent(SnapshotBytes& out, const SnapshotState& state) {
  if (!NamesParent(state)) return 0;
  const size_t at = out.BeginTlv(static_cast<uint16_t>(AttributeType::kParent));
  out.Put(state.parent);
  out.EndTlv(at);
  return 1;
}

void PutPeer(SnapshotBytes& out, const SnapshotPeer& peer) {
  out.Put(peer.packets);
  out.Put(peer.bytes);
  out.Put(peer.sequence_low);
  out.Put(peer.sequence_high);
  out.Put(peer.max_window);
  out.Put(peer.port);
  out.Put(peer.phase);
  out.Put(peer.scale);
  out.Put(uint16_t{0});
}

}  // namespace

size_t SnapshotBytes::BeginTlv(uint16_t type) {
  const size_t begin = size();
  Put(type);
  Put(kRecordVersion);
  Put(uint8_t{0});   // flags
  Put(uint32_t{0});  // the length
  return begin;
}

void SnapshotBytes::EndTlv(size_t begin) {
  const size_t length = size() - begin - kTlvHeaderBytes;
  Patch32(begin + 4, static_cast<uint32_t>(length));
  bytes_.resize(begin + kTlvHeaderBytes + PaddedBytes(length));
}

void SnapshotBytes::Patch32(size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) {
    bytes_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }
}

SnapshotWriter::SnapshotWriter(const SnapshotHeader& header) {
  out_.PutBytes(kSnapshotMagic.data(), kSnapshotMagic.size());
  out_.Put(kSnapshotMajor);
  out_.Put(kSnapshotMinor);
  out_.Put(static_cast<uint16_t>(kSnapshotHeaderBytes));
  out_.Put(uint16_t{0});  // upper bits of the length, known at the end
  out_.Put(uint32_t{0});  // the others
  out_.Put(uint32_t{0});  // sections, too
  out_.PutBytes(header.id.data(), header.id.size());
  out_.PutBytes(header.filter_id.data(), header.filter_id.size());
  out_.Put(header.generation);
  out_.Put(header.policy_hash);
  out_.Put(header.wall_time);
  out_.Put(header.monotonic_time);
  out_.Put(header.incarnation);
  out_.Put(uint32_t{0});  // CRC32C
}

void SnapshotWriter::Begin(SectionKind kind) {
  section_ = out_.BeginTlv(static_cast<uint16_t>(kind));
  out_.Put(uint32_t{0});  // records
  out_.Put(uint32_t{0});  // bytes
  section_records_ = 0;
}

void SnapshotWriter::End() {
  const size_t records = section_ + kTlvHeaderBytes + kSectionHeadBytes;
  const size_t bytes = out_.size() - records;
  out_.Patch32(section_ + kTlvHeaderBytes, section_records_);
  out_.Patch32(section_ + kTlvHeaderBytes + 4, static_cast<uint32_t>(bytes));
  // The length is covered by the checksum, so it is set first.
  out_.Patch32(section_ + 4, static_cast<uint32_t>(kSectionHeadBytes + bytes +
                                                   kSectionTailBytes));
  out_.Put(~Crc32c(0xffffffff, out_.bytes().data() + section_,
                   out_.size() - section_));
  out_.EndTlv(section_);
  ++sections_;
  records_ += section_records_;
}

size_t SnapshotWriter::BeginRecord(RecordType type) {
  ++section_records_;
  return out_.BeginTlv(static_cast<uint16_t>(type));
}

void SnapshotWriter::EndRecord(size_t begin) { out_.EndTlv(begin); }

void SnapshotWriter::AddRaw(uint16_t type, std::string_view value) {
  ++section_records_;
  const size_t at = out_.BeginTlv(type);
  out_.PutBytes(value.data(), value.size());
  out_.EndTlv(at);
}

void SnapshotWriter::Add(const SnapshotMeta& meta) {
  const size_t at = BeginRecord(RecordType::kMeta);
  out_.PutString(meta.filter);
  out_.PutString(meta.creator);
  EndRecord(at);
  if (!meta.dialect) return;
  const size_t dialect = BeginRecord(RecordType::kDialect);
  out_.Put(static_cast<uint8_t>(*meta.dialect));
  EndRecord(dialect);
}

void SnapshotWriter::Add(const SnapshotLimit& limit) {
  const size_t at = BeginRecord(RecordType::kLimit);
  out_.Put(limit.code);
  out_.Put(uint16_t{0});
  out_.Put(limit.value);
  EndRecord(at);
}

void SnapshotWriter::Add(const SnapshotTable& table) {
  const size_t at = BeginRecord(RecordType::kTable);
  out_.Put(static_cast<uint32_t>(table.entries.size()));
  out_.Put(table.flags);
  out_.PutString(table.anchor);
  out_.PutString(table.name);
  EndRecord(at);
  for (const SnapshotTableEntry& entry : table.entries) {
    const size_t one = BeginRecord(RecordType::kTableEntry);
    out_.Put(static_cast<uint8_t>(entry.prefix.address.family));
    out_.Put(entry.prefix.length);
    out_.Put(entry.flags);
    out_.Put(uint8_t{0});
    out_.Put(entry.weight);
    out_.PutAddress(entry.prefix.address);
    EndRecord(one);
  }
}

void SnapshotWriter::Add(const SnapshotRuleset& ruleset) {
  const size_t at = BeginRecord(RecordType::kRuleset);
  out_.Put(static_cast<uint32_t>(ruleset.options.size()));
  out_.Put(static_cast<uint32_t>(ruleset.rules.size()));
  out_.PutString(ruleset.anchor);
  EndRecord(at);
  for (const std::string& option : ruleset.options) {
    const size_t one = BeginRecord(RecordType::kOption);
    out_.PutString(option);
    EndRecord(one);
  }
  for (const SnapshotRule& rule : ruleset.rules) {
    const size_t one = BeginRecord(RecordType::kRule);
    out_.Put(rule.id);
    out_.Put(static_cast<uint16_t>(rule.kind));
    out_.PutString(rule.text);
    EndRecord(one);
  }
}

void PutState(SnapshotBytes& out, const SnapshotState& state) {
  const size_t at = out.BeginTlv(static_cast<uint16_t>(RecordType::kState));
  out.Put(state.id);
  out.Put(NamesParent(state) ? uint64_t{0} : state.parent);
  out.Put(state.binding.rule);
  out.Put(state.age);
  out.Put(state.remaining);
  out.Put(state.idle);
  out.Put(state.binding.flags);
  out.Put(static_cast<uint8_t>(state.family()));
  out.Put(state.proto);
  out.Put(static_cast<uint8_t>(state.direction));
  out.Put(static_cast<uint8_t>(state.timeout));
  out.Put(static_cast<uint8_t>(state.helper));
  out.Put(state.log);
  const size_t attributes = out.size();
  out.Put(uint16_t{0});
  for (const SnapshotPeer& peer : state.peers) PutPeer(out, peer);
  for (const SnapshotPeer& peer : state.peers) out.PutAddress(peer.address);
  uint16_t count = PutInterface(out, state.interface);
  count = static_cast<uint16_t>(count + PutBinding(out, state.binding));
  if ((state.sequence_offset[0] | state.sequence_offset[1]) != 0) {
    const size_t sequence =
        out.BeginTlv(static_cast<uint16_t>(AttributeType::kSequence));
    for (const uint32_t offset : state.sequence_offset) out.Put(offset);
    out.EndTlv(sequence);
    ++count;
  }
  count = static_cast<uint16_t>(count + PutTranslation(out, state));
  if (state.vlan.IsSet()) {
    const size_t vlan =
        out.BeginTlv(static_cast<uint16_t>(AttributeType::kVlan));
    out.Put(state.vlan.outer());
    out.Put(state.vlan.inner());
    out.EndTlv(vlan);
    ++count;
  }
  count = static_cast<uint16_t>(count + PutLinks(out, state));
  count = static_cast<uint16_t>(count + PutMarks(out, state.binding));
  count = static_cast<uint16_t>(count + PutRoute(out, state.binding));
  count = static_cast<uint16_t>(count + PutPools(out, state));
  count = static_cast<uint16_t>(count + PutLimiters(out, state));
  // The last one (SnapshotStates takes it away).
  count = static_cast<uint16_t>(count + PutParent(out, state));
  out.bytes()[attributes] = static_cast<uint8_t>(count);
  out.EndTlv(at);
}

void SnapshotWriter::Add(const SnapshotState& state) {
  ++section_records_;
  PutState(out_, state);
}

void SnapshotWriter::AddFlow(const SnapshotExpectation& expectation) {
  const size_t at = BeginRecord(RecordType::kExpectedFlow);
  PutHead(out_, expectation);
  out_.Put(static_cast<uint8_t>(expectation.direction));
  out_.Put(expectation.client_port);
  out_.Put(expectation.server_port);
  out_.Put(expectation.port_behind);
  const size_t attributes = out_.size();
  out_.Put(uint16_t{0});
  for (const uint32_t tag : expectation.tag) out_.Put(tag);
  PutEndOf(expectation, attributes);
  EndRecord(at);
}

// The addresses, and what stands behind them.
void SnapshotWriter::PutEndOf(const SnapshotExpectation& expectation,
                              size_t attributes) {
  out_.PutAddress(expectation.client);
  out_.PutAddress(expectation.server);
  uint16_t count = PutInterface(out_, expectation.interface);
  count = static_cast<uint16_t>(count + PutBinding(out_, expectation.binding));
  count = static_cast<uint16_t>(count + PutMarks(out_, expectation.binding));
  count = static_cast<uint16_t>(count + PutRoute(out_, expectation.binding));
  out_.bytes()[attributes] = static_cast<uint8_t>(count);
}

void SnapshotWriter::Add(const SnapshotExpectation& expectation) {
  if (expectation.helper != SnapshotHelper::kTftp) return AddFlow(expectation);
  const size_t at = BeginRecord(RecordType::kExpectation);
  PutHead(out_, expectation);
  out_.Put(uint8_t{0});
  out_.Put(expectation.client_port);
  const size_t attributes = out_.size();
  out_.Put(uint16_t{0});
  PutEndOf(expectation, attributes);
  EndRecord(at);
}

void SnapshotWriter::Add(const SnapshotSourceNode& node) {
  const size_t at = BeginRecord(RecordType::kSourceNode);
  const bool has_target = node.target.family != Family::kNone;
  out_.Put(node.rule);
  out_.Put(node.remaining);
  out_.Put(node.age);
  out_.Put(node.packets);
  out_.Put(node.bytes);
  out_.Put(node.vlan.outer());
  out_.Put(node.vlan.inner());
  out_.Put(static_cast<uint8_t>(node.source.family));
  out_.Put(static_cast<uint8_t>(node.use));
  out_.Put(uint8_t{node.has_states});
  out_.Put(static_cast<uint8_t>(has_target + (node.rate != 0)));
  out_.PutAddress(node.source);
  if (has_target) {
    const size_t target =
        out_.BeginTlv(static_cast<uint16_t>(AttributeType::kPoolTarget));
    out_.PutAddress(node.target);
    out_.EndTlv(target);
  }
  if (node.rate != 0) {
    const size_t rate =
        out_.BeginTlv(static_cast<uint16_t>(AttributeType::kRate));
    out_.Put(node.rate);
    out_.Put(node.rate_seconds);
    out_.EndTlv(rate);
  }
  EndRecord(at);
}

void SnapshotWriter::Add(const SnapshotRuleCounters& counters) {
  const size_t at = BeginRecord(RecordType::kRuleCounters);
  out_.Put(counters.rule);
  out_.Put(counters.occurrence);
  out_.Put(uint32_t{0});
  out_.Put(counters.evaluations);
  for (const uint64_t value : counters.packets) out_.Put(value);
  for (const uint64_t value : counters.bytes) out_.Put(value);
  out_.Put(counters.states_created);
  if (counters.packet_rate != 0 || counters.expired) {
    out_.Put(counters.packet_rate);
    out_.Put(uint32_t{counters.expired});
  }
  EndRecord(at);
}

void SnapshotWriter::Add(const SnapshotTableCounters& counters) {
  const size_t at = BeginRecord(RecordType::kTableCounters);
  out_.Put(counters.match);
  out_.Put(counters.no_match);
  for (const uint64_t value : counters.packets) out_.Put(value);
  for (const uint64_t value : counters.bytes) out_.Put(value);
  out_.Put(counters.cleared_at);
  out_.PutString(counters.anchor);
  out_.PutString(counters.name);
  EndRecord(at);
}

std::vector<uint8_t> SnapshotWriter::Finish() {
  const size_t at = out_.BeginTlv(static_cast<uint16_t>(SectionKind::kEnd));
  out_.Put(static_cast<uint32_t>(DigestAlgorithm::kSha256));
  out_.Put(sections_);
  out_.Put(records_);
  const size_t digest_at = out_.size();
  out_.bytes().resize(digest_at + kDigestBytes);
  out_.EndTlv(at);
  // Everything but the digest is in its place now.
  std::vector<uint8_t> bytes = std::move(out_.bytes());
  FinishSnapshot(bytes, sections_ + 1);
  return bytes;
}

}  // namespace sluice
