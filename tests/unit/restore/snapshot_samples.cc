#include "tests/unit/restore/snapshot_samples.h"

#include "conntrack/state.h"
#include "packet/checksum.h"
#include "restore/snapshot_cursor.h"
#include "restore/snapshot_writer.h"

namespace sluice {
namespace {

Prefix PrefixOf(std::string_view text) { return *ParsePrefix(text); }

void Patch32(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) {
    bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }
}

uint32_t Read32(const std::vector<uint8_t>& bytes, size_t at) {
  return SnapshotCursor(std::span(bytes).subspan(at)).Get<uint32_t>();
}

}  // namespace

SnapshotState SampleState(uint64_t id, uint8_t proto, std::string_view from,
                          uint16_t from_port, std::string_view to,
                          uint16_t to_port) {
  SnapshotState state;
  state.id = id;
  state.age = 61'000;
  state.idle = 1'000;
  state.remaining = 59'000;
  state.proto = proto;
  state.timeout = proto == protocol::kTcp   ? Timeout::kTcpEstablished
                  : proto == protocol::kUdp ? Timeout::kUdpMultiple
                                            : Timeout::kOtherMultiple;
  state.peers[0].address = *ParseAddress(from);
  state.peers[0].port = from_port;
  state.peers[1].address = *ParseAddress(to);
  state.peers[1].port = to_port;
  for (SnapshotPeer& peer : state.peers) {
    peer.packets = 10;
    peer.bytes = 4'000;
    peer.phase = 1;
  }
  if (proto == protocol::kTcp) {
    for (SnapshotPeer& peer : state.peers) {
      peer.phase = static_cast<uint8_t>(TcpPhase::kEstablished);
      peer.sequence_low = 0xfffffff0;
      peer.sequence_high = 0x00010000;
      peer.max_window = 65535;
      peer.scale = kScaleKnown | 7;
    }
  }
  state.binding.rule = 0x1122334455667788;
  return state;
}

Snapshot EmptySnapshot() {
  Snapshot snapshot;
  snapshot.header.id[0] = 1;
  snapshot.meta = {.filter = "main", .creator = "sluice-0.1.0"};
  return snapshot;
}

Snapshot TransferSnapshot() {
  Snapshot snapshot = EmptySnapshot();
  snapshot.header.id[0] = 2;
  snapshot.meta.filter = "vm1.eth0";
  SnapshotState request = SampleState(0x101, protocol::kUdp, "10.0.0.2", 5000,
                                      "10.0.0.1", 69);
  request.helper = SnapshotHelper::kTftp;
  SnapshotState data = SampleState(0x201, protocol::kUdp, "10.0.0.1", 3000,
                                   "10.0.0.2", 5000);
  data.direction = Direction::kOut;
  data.parent = request.id;
  snapshot.parents = {request};
  snapshot.children = {data};
  SnapshotState request6 = SampleState(0x301, protocol::kUdp, "2001:db8::2",
                                       5001, "2001:db8::1", 69);
  request6.helper = SnapshotHelper::kTftp;
  snapshot.parents.push_back(request6);
  SnapshotExpectation expectation;
  expectation.parent = request6.id;
  expectation.remaining = 29'000;
  expectation.proto = protocol::kUdp;
  expectation.helper = SnapshotHelper::kTftp;
  expectation.client = request6.peers[0].address;
  expectation.client_port = 5001;
  expectation.server = request6.peers[1].address;
  expectation.binding = request6.binding;
  snapshot.expectations = {expectation};
  return snapshot;
}

Snapshot BoundSnapshot() {
  Snapshot snapshot = TransferSnapshot();
  for (SnapshotState& state : snapshot.parents) state.interface = "em0";
  snapshot.children[0].interface = "em0";
  snapshot.expectations[0].interface = "em1";
  return snapshot;
}

