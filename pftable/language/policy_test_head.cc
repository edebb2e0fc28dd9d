// What a test of a policy says of its packets: where they are judged, and their
// protocols, addresses and ports.
#include <algorithm>
#include <string>
#include <vector>

#include "pftable/language/policy_test_parser.h"
#include "pftable/language/words.h"

namespace sluice {
namespace {

// From `first` to `last`, ends included; more than anybody may name: one more
// than that.
uint64_t Between(const Address& first, const Address& last) {
  uint64_t distance = 0;
  for (int i = 0; i < AddressBits(first.family) / 8; ++i) {
    if (distance > kMaxExpectedPackets) return kMaxExpectedPackets + 1;
    // A borrow is made good by the next byte: the last address is the greater.
    distance = distance * 256 + last.bytes[i] - first.bytes[i];
  }
  return std::min(distance, kMaxExpectedPackets) + 1;
}

// What a condition on ports names.
void AddPorts(const PortMatch& match, std::vector<PortSpan>* spans) {
  const auto add = [&](uint32_t low, uint32_t high) {
    if (low > high || low > UINT16_MAX) return;
    spans->push_back(
        {static_cast<uint16_t>(low), static_cast<uint16_t>(high)});
  };
  const uint32_t low = match.low, high = match.high;
  switch (match.op) {
    case CompareOperator::kNone:
    case CompareOperator::kEqual:
      return add(low, low);
    case CompareOperator::kNotEqual:
      if (low > 0) add(0, low - 1);
      return add(low + 1, UINT16_MAX);
    case CompareOperator::kLess:
      if (low > 0) add(0, low - 1);
      return;
    case CompareOperator::kLessOrEqual:
      return add(0, low);
    case CompareOperator::kGreater:
      return add(low + 1, UINT16_MAX);
    case CompareOperator::kGreaterOrEqual:
      return add(low, UINT16_MAX);
    case CompareOperator::kRange:
      return add(low, high);
    case CompareOperator::kExclusiveRange:
      if (high > 0) add(low + 1, high - 1);
      return;
    case CompareOperator::kExceptRange:
      if (low > 0) add(0, low - 1);
      return add(high + 1, UINT16_MAX);
  }
}

}  // namespace

bool PolicyTestParser::ParseHead(Expectation* e) {
  given_ = 0;
  if (in_.AcceptWord("block")) {
    e->passes = false;
  } else if (!in_.AcceptWord("pass")) {
    return in_.Unexpected("'pass' or 'block'", {"pass", "block"});
  }
  if (in_.AcceptWord("out")) {
    e->direction = Direction::kOut;
  } else if (!in_.AcceptWord("in")) {
    return in_.Unexpected("'in' or 'out'", {"in", "out"});
  }
  if (!in_.AcceptWord("on")) return in_.Unexpected("'on'", {"on"});
  if (!in_.ParseList([&] {
        std::string name;
        if (in_.token().IsWord("any")) return NoValue("an interface");
        if (!in_.TakeName("an interface name", name, kMaxInterfaceName)) {
          return false;
        }
        e->interfaces.push_back(std::move(name));
        return true;
      })) {
    return false;
  }
  if (in_.token().IsWord("received-on") &&
      !(Once(in_.token(), 7) && ParseReceivedOn(e))) {
    return false;
  }
  if (in_.AcceptWord("inet")) {
    e->family = Family::kIpv4;
  } else if (in_.AcceptWord("inet6")) {
    e->family = Family::kIpv6;
  }
  if (!in_.AcceptWord("proto")) return in_.Unexpected("'proto'", {"proto"});
  if (!in_.ParseList([&] { return ParseProtocol(&e->protocols); })) {
    return false;
  }
  if (!in_.AcceptWord("from")) return in_.Unexpected("'from'", {"from"});
  if (!ParseEnd(&e->sources, &e->source_ports)) return false;
  if (!in_.AcceptWord("to")) {
    return in_.Unexpected("'port' or 'to'", {"port", "to"});
  }
  return ParseEnd(&e->destinations, &e->destination_ports);
}

bool PolicyTestParser::ParseReceivedOn(Expectation* e) {
  const Token word = in_.Take();
  if (e->direction == Direction::kIn) {
    return in_.Error(word.place,
                     "'received-on' is of packets that go out: what comes "
                     "in was received there");
  }
  if (in_.token().IsWord("any")) return NoValue("an interface");
  return in_.TakeName("an interface name", e->received_on,
                      kMaxInterfaceName);
}

bool PolicyTestParser::NoValue(const char* what) {
  return in_.Error(in_.token().place,
                   "'" + in_.token().text +
                       "' is a condition; a packet has one value",
                   "name " + std::string(what) + ", or a list of them");
}

bool PolicyTestParser::ParseProtocol(std::vector<uint8_t>* protocols) {
  const Token word = in_.token();
  if (!word.IsString() && word.kind != TokenKind::kNumber) {
    return in_.Unexpected("a protocol");
  }
  in_.Take();
  if (const auto number = ParseUnsigned(word.text)) {
    if (*number == 0 || *number > 255) {
      return in_.Error(word.place, "protocol outside range 1 to 255");
    }
    protocols->push_back(static_cast<uint8_t>(*number));
  } else if (const auto known = facts_.Protocol(word.text);
             known && *known != 0) {
    protocols->push_back(*known);
  } else {
    return in_.Error(word.place,
                     "unknown protocol " + word.text.substr(0, 64),
                     DidYouMean(word.text, facts_.ProtocolNames()));
  }
  return true;
}

bool PolicyTestParser::ParseEnd(std::vector<AddressSpan>* addresses,
                                std::vector<PortSpan>* ports) {
  if (!in_.ParseList([&] { return ParseAddressItem(addresses); })) {
    return false;
  }
  if (!in_.AcceptWord("port")) return true;
  const SourcePlace place = in_.token().place;
  if (in_.token().IsWord("any")) return NoValue("a port");
  std::vector<PortItem> items;
  if (!ports_.ParsePorts(items)) return false;
  for (const PortItem& item : items) AddPorts(item.match, ports);
  if (ports->empty()) return in_.Error(place, "there is no such port");
  return true;
}

bool PolicyTestParser::ParseAddressItem(std::vector<AddressSpan>* addresses) {
  const SourcePlace place = in_.token().place;
  if (in_.token().IsWord("any")) return NoValue("an address");
  if (in_.token().Is('!') || in_.token().Is('<') || in_.token().Is('(')) {
    return in_.Error(place,
                     "syntax error: '" + in_.token().text +
                         "' where an address is wanted",
                     "a packet has an address: no '!', table or '(if)'");
  }
  if (!in_.token().IsString() && in_.token().kind != TokenKind::kNumber) {
    return in_.Unexpected("an address");
  }
  const Token word = in_.Take();
  std::string text = word.text, last;
  if (in_.Accept('/')) {
    int64_t bits = 0;
    if (!in_.TakeNumber("network mask", 0, 128, bits)) return false;
    const auto prefix = ParsePrefix(text + "/" + std::to_string(bits));
    if (!prefix) return NoAddress(place, text + "/" + std::to_string(bits));
    return AddNetwork(*prefix, place, addresses);
  }
  if (in_.token().Is('-')) {
    in_.Take();
    if (!in_.TakeString("the last address of a range", last, 255)) {
      return false;
    }
  } else if (const size_t dash = text.find('-'); dash != text.npos) {
    if (ParseAddress(text.substr(0, dash))) {
      last = text.substr(dash + 1);
      text.resize(dash);
    }
  }
  if (const auto first = ParseAddress(text)) {
    if (last.empty()) {
      addresses->push_back({.first = *first});
      return true;
    }
    const auto end = ParseAddress(last);
    if (!end) return NoAddress(place, last);
    if (end->family != first->family || end->bytes < first->bytes) {
      return in_.Error(place, "the range of addresses ends before it begins");
    }
    return Add({.first = *first, .count = Between(*first, *end)}, place,
               addresses);
  }
  const std::vector<Address> known = facts_.Host(text, /*ask=*/false);
  for (const Address& address : known) {
    addresses->push_back({.first = address});
  }
  return !known.empty() || NoAddress(place, text);
}

bool PolicyTestParser::NoAddress(SourcePlace place, const std::string& text) {
  return in_.Error(place, "'" + text.substr(0, 64) + "' is no address",
                   "IPv4 is written a.b.c.d, IPv6 without brackets; no "
                   "resolver is asked");
}

bool PolicyTestParser::AddNetwork(const Prefix& prefix, SourcePlace place,
                                  std::vector<AddressSpan>* addresses) {
  const int host_bits = AddressBits(prefix.address.family) - prefix.length;
  const uint64_t count = host_bits > 16 ? kMaxExpectedPackets + 1
                                        : uint64_t{1} << host_bits;
  return Add({.first = prefix.Masked().address, .count = count}, place,
             addresses);
}

bool PolicyTestParser::Add(const AddressSpan& span, SourcePlace place,
                           std::vector<AddressSpan>* addresses) {
  if (span.count > kMaxExpectedPackets) {
    return in_.Error(place,
                     "more addresses than can be tried, at most " +
                         std::to_string(kMaxExpectedPackets),
                     "each of them is a packet: name some");
  }
  addresses->push_back(span);
  return true;
}

}  // namespace sluice
