#include "dataplane/packetlog/flow_messages.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "packet/family.h"

namespace sluice {
namespace {

constexpr size_t kIpfixHeader = 16;
constexpr size_t kNetflowHeader = 24;
constexpr uint16_t kTemplateSet = 2;

void Put8(std::string* out, uint8_t value) {
  out->push_back(static_cast<char>(value));
}
void Put16(std::string* out, uint16_t value) {
  Put8(out, static_cast<uint8_t>(value >> 8));
  Put8(out, static_cast<uint8_t>(value));
}
void Put32(std::string* out, uint32_t value) {
  Put16(out, static_cast<uint16_t>(value >> 16));
  Put16(out, static_cast<uint16_t>(value));
}
void Put64(std::string* out, uint64_t value) {
  Put32(out, static_cast<uint32_t>(value >> 32));
  Put32(out, static_cast<uint32_t>(value));
}
void PutAddress(std::string* out, const Address& address) {
  out->append(reinterpret_cast<const char*>(address.bytes.data()),
              address.family == Family::kIpv4 ? 4 : 16);
}
void Patch16(std::string* out, size_t at, uint16_t value) {
  (*out)[at] = static_cast<char>(value >> 8);
  (*out)[at + 1] = static_cast<char>(value);
}
void Patch32(std::string* out, size_t at, uint32_t value) {
  Patch16(out, at, static_cast<uint16_t>(value >> 16));
  Patch16(out, at + 2, static_cast<uint16_t>(value));
}

// One way of a state: its ends as its packets have them when they come, and
// what a translation makes of them.
struct Way {
  Address source, destination;
  Address source_after{}, destination_after{};  // kNone: no translation
  uint16_t source_port = 0, destination_port = 0;
  uint16_t source_port_after = 0, destination_port_after = 0;
  uint8_t proto = 0;
};

Way WayOf(const FlowRecord& record, size_t from) {
  const size_t to = from ^ 1;
  Way way = {.source = record.address[from],
             .destination = record.address[to],
             .source_after = {},
             .destination_after = {},
             .source_port = record.port[from],
             .destination_port = record.port[to],
             .proto = record.proto};
  if (!record.is_translated()) return way;
  way.source_after = record.translated[from];
  way.destination_after = record.translated[to];
  way.source_port_after = record.translated_port[from];
  way.destination_port_after = record.translated_port[to];
  if (from == 0) return way;
  // Answers come to the translation from its other side.
  if (way.source_after.family != way.source.family) {
    way.proto = ProtocolAcross(record.proto);
  }
  std::swap(way.source, way.source_after);
  std::swap(way.destination, way.destination_after);
  std::swap(way.source_port, way.source_port_after);
  std::swap(way.destination_port, way.destination_port_after);
  return way;
}

// Elements of IANA's registry of IPFIX information elements.
struct Element {
  uint16_t id;
  uint16_t length;
};
constexpr std::array<Element, 2> kEnds4 = {{{8, 4}, {12, 4}}};
constexpr std::array<Element, 2> kEnds6 = {{{27, 16}, {28, 16}}};
// What a flow of either family has beside its addresses, in Put()'s order.
constexpr std::array<Element, 14> kRest = {{
    {7, 2},     // sourceTransportPort
    {11, 2},    // destinationTransportPort
    {4, 1},     // protocolIdentifier
    {5, 1},     // ipClassOfService
    {136, 1},   // flowEndReason
    {61, 1},    // flowDirection
    {58, 2},    // vlanId
    {10, 4},    // ingressInterface
    {14, 4},    // egressInterface
    {2, 8},     // packetDeltaCount
    {1, 8},     // octetDeltaCount
    {152, 8},   // flowStartMilliseconds
    {153, 8},   // flowEndMilliseconds
    {148, 8},   // flowId: the state's id, of both ways
}};
constexpr std::array<Element, 2> kAfter4 = {{{225, 4}, {226, 4}}};
constexpr std::array<Element, 2> kAfter6 = {{{281, 16}, {282, 16}}};
constexpr std::array<Element, 2> kAfterPorts = {{{227, 2}, {228, 2}}};

uint16_t TemplateOf(Family family, Family after) {
  const uint16_t which = after == Family::kNone   ? 0
                         : after == Family::kIpv4 ? 1
                                                  : 2;
  return static_cast<uint16_t>(kFirstFlowTemplate +
                               (family == Family::kIpv4 ? 0 : 3) + which);
}

constexpr size_t BytesOf(uint16_t id) {
  const size_t which = (id - kFirstFlowTemplate) % 3;
  size_t bytes = id < kFirstFlowTemplate + 3 ? 8 : 32;
  for (const Element& element : kRest) bytes += element.length;
  if (which != 0) bytes += (which == 1 ? 8 : 32) + 4;
  return bytes;
}

void PutTemplate(std::string* out, Family family, Family after) {
  Put16(out, TemplateOf(family, after));
  const size_t count_at = out->size();
  Put16(out, 0);
  uint16_t count = 0;
  const auto put = [&](const auto& elements) {
    for (const Element& element : elements) {
      Put16(out, element.id);
      Put16(out, element.length);
      ++count;
    }
  };
  put(family == Family::kIpv4 ? kEnds4 : kEnds6);
  put(kRest);
  if (after != Family::kNone) {
    put(after == Family::kIpv4 ? kAfter4 : kAfter6);
    put(kAfterPorts);
  }
  Patch16(out, count_at, count);
}

// flowEndReason of RFC 5102, 5.11.3.
uint8_t ReasonOf(FlowEnd end) {
  switch (end) {
    case FlowEnd::kTimeout: return 1;
    case FlowEnd::kFinished:
    case FlowEnd::kReset: return 3;
    default: return 4;  // forced
  }
}

uint32_t Saturated(uint64_t value) {
  return static_cast<uint32_t>(
      std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

// The way of `from` goes in at the state's port if the first packet did.
bool GoesIn(const FlowRecord& record, size_t from) {
  return (record.direction == Direction::kIn) == (from == 0);
}

}  // namespace

// ---- IPFIX -----------------------------------------------------------------

void IpfixMessages::Add(const FlowRecord& record, const FlowTime& time) {
  Put(record, 0, time);
  if (record.packets[1] != 0) Put(record, 1, time);
}

void IpfixMessages::PutTemplates() {
  EndSet();
  const size_t set = message_.size();
  Put16(&message_, kTemplateSet);
  Put16(&message_, 0);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    for (const Family after : {Family::kNone, Family::kIpv4, Family::kIpv6}) {
      PutTemplate(&message_, family, after);
    }
  }
  Patch16(&message_, set + 2, static_cast<uint16_t>(message_.size() - set));
}

void IpfixMessages::EndSet() {
  if (set_ == 0) return;
  Patch16(&message_, set_ + 2, static_cast<uint16_t>(message_.size() - set_));
  set_ = 0;
}

void IpfixMessages::Put(const FlowRecord& record, size_t from,
                        const FlowTime& time) {
  const Way way = WayOf(record, from);
  const uint16_t id = TemplateOf(way.source.family, way.source_after.family);
  constexpr size_t kSetHeader = 4;
  if (message_.size() + kSetHeader + BytesOf(id) > kFlowDatagram) Flush(time);
  if (message_.empty()) {
    message_.assign(kIpfixHeader, '\0');
    if (templates_at_ == 0 ||
        time.wall - templates_at_ >= kTemplateInterval) {
      PutTemplates();
      templates_at_ = time.wall;
    }
  }
  if (set_ == 0 || template_ != id) {
    EndSet();
    set_ = message_.size();
    template_ = id;
    Put16(&message_, id);
    Put16(&message_, 0);
  }
  PutAddress(&message_, way.source);
  PutAddress(&message_, way.destination);
  Put16(&message_, way.source_port);
  Put16(&message_, way.destination_port);
  Put8(&message_, way.proto);
  Put8(&message_, 0);
  Put8(&message_, ReasonOf(record.end));
  const bool in = GoesIn(record, from);
  Put8(&message_, in ? 0 : 1);
  Put16(&message_, record.vlan.outer());
  Put32(&message_, in ? record.interface : 0);
  Put32(&message_, in ? 0 : record.interface);
  Put64(&message_, record.packets[from]);
  Put64(&message_, record.bytes[from]);
  Put64(&message_, time.WallOf(record.created));
  Put64(&message_, time.WallOf(record.last_seen));
  Put64(&message_, record.id);
  if (way.source_after.family != Family::kNone) {
    PutAddress(&message_, way.source_after);
    PutAddress(&message_, way.destination_after);
    Put16(&message_, way.source_port_after);
    Put16(&message_, way.destination_port_after);
  }
  ++flows_;
}

void IpfixMessages::Flush(const FlowTime& time) {
  if (message_.empty()) return;
  EndSet();
  Patch16(&message_, 0, 10);
  Patch16(&message_, 2, static_cast<uint16_t>(message_.size()));
  Patch32(&message_, 4, static_cast<uint32_t>(time.wall / 1'000'000));
  Patch32(&message_, 8, sequence_);
  Patch32(&message_, 12, domain_);
  send_(message_, flows_);
  sequence_ += flows_;
  flows_ = 0;
  message_.clear();
}

// ---- NetFlow 5 -------------------------------------------------------------

void NetflowMessages::Add(const FlowRecord& record, const FlowTime& time) {
  Pass(time.now);
  for (const size_t from : {size_t{0}, size_t{1}}) {
    if (from == 1 && record.packets[1] == 0) continue;
    const Way way = WayOf(record, from);
    if (way.source.family != Family::kIpv4) {
      ++unfit_;
      continue;
    }
    if (message_.empty()) message_.assign(kNetflowHeader, '\0');
    const bool in = GoesIn(record, from);
    PutAddress(&message_, way.source);
    PutAddress(&message_, way.destination);
    Put32(&message_, 0);  // next hop
    Put16(&message_, in ? record.interface : 0);
    Put16(&message_, in ? 0 : record.interface);
    Put32(&message_, Saturated(record.packets[from]));
    Put32(&message_, Saturated(record.bytes[from]));
    Put32(&message_, UpTime(record.created));
    Put32(&message_, UpTime(record.last_seen));
    Put16(&message_, way.source_port);
    Put16(&message_, way.destination_port);
    Put16(&message_, 0);  // padding, TCP flags
    Put8(&message_, way.proto);
    Put8(&message_, 0);   // type of service
    Put64(&message_, 0);  // autonomous systems, masks, padding
    if (++flows_ == kMostFlows) Flush(time);
  }
}

void NetflowMessages::Flush(const FlowTime& time) {
  Pass(time.now);
  if (message_.empty()) return;
  Patch16(&message_, 0, 5);
  Patch16(&message_, 2, flows_);
  Patch32(&message_, 4, UpTime(time.now));
  Patch32(&message_, 8, static_cast<uint32_t>(time.wall / 1'000'000));
  Patch32(&message_, 12, static_cast<uint32_t>(time.wall % 1'000'000 * 1000));
  Patch32(&message_, 16, sequence_);
  message_[21] = static_cast<char>(engine_);
  send_(message_, flows_);
  sequence_ += flows_;
  flows_ = 0;
  message_.clear();
}

}  // namespace sluice