Snapshot FullSnapshot() {
  Snapshot snapshot = TransferSnapshot();
  snapshot.header = {.id = {3, 1, 4, 1, 5},
                     .filter_id = {9, 2, 6},
                     .incarnation = 41,
                     .generation = 17,
                     .policy_hash = 0xfeedfacecafebeef,
                     .wall_time = 1'700'000'000'000'000,
                     .monotonic_time = 123'456'789};
  snapshot.limits = {{0, 100'000}, {4, 200'000}, {256, 120}, {257, 30}};
  snapshot.tables = {
      {.anchor = "", .name = "bad_hosts",
       .flags = kSnapshotTablePersist | kSnapshotTableActive,
       .entries = {{PrefixOf("10.0.0.0/8"), 0, 0},
                   {PrefixOf("10.1.0.0/16"), kSnapshotEntryNegated, 0},
                   {PrefixOf("192.0.2.7"), kSnapshotEntryRunTime, 3},
                   {PrefixOf("2001:db8::/32"), 0, 0}}},
      {.anchor = "ftp-proxy/1.2", .name = "empty",
       .flags = kSnapshotTableConst | kSnapshotTableCounters, .entries = {}}};
  snapshot.rulesets = {
      {.anchor = "",
       .options = {"block-policy return", "skip on { lo0 }"},
       .rules = {{SnapshotRuleKind::kFilter, 11, "block return all"},
                 {SnapshotRuleKind::kFilter, 0x1122334455667788,
                  "pass in proto tcp from any to any port = 80 keep state"},
                 {SnapshotRuleKind::kFilter, 12, "anchor \"ftp-proxy/*\" all"},
                 {SnapshotRuleKind::kEther, 13, "ether pass all"}}},
      {.anchor = "ftp-proxy/1.2",
       .options = {},
       .rules = {{SnapshotRuleKind::kNat, 14,
                  "nat on egress all -> 1.2.3.4"}}}};
  SnapshotState tcp = SampleState(0x401, protocol::kTcp, "10.0.0.2", 40'000,
                                  "198.51.100.1", 80);
  tcp.interface = "em0";
  tcp.log = 1;
  tcp.binding.flags = kSnapshotStateLog | kSnapshotStateSloppy;
  tcp.binding.tag = "WEB";
  tcp.binding.anchor_rule = 12;
  tcp.binding.match_rules = {11, 13};
  tcp.binding.timeouts = {{Timeout::kTcpFirst, 5},
                          {Timeout::kTcpEstablished, 600}};
  SnapshotState echo = SampleState(0x501, protocol::kIcmp6, "2001:db8::2", 77,
                                   "2001:db8::1", 128);
  echo.timeout = Timeout::kIcmpFirst;
  SnapshotState gre = SampleState(0x601, 47, "10.0.0.2", 0, "10.0.0.1", 0);
  snapshot.parents.insert(snapshot.parents.end(), {tcp, echo, gre});
  snapshot.rule_counters = {{.rule = 11, .occurrence = 0, .evaluations = 100,
                             .packets = {1, 2}, .bytes = {60, 120},
                             .states_created = 0},
                            {.rule = 11, .occurrence = 1, .evaluations = 99,
                             .packets = {0, 1}, .bytes = {0, 60},
                             .states_created = 4}};
  snapshot.table_counters = {{.anchor = "", .name = "bad_hosts", .match = 5,
                              .no_match = 6, .packets = {1, 2, 3, 4},
                              .bytes = {10, 20, 30, 40},
                              .cleared_at = 1'700'000'000}};
  return snapshot;
}

SnapshotState OneOfMany(uint32_t i) {
  SnapshotState state =
      SampleState(i + 1, protocol::kTcp,
                  i % 2 == 0 ? "10.0.0.2" : "2001:db8::2",
                  static_cast<uint16_t>(i),
                  i % 2 == 0 ? "10.0.0.1" : "2001:db8::1", 80);
  state.peers[0].address.bytes[1] = static_cast<uint8_t>(i >> 16);
  return state;
}

Snapshot ManyStatesSnapshot(uint32_t count) {
  Snapshot snapshot = EmptySnapshot();
  for (uint32_t i = 0; i < count; ++i) {
    snapshot.parents.push_back(OneOfMany(i));
  }
  return snapshot;
}

Snapshot DialectSnapshot() {
  Snapshot snapshot = EmptySnapshot();
  snapshot.meta.dialect = Dialect::kFreeBsd;
  SnapshotTable& table = snapshot.tables.emplace_back();
  table.name = "__automatic_1f2e3d4c_0";
  table.flags = kSnapshotTableConst | kSnapshotTableActive;
  for (uint8_t host = 1; host <= 6; ++host) {
    table.entries.push_back(
        {.prefix = {.address = Address::V4(0x0a000000u + host),
                    .length = 32}});
  }
  snapshot.rulesets = {
      {.anchor = "",
       .options = {"ruleset-optimization basic", "fail-policy return"},
       .rules = {{SnapshotRuleKind::kFilter, 7, "anchor \"_1\" all"},
                 {SnapshotRuleKind::kFilter, 8,
                  "pass in inet proto tcp from <__automatic_1f2e3d4c_0> to "
                  "any port = 22 flags S/SA keep state"}}},
      {.anchor = "_1",
       .options = {},
       .rules = {{SnapshotRuleKind::kFilter, 9,
                  "block return in proto sctp all"}}}};
  return snapshot;
}

Snapshot ModulatedSnapshot() {
  Snapshot snapshot = EmptySnapshot();
  SnapshotState state = OneOfMany(1);
  state.sequence_offset = {0x12345678, 0xfffffff0};
  snapshot.parents.push_back(state);
  return snapshot;
}

Snapshot NoSyncSnapshot() {
  Snapshot snapshot = ManyStatesSnapshot(2);
  snapshot.parents[1].binding.flags |= kSnapshotStateNoSync;
  return snapshot;
}

Snapshot ActionsSnapshot() {
  Snapshot snapshot = BoundSnapshot();
  PacketActions all;
  all.flags = PacketActions::kClearDontFragment | PacketActions::kRandomId |
              PacketActions::kSetTos | PacketActions::kSetPriority;
  all.min_ttl = 64;
  all.tos = 0xb8;
  all.priority = {2, 6};
  all.max_mss = 1440;
  all.max_packet_size = 1500;
  snapshot.parents[0].binding.actions = all;
  for (SnapshotState& state : snapshot.parents) {
    if (state.proto != protocol::kTcp) continue;
    state.binding.actions.flags |= PacketActions::kScrubTcp;
    TcpScrub& scrub = state.binding.scrub.emplace();
    scrub.peers[0] = {.modulation = 0x12345678,
                      .value = 1000,
                      .echo = 2000,
                      .lowest = 900,
                      .last = 15,
                      .flags = kScrubSeen | kScrubTimestamps | kScrubPaws,
                      .ttl = 64};
    scrub.peers[1].ttl = 63;
  }
  snapshot.expectations[0].binding.actions.max_mss = 1;
  return snapshot;
}

Snapshot TranslatedSnapshot() {
  Snapshot snapshot = ManyStatesSnapshot(2);
  for (SnapshotState& state : snapshot.parents) {
    state.translated = {*ParseAddress(state.family() == Family::kIpv4
                                          ? "192.0.2.7"
                                          : "2001:db9::7"),
                        state.peers[1].address};
    state.translated_port = {50001, state.peers[1].port};
  }
  return snapshot;
}

Snapshot PoolsSnapshot() {
  Snapshot snapshot = TranslatedSnapshot();
  for (SnapshotState& state : snapshot.parents) {
    state.pool_marks = 1 << kStickySource | 1 << kLoadOfTarget;
    state.sticky_rules[0] = 0x1122334455667788;
    state.state_limiter = 255;
    state.source_limiter = state.proto == protocol::kUdp ? 7 : 0;
    if (state.proto == protocol::kUdp) {
      state.pool_marks |= 1 << kMappedInside | 1 << kMappedOutside;
    }
  }
  return snapshot;
}

// With all that a state may have behind the attribute, so that their order is
// seen.
Snapshot LinksSnapshot() {
  Snapshot snapshot = PoolsSnapshot();
  snapshot.parents[0].links = {.mac = {{{2, 0, 0, 0, 0, 1}, {}}},
                               .known = {true, false},
                               .returns = {true, false}};
  snapshot.parents[1].links = {
      .mac = {{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}},
      .known = {true, true}};
  snapshot.parents[1].vlan = VlanId::Of(5, 7);
  return snapshot;
}

Snapshot VlanSnapshot() {
  Snapshot snapshot = TransferSnapshot();
  snapshot.parents[0].vlan = snapshot.children[0].vlan = VlanId::Of(5);
  snapshot.parents[1].vlan = VlanId::Of(7, 4095);
  uint64_t id = 0x401;
  for (const SnapshotState& translated : TranslatedSnapshot().parents) {
    for (const VlanId vlan :
         {VlanId(), VlanId::Of(5), VlanId::Of(5, 7), VlanId::Of(7, 5)}) {
      SnapshotState state = translated;
      state.id = id;
      state.vlan = vlan;
      snapshot.parents.push_back(state);
      id += 0x100;
    }
  }
  return snapshot;
}

// Of all that a state may have, so that attributes stand in their order.
Snapshot MarksSnapshot() {
  Snapshot snapshot = PoolsSnapshot();
  for (SnapshotState& state : snapshot.parents) {
    state.binding.marks = kSnapshotMarkPflow;
    state.vlan = VlanId::Of(5, 7);
    if (state.proto == protocol::kTcp) state.sequence_offset = {1, 2};
  }
  const Snapshot transfer = TransferSnapshot();
  snapshot.parents.insert(snapshot.parents.begin(), transfer.parents.begin(),
                          transfer.parents.end());
  std::ranges::sort(snapshot.parents, {}, &SnapshotState::id);
  snapshot.children = transfer.children;
  snapshot.expectations = transfer.expectations;
  snapshot.expectations[0].binding.marks = kSnapshotMarkPflow;
  return snapshot;
}

Snapshot RoutesSnapshot() {
  Snapshot snapshot = MarksSnapshot();
  const SnapshotRoute routes[] = {
      {.kind = RouteKind::kRouteTo, .gateway = *ParseAddress("192.0.2.1")},
      {.kind = RouteKind::kReplyTo,
       .interface = "em1",
       .gateway = *ParseAddress("2001:db8::9")},
      {.kind = RouteKind::kDupTo, .interface = "wan0"}};
  size_t i = 0;
  for (SnapshotState& state : snapshot.parents) {
    state.binding.route = routes[i++ % 3];
    if (state.pool_marks == 0 || i % 3 == 0) continue;
    state.binding.route->sticky_rule = 0x1122334455667788;
    state.pool_marks |= 1 << kStickyRoute | 1 << kLoadOfRoute;
  }
  snapshot.expectations[0].binding.route = routes[1];
  return snapshot;
}

Snapshot FamiliesSnapshot() {
  Snapshot snapshot = ManyStatesSnapshot(2);
  uint16_t port = 50001;
  for (SnapshotState& state : snapshot.parents) {
    const bool v4 = state.family() == Family::kIpv4;
    state.translated = {*ParseAddress(v4 ? "2001:db9::7" : "192.0.2.7"),
                        *ParseAddress(v4 ? "64:ff9b::a00:1" : "10.0.0.1")};
    state.translated_port = {port++, state.peers[1].port};
  }
  return snapshot;
}

Snapshot LivesSnapshot() {
  Snapshot snapshot = FullSnapshot();
  snapshot.rulesets.at(0).options = {
      "fingerprints \"/etc/pf.os\"",
      "fingerprint \"S44:64:1:60:M*,S,T,N,W*:Linux:5.0-5.19::Linux\""};
  snapshot.rule_counters.at(0).packet_rate = 2500;
  snapshot.rule_counters.at(1).expired = true;
  return snapshot;
}

Snapshot SourcesSnapshot() {
  Snapshot snapshot = FullSnapshot();
  constexpr RuleId kRule = 0x1122334455667788;
  SnapshotSourceNode node;
  node.source = *ParseAddress("10.0.0.2");
  node.remaining = 60'000;
  node.age = 90'000;
  node.packets = 7;
  node.bytes = 700;
  snapshot.source_nodes.push_back(node);
  node.vlan = VlanId::Of(5, 7);
  node.rate = 2'500;
  node.rate_seconds = 10;
  snapshot.source_nodes.push_back(node);
  node.rule = kRule;
  node.vlan = {};
  node.source = *ParseAddress("2001:db8::2");
  node.has_states = true;
  node.remaining = 0;
  snapshot.source_nodes.push_back(node);
  node.has_states = false;
  node.remaining = 1;
  node.rate = node.rate_seconds = 0;
  node.use = SnapshotSourceUse::kNat;
  node.source = *ParseAddress("10.0.0.2");
  node.target = *ParseAddress("192.0.2.7");
  snapshot.source_nodes.push_back(node);
  node.source = *ParseAddress("2001:db8::2");
  node.target = *ParseAddress("2001:db9::7");
  snapshot.source_nodes.push_back(node);
  node.use = SnapshotSourceUse::kRedirect;
  snapshot.source_nodes.push_back(node);
  node.use = SnapshotSourceUse::kRoute;
  node.source = *ParseAddress("10.0.0.2");
  snapshot.source_nodes.push_back(node);
  return snapshot;
}

Snapshot HelpersSnapshot() {
  Snapshot snapshot = TransferSnapshot();
  uint64_t id = 0x1001;
  for (const bool v4 : {true, false}) {
    const std::string_view client = v4 ? "10.0.0.2" : "2001:db8::2";
    const std::string_view server = v4 ? "10.0.0.1" : "2001:db8::1";
    const Address outside = *ParseAddress(v4 ? "192.0.2.7" : "2001:db9::7");
    SnapshotState control =
        SampleState(id, protocol::kTcp, client, 1025, server, 21);
    SnapshotExpectation data;
    data.parent = id;
    data.remaining = 20'000;
    data.proto = protocol::kTcp;
    data.helper = SnapshotHelper::kFtp;
    data.client = control.peers[1].address;
    data.server = control.peers[0].address;
    data.client_port = 3000;
    data.binding = control.binding;
    snapshot.parents.push_back(control);
    snapshot.expectations.push_back(data);
    data.direction = Direction::kOut;
    std::swap(data.client, data.server);
    data.interface = "em0";
    snapshot.expectations.push_back(data);
    id += 0x100;
    control.id = data.parent = id;
    ++control.peers[0].port;
    control.direction = Direction::kOut;
    control.translated = {outside, control.peers[1].address};
    control.translated_port = {6000, 21};
    data.direction = Direction::kIn;
    data.interface.clear();
    data.client = outside;
    data.client_port = 2049;
    data.port_behind = 2048;
    snapshot.parents.push_back(control);
    snapshot.expectations.push_back(data);
    id += 0x100;
    const SnapshotState association =
        SampleState(id, protocol::kSctp, client, 1, server, 80);
    snapshot.parents.push_back(association);
    snapshot.parents.back().timeout = Timeout::kSctpEstablished;
    SnapshotExpectation path;
    path.parent = id;
    path.remaining = 100'000;
    path.proto = protocol::kSctp;
    path.helper = SnapshotHelper::kSctp;
    path.client = outside;
    path.server = association.peers[1].address;
    path.client_port = 1;
    path.server_port = 80;
    path.tag = {17, 0xffffffff};
    snapshot.expectations.push_back(path);
    id += 0x100;
  }
  return snapshot;
}

// FTP's and SCTP's children, made both ways, and one whose parent is translated.
Snapshot FlowChildrenSnapshot() {
  Snapshot snapshot = HelpersSnapshot();
  uint64_t id = 0x10001;
  std::vector<SnapshotState> children;
  for (const SnapshotExpectation& expectation : snapshot.expectations) {
    if (expectation.helper == SnapshotHelper::kTftp) continue;
    const SnapshotState& parent = *std::ranges::find(
        snapshot.parents, expectation.parent, &SnapshotState::id);
    const bool sctp = expectation.helper == SnapshotHelper::kSctp;
    SnapshotState child = parent;
    child.id = id;
    child.parent = parent.id;
    child.direction = expectation.direction;
    child.peers[0].address =
        sctp ? expectation.client : expectation.server;
    child.peers[1].address =
        sctp ? expectation.server : expectation.client;
    child.peers[0].port = sctp ? expectation.client_port : uint16_t{20};
    child.peers[1].port =
        sctp ? expectation.server_port : expectation.client_port;
    if (parent.is_translated()) {
      child.translated = {parent.peers[1].address, parent.peers[0].address};
      child.translated_port = {20, expectation.port_behind};
    }
    children.push_back(child);
    id += 0x100;
  }
  snapshot.parents.insert(snapshot.parents.end(), children.begin(),
                          children.end());
  return snapshot;
}

std::vector<NamedSnapshot> GoldenSnapshots() {
  return {{"empty", EmptySnapshot()},
          {"full", FullSnapshot()},
          {"transfer", TransferSnapshot()},
          {"states", ManyStatesSnapshot(16)},
          {"bound", BoundSnapshot(), 1},
          {"dialect", DialectSnapshot(), 2},
          {"no-sync", NoSyncSnapshot(), 3},
          {"translated", TranslatedSnapshot(), 4},
          {"pools", PoolsSnapshot(), 5},
          {"links", LinksSnapshot(), 6},
          {"actions", ActionsSnapshot(), 4},
          {"modulated", ModulatedSnapshot(), 4},
          {"vlans", VlanSnapshot(), 5},
          {"marks", MarksSnapshot(), 6},
          {"routes", RoutesSnapshot(), 7},
          {"families", FamiliesSnapshot(), 5},
          {"lives", LivesSnapshot(), 6},
          {"sources", SourcesSnapshot(), 7},
          {"helpers", HelpersSnapshot(), 7},
          {"flow-children", FlowChildrenSnapshot(), 8}};
}

std::vector<uint8_t> WriteUnchecked(const Snapshot& snapshot) {
  SnapshotWriter writer(snapshot.header);
  const auto section = [&writer](SectionKind kind, const auto& values) {
    writer.Begin(kind);
    for (const auto& value : values) writer.Add(value);
    writer.End();
  };
  section(SectionKind::kMeta, std::vector{snapshot.meta});
  section(SectionKind::kLimits, snapshot.limits);
  section(SectionKind::kTables, snapshot.tables);
  section(SectionKind::kRules, snapshot.rulesets);
  section(SectionKind::kParentStates, snapshot.parents);
  section(SectionKind::kChildStates, snapshot.children);
  section(SectionKind::kExpectations, snapshot.expectations);
  if (!snapshot.source_nodes.empty()) {
    section(SectionKind::kSourceNodes, snapshot.source_nodes);
  }
  writer.Begin(SectionKind::kCounters);
  for (const auto& counters : snapshot.rule_counters) writer.Add(counters);
  for (const auto& counters : snapshot.table_counters) writer.Add(counters);
  writer.End();
  return writer.Finish();
}

void FixSnapshot(std::vector<uint8_t>& bytes) {
  if (bytes.size() < kSnapshotHeaderBytes + kTlvHeaderBytes + kEndBytes) {
    return;
  }
  size_t at = SnapshotCursor(std::span(bytes).subspan(12)).Get<uint16_t>();
  if (at < kSnapshotHeaderBytes) at = kSnapshotHeaderBytes;
  const size_t end = bytes.size() - kTlvHeaderBytes - kEndBytes;
  while (at + kTlvHeaderBytes + kSectionHeadBytes + kSectionTailBytes <= end) {
    const uint64_t length = Read32(bytes, at + 4);
    const uint64_t next = at + kTlvHeaderBytes + PaddedBytes(length);
    if (next > end || length < kSectionHeadBytes + kSectionTailBytes) break;
    const size_t covered = kTlvHeaderBytes + length - kSectionTailBytes;
    Patch32(bytes, at + covered,
            ~Crc32c(0xffffffff, bytes.data() + at, covered));
    at = next;
  }
  FinishSnapshot(bytes, Read32(bytes, 20));
}

}  // namespace sluice
