// The model's states: a map from what a connection looks like to what it may
// do, with pf's window arithmetic written out.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/property/plain_model.h"

namespace sluice {
namespace {

// pf's numbers for the phases of a TCP peer.
enum Phase : int {
  kClosed = 0,
  kSynSent = 2,
  kEstablished = 4,
  kClosing = 7,
  kFinWait2 = 9,
  kTimeWait = 10,
};
constexpr int64_t kMaxAckWindow = 0xffff + 1500;  // pf: MAXACKWINDOW

bool AtLeast(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) >= 0;
}

uint32_t Half(std::span<const uint8_t> b, size_t at) {
  return at + 2 <= b.size() ? b[at] << 8 | b[at + 1] : 0;
}
uint32_t Word(std::span<const uint8_t> b, size_t at) {
  return Half(b, at) << 16 | Half(b, at + 2);
}

// The request's type, and whether this is an answer to it.
std::pair<uint8_t, bool> QueryOf(Family family, uint8_t type) {
  if (family == Family::kIpv4) {
    if (type == 0) return {8, true};
    if (type == 9) return {10, true};
    if (type == 14 || type == 16 || type == 18 || type == 34 || type == 36) {
      return {static_cast<uint8_t>(type - 1), true};
    }
  } else if (type == 129 || type == 136 || type == 140) {
    return {static_cast<uint8_t>(type - 1), true};
  } else if (type == 200) {
    return {201, true};
  } else if (type == 131) {
    return {130, false};
  }
  return {type, false};
}

std::optional<uint8_t> WindowScale(const PacketInfo& info,
                                   std::span<const uint8_t> frame) {
  size_t at = info.l4_offset + 20u;
  const size_t end = info.l4_offset + size_t{info.l4_header_length};
  while (at < end && frame[at] != 0) {
    if (frame[at] == 1) {
      ++at;
      continue;
    }
    if (at + 2 > end || frame[at + 1] < 2 || at + frame[at + 1] > end) break;
    if (frame[at] == 3 && frame[at + 1] == 3) {
      return std::min<uint8_t>(frame[at + 2], 14);
    }
    at += frame[at + 1];
  }
  return std::nullopt;
}

// RFC 1350 and 2347; 0: nothing of the kind, 1: a request, 2: what a transfer
// consists of.
int TftpKind(std::span<const uint8_t> payload) {
  if (payload.size() < 4) return 0;
  const uint32_t opcode = Half(payload, 0);
  if (opcode >= 3 && opcode <= 6) return 2;
  return opcode == 1 || opcode == 2 ? 1 : 0;
}

// What an OACK says of the block size, if it does.
std::optional<uint32_t> BlockSize(std::span<const uint8_t> payload) {
  std::vector<std::string> words;
  std::string word;
  for (const uint8_t c : payload.subspan(2)) {
    if (c != 0) {
      word += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] != "blksize") continue;
    uint32_t size;
    if (!absl::SimpleAtoi(words[i + 1], &size) || size < 8 || size > 65464) {
      return std::nullopt;
    }
    return size;
  }
  return std::nullopt;
}

std::vector<uint32_t> VlansOf(std::span<const uint8_t> frame) {
  std::vector<uint32_t> vlans;
  for (size_t at = 12; at <= 16; at += 4) {
    const uint32_t type = Half(frame, at);
    if (type != 0x8100 && type != 0x88a8) break;
    const uint32_t number = Half(frame, at + 2) % 4096;
    if (number != 0) vlans.push_back(number);
  }
  return vlans;
}

bool IsGroup(const Address& a) {
  return a.family == Family::kIpv6 ? a.bytes[0] == 0xff : a.bytes[0] >= 224;
}

}  // namespace

PlainModel::Key PlainModel::KeyOf(const PacketInfo& info,
                                  Direction direction,
                                  std::span<const uint8_t> frame) {
  uint16_t source_port = info.source_port.host();
  uint16_t destination_port = info.destination_port.host();
  if (info.proto == protocol::kIcmp || info.proto == protocol::kIcmp6) {
    const auto [type, reply] = QueryOf(info.family, info.icmp_type);
    const uint16_t id = source_port;
    source_port = reply ? type : id;
    destination_port = reply ? id : type;
  }
  const End source{info.source_address(), source_port};
  const End destination{info.destination_address(), destination_port};
  return direction == Direction::kIn
             ? Key{info.proto, source, destination, "", VlansOf(frame)}
             : Key{info.proto, destination, source, "", VlansOf(frame)};
}

std::map<PlainModel::Key, PlainModel::State>::iterator PlainModel::Find(
    Key key, const Point& point) {
  const auto floating = states_.find(key);
  if (floating != states_.end()) return floating;
  key.interface = ports_[point.port].name;
  return states_.find(key);
}

uint64_t PlainModel::LifeTime(const State& state) const {
  uint64_t seconds = policy_.options.timeout(state.timeout);
  uint64_t start = policy_.options.timeout(Timeout::kAdaptiveStart);
  uint64_t end = policy_.options.timeout(Timeout::kAdaptiveEnd);
  for (const auto& [timeout, value] : state.own_timeouts) {
    if (timeout == state.timeout) seconds = value;
  }
  uint64_t milliseconds = seconds * 1000;
  const uint64_t count = states_.size();
  if (end > start && count > start) {
    milliseconds =
        count >= end ? 0 : milliseconds * (end - count) / (end - start);
  }
  if (state.finished) milliseconds = std::min<uint64_t>(milliseconds, 10000);
  return std::min<uint64_t>(milliseconds, uint64_t{1} << 30);
}

void PlainModel::Expire(uint64_t now) {
  const auto gone = [this](uint64_t parent) {
    std::erase_if(expectations_, [&](const Expectation& e) {
      return e.parent == parent;
    });
  };
  for (auto i = states_.begin(); i != states_.end();) {
    if (now - i->second.last >= LifeTime(i->second)) {
      gone(i->second.id);
      i = states_.erase(i);
    } else {
      ++i;
    }
  }
  std::erase_if(expectations_,
                [&](const Expectation& e) { return now >= e.end; });
}

std::string PlainModel::Describe(uint64_t now) const {
  std::string text;
  for (const auto& [key, state] : states_) {
    const auto end = [](const End& e) {
      return absl::StrCat(ToString(e.address), ":", e.port);
    };
    absl::StrAppend(&text, key.proto, " ", end(key.first), " ",
                    end(key.second), " ",
                    state.direction == Direction::kIn ? "in" : "out", " on ",
                    key.interface.empty() ? "any" : key.interface, ", phases ",
                    state.peers[0].phase, ":", state.peers[1].phase, ", idle ",
                    now - state.last, " ms of ", LifeTime(state));
    for (const Peer& peer : state.peers) {
      absl::StrAppend(&text, ", ", peer.low, " to ", peer.high, " window ",
                      peer.max_window, " scale ", peer.scale);
    }
    text += "\n";
  }
  return text;
}

bool PlainModel::NearAnEnd(uint64_t now, uint64_t slack) const {
  const auto near = [&](uint64_t end) {
    return now + slack >= end && end + slack >= now;
  };
  for (const auto& [key, state] : states_) {
    if (near(state.last + LifeTime(state))) return true;
  }
  for (const Expectation& e : expectations_) {
    if (near(e.end)) return true;
  }
  return false;
}

std::optional<DropReason> PlainModel::JudgeAt(const Point& point,
                                              std::span<const uint8_t> frame,
                                              const PacketInfo& info,
                                              std::string& tag,
                                              ModelVerdict& verdict) {
  if (info.has(kIcmpError)) {
    bool found = false;
    const auto drop = IcmpError(point, frame, info, found);
    if (drop || found) return drop;
  } else if (!info.has(kFragment)) {
    const auto found = Find(KeyOf(info, point.direction, frame), point);
    if (found != states_.end()) {
      State& state = found->second;
      bool reuse = false;
      const auto drop = Step(state, info, frame, point, reuse);
      if (!reuse) {
        if (!drop && !state.tag.empty()) tag = state.tag;
        return drop;
      }
      const uint64_t id = state.id;
      states_.erase(found);
      std::erase_if(expectations_,
                    [&](const Expectation& e) { return e.parent == id; });
    }
  }
  return ByRules(point, frame, info, tag, verdict);
}

std::optional<DropReason> PlainModel::Step(State& state,
                                           const PacketInfo& info,
                                           std::span<const uint8_t> frame,
                                           const Point& point, bool& reuse) {
  if (info.has(kIpOptions) && !state.allow_options) {
    return DropReason::kIpOption;
  }
  const size_t from = point.direction == state.direction ? 0 : 1;
  if (info.proto == protocol::kTcp) {
    return StepTcp(state, info, frame, from, point.now, reuse);
  }
  if (info.proto == protocol::kIcmp || info.proto == protocol::kIcmp6) {
    const bool reply = QueryOf(info.family, info.icmp_type).second;
    if (!state.sloppy && reply != (from == 1)) {
      return DropReason::kStateMismatch;
    }
    state.timeout = Timeout::kIcmpError;
  } else {
    Peer& mine = state.peers[from];
    Peer& other = state.peers[1 - from];
    if (mine.phase == 0) mine.phase = 1;
    if (other.phase == 1) other.phase = 2;
    const bool both = mine.phase == 2 && other.phase == 2;
    if (info.proto == protocol::kUdp) {
      state.timeout = both ? Timeout::kUdpMultiple : Timeout::kUdpSingle;
    } else {
      state.timeout = both ? Timeout::kOtherMultiple : Timeout::kOtherSingle;
    }
  }
  state.last = point.now;
  if (state.helper) reuse = Helper(state, info, frame, point);
  return std::nullopt;
}

// pf's state tracking, as its papers and sources describe it.
std::optional<DropReason> PlainModel::StepTcp(State& state,
                                              const PacketInfo& info,
                                              std::span<const uint8_t> frame,
                                              size_t from, uint64_t now,
                                              bool& reuse) {
  Peer& mine = state.peers[from];
  Peer& other = state.peers[1 - from];
  const uint8_t flags = info.tcp_flags;
  const bool syn = flags & kTcpSyn, fin = flags & kTcpFin;
  const bool rst = flags & kTcpRst, ack_flag = flags & kTcpAck;
  const auto both = [&](int phase) {
    return mine.phase >= phase && other.phase >= phase;
  };
  if (syn && !ack_flag && both(kFinWait2)) {
    reuse = true;
    return std::nullopt;
  }
  if (syn && !ack_flag && both(kEstablished)) {
    return DropReason::kStateMismatch;
  }
  if (state.peers[0].phase == kSynSent && !state.peers[1].seen &&
      !state.peers[1].scale_known) {
    // Nobody has answered yet.
    if (from == 0 && syn && !ack_flag) {
      const Peer before = mine;
      mine = other = Peer{};
      FirstTcp(state, info, frame);
      if (before.low == info.sequence + 1) {
        if (!mine.scale_known && before.scale_known) {
          mine.scale_known = true;
          mine.scale = before.scale;
          mine.max_window = before.max_window;
        }
        if (!AtLeast(mine.high, before.high)) mine.high = before.high;
      }
      state.last = now;
      return std::nullopt;
    }
    if (from == 1 && rst &&
        !(ack_flag && AtLeast(info.acknowledgment, other.low) &&
          !AtLeast(info.acknowledgment, other.high))) {
      return DropReason::kStateMismatch;
    }
  }
  const auto finish = [&](bool prolong) -> std::optional<DropReason> {
    state.timeout = both(kFinWait2)      ? Timeout::kTcpClosed
                    : both(kClosing)     ? Timeout::kTcpFinWait
                    : !both(kEstablished) ? Timeout::kTcpOpening
                    : mine.phase >= kClosing || other.phase >= kClosing
                        ? Timeout::kTcpClosing
                        : Timeout::kTcpEstablished;
    if (prolong) state.last = now;
    return std::nullopt;
  };

  const uint32_t payload = info.payload_length();
  uint32_t window = info.window;
  uint32_t begin = info.sequence;
  uint32_t data_end = begin + payload + (syn ? 1 : 0);
  uint32_t end = data_end + (fin ? 1 : 0);
  uint32_t position = syn ? begin + 1 : end;
  const Peer mine_before = mine, other_before = other;
  uint8_t my_scale = 0, other_scale = 0;
  if (!syn && mine.scale_known && other.scale_known) {
    my_scale = mine.scale;
    other_scale = other.scale;
  }
  if (!mine.seen) {
    if (syn) {
      const auto scale =
          other.scale_known ? WindowScale(info, frame) : std::nullopt;
      mine.scale_known = scale.has_value();
      mine.scale = scale.value_or(0);
      if (scale) {
        my_scale = *scale;
        other_scale = other.scale;
        window = (window + (1u << my_scale) - 1) >> my_scale;
      }
    }
    if (syn && !mine.scale_known) {
      // No scaling, and the other one's window was none to begin with.
      other.max_window =
          std::min<uint32_t>(other.max_window << other.scale, 0xffff);
      other.scale_known = false;
      other.scale = 0;
      my_scale = other_scale = 0;
    }
    mine.seen = true;
    mine.phase = std::max<int>(mine.phase, kSynSent);
    mine.low = info.sequence;
    mine.high = end + std::max(other.max_window << other_scale, 1u);
  }
  uint32_t ack = info.acknowledgment;
  if (!ack_flag || other.phase < kSynSent || (ack == 0 && rst)) {
    ack = other.low;
  }
  if (begin == end) begin = data_end = end = position = mine.low;

  const auto advance = [&] {
    mine.max_window = std::max(mine.max_window, std::min(window, 0xffffu));
    if (!AtLeast(mine.low, position)) mine.low = position;
    if (!other.seen) return;
    const uint32_t offered = window << my_scale;
    if (AtLeast(ack + offered, other.high)) {
      other.high = ack + std::max(offered, 1u);
    }
  };
  const int64_t behind = static_cast<int32_t>(other.low - ack);
  const bool strict =
      AtLeast(mine.high, data_end) &&
      AtLeast(begin, mine.low - (other.max_window << other_scale)) &&
      behind >= -kMaxAckWindow && behind <= (kMaxAckWindow << my_scale) &&
      (!rst || info.sequence == mine.low || info.sequence == mine.low + 1 ||
       info.sequence + 1 == mine.low ||
       info.sequence ==
           mine.high - (other.max_window << other_scale));
  if (strict) {
    advance();
    if (syn) mine.phase = std::max<int>(mine.phase, kSynSent);
    if (fin) mine.phase = std::max<int>(mine.phase, kClosing);
    if (ack_flag && other.phase == kSynSent) {
      other.phase = kEstablished;
    } else if (ack_flag && other.phase == kClosing) {
      other.phase = kFinWait2;
    }
    if (rst) mine.phase = other.phase = kTimeWait;
    return finish(true);
  }
  if ((other.phase < kSynSent || other.phase >= kFinWait2 ||
       mine.phase >= kFinWait2) &&
      AtLeast(mine.high + static_cast<uint32_t>(kMaxAckWindow), data_end) &&
      AtLeast(begin, mine.low - static_cast<uint32_t>(kMaxAckWindow))) {
    advance();
    if (fin) mine.phase = std::max<int>(mine.phase, kClosing);
    if (rst) mine.phase = other.phase = kTimeWait;
    return std::nullopt;
  }
  if (mine.phase == kSynSent && other.phase == kSynSent) {
    mine.low = 0;
    mine.high = 1;
    mine.max_window = 1;
    mine.seen = false;
    mine.scale = mine_before.scale;
    mine.scale_known = mine_before.scale_known;
    other.scale = other_before.scale;
    other.scale_known = other_before.scale_known;
    other.max_window = other_before.max_window;
  }
  return DropReason::kStateMismatch;
}

void PlainModel::FirstTcp(State& state, const PacketInfo& info,
                          std::span<const uint8_t> frame) {
  Peer& mine = state.peers[0];
  Peer& other = state.peers[1];
  const bool syn = info.tcp_flags & kTcpSyn;
  const uint32_t end = info.sequence + info.payload_length() + (syn ? 1 : 0) +
                       (info.tcp_flags & kTcpFin ? 1 : 0);
  mine.low = syn ? info.sequence + 1 : end;
  mine.high = end + 1;
  mine.phase = kSynSent;
  mine.seen = true;
  mine.max_window = info.window;
  if (!syn) {
    mine.scale_known = other.scale_known = true;
    mine.scale = other.scale = 14;
  } else {
    if (const auto scale = WindowScale(info, frame)) {
      mine.scale_known = true;
      mine.scale = *scale;
      mine.max_window = (mine.max_window + (1u << *scale) - 1) >> *scale;
    }
    if (info.tcp_flags & kTcpAck) {
      other.scale_known = true;
      other.scale = mine.scale_known ? 14 : 0;
    }
  }
  mine.max_window = std::max(mine.max_window, 1u);
  state.timeout = Timeout::kTcpFirst;
}

std::optional<DropReason> PlainModel::Create(State state,
                                             const PacketInfo& info,
                                             std::span<const uint8_t> frame,
                                             const Point& point) {
  if (states_.size() >= policy_.options.limit(Limit::kStates)) {
    return DropReason::kStateLimit;
  }
  Key key = KeyOf(info, point.direction, frame);
  key.interface = state.interface;
  if (states_.contains(key)) return DropReason::kStateInsert;
  state.id = next_id_++;
  state.direction = point.direction;
  state.last = point.now;
  Peer& mine = state.peers[0];
  switch (info.proto) {
    case protocol::kTcp:
      FirstTcp(state, info, frame);
      break;
    case protocol::kUdp:
      mine.phase = 1;
      state.timeout = Timeout::kUdpFirst;
      state.helper =
          state.parent != 0 || info.destination_port == Be16(uint16_t{69});
      state.client_seen = point.now;
      break;
    case protocol::kIcmp:
    case protocol::kIcmp6:
      state.timeout = Timeout::kIcmpFirst;
      break;
    default:
      mine.phase = 1;
      state.timeout = Timeout::kOtherFirst;
      break;
  }
  State& made = states_[key] = std::move(state);
  if (made.helper) Helper(made, info, frame, point);
  return std::nullopt;
}

bool PlainModel::Helper(State& state, const PacketInfo& info,
                        std::span<const uint8_t> frame, const Point& point) {
  const auto payload =
      frame.subspan(info.payload_offset(), info.payload_length());
  const int kind = TftpKind(payload);
  if (state.parent != 0) {
    return Transfer(state, info, frame, payload, kind, point);
  }
  const auto of_parent = [&](const Expectation& e) {
    return e.parent == state.id;
  };
  if (point.direction != state.direction) {
    if (kind == 2) std::erase_if(expectations_, of_parent);
    return false;
  }
  if (kind != 1 || IsGroup(info.destination_address()) ||
      IsGroup(info.source_address())) {
    return false;
  }
  const bool armed =
      std::any_of(expectations_.begin(), expectations_.end(), of_parent);
  if (!armed && Seated(state.id) >= 4) {
    // The one whose client was silent for longest gives way.
    State* idlest = nullptr;
    for (auto& [key, child] : states_) {
      if (child.parent == state.id && child.seated &&
          point.now - child.client_seen >= 1000 &&
          (idlest == nullptr || child.client_seen < idlest->client_seen)) {
        idlest = &child;
      }
    }
    if (idlest == nullptr) return false;
    idlest->seated = false;
  }
  std::erase_if(expectations_, of_parent);
  Expectation e;
  e.parent = state.id;
  e.direction = Opposite(state.direction);
  e.server = info.destination_address();
  e.server_port = info.destination_port.host();
  e.client = info.source_address();
  e.client_port = info.source_port.host();
  e.vlans = VlansOf(frame);
  e.end = point.now + 30000;
  e.values.tag = state.tag;
  e.values.allow_options = state.allow_options;
  e.values.sloppy = state.sloppy;
  e.values.interface = state.interface;
  e.values.own_timeouts = state.own_timeouts;
  e.values.parent = state.id;
  expectations_.push_back(std::move(e));
  return false;
}

int PlainModel::Seated(uint64_t parent) const {
  return static_cast<int>(
      std::count_if(states_.begin(), states_.end(), [&](const auto& entry) {
        return entry.second.parent == parent && entry.second.seated;
      }));
}

// A packet of a child; the server's first one made it.
bool PlainModel::Transfer(State& state, const PacketInfo& info,
                          std::span<const uint8_t> frame,
                          std::span<const uint8_t> payload, int kind,
                          const Point& point) {
  const size_t from = point.direction == state.direction ? 0 : 1;
  const uint32_t opcode = kind == 2 ? Half(payload, 0) : 0;
  const uint32_t block = kind == 2 ? Half(payload, 2) : 0;
  const uint32_t length =
      kind == 2 ? static_cast<uint32_t>(payload.size()) - 4 : 0;
  if (state.finished) {
    const bool one_block = state.last_block && state.last_block->second == 1;
    const bool begins =
        opcode == 6 || (opcode == 4 && block == 0) ||
        (opcode == 3 && (state.last_block ? (block == 1) != one_block
                                          : block == 1));
    if (from == 0 && begins &&
        std::any_of(expectations_.begin(), expectations_.end(),
                    [&](const Expectation& e) {
                      return Fits(e, info, frame, point) &&
                             Seated(e.parent) < 4;
                    })) {
      return true;
    }
    state.last = *state.finished;
    return false;
  }
  bool over = opcode == 5;
  if (opcode == 6) {
    state.block_size = BlockSize(payload).value_or(state.block_size);
  } else if (opcode == 3 && length > state.block_size) {
    state.block_size = length;
    state.last_block.reset();
  } else if (opcode == 3 && length < state.block_size) {
    state.last_block = {from, block};
  } else if (opcode == 4 && state.last_block &&
             *state.last_block == std::pair<size_t, uint32_t>{1 - from,
                                                              block}) {
    over = true;
  }
  if (!over && from == 1) {
    // A client is looked at four times a second, and at its first packet.
    if (!state.reported || point.now - *state.reported >= 250) {
      state.reported = point.now;
      if (!state.seated && Seated(state.parent) >= 4) {
        over = true;
      } else {
        state.seated = true;
        state.client_seen = point.now;
      }
    }
  }
  if (over) {
    state.finished = point.now;
    state.seated = false;
  }
  return false;
}

bool PlainModel::Fits(const Expectation& e, const PacketInfo& info,
                      std::span<const uint8_t> frame,
                      const Point& point) const {
  return info.proto == protocol::kUdp && e.direction == point.direction &&
         e.vlans == VlansOf(frame) &&
         e.server == info.source_address() &&
         e.client == info.destination_address() &&
         e.client_port == info.destination_port.host() &&
         e.server_port != info.source_port.host() &&
         (e.values.interface.empty() ||
          e.values.interface == ports_[point.port].name);
}

bool PlainModel::TakeExpectation(const PacketInfo& info,
                                 std::span<const uint8_t> frame,
                                 const Point& point, State& child) {
  for (auto i = expectations_.begin(); i != expectations_.end(); ++i) {
    if (!Fits(*i, info, frame, point)) continue;
    if (Seated(i->parent) >= 4) continue;
    child = i->values;
    expectations_.erase(i);
    return true;
  }
  return false;
}

std::optional<DropReason> PlainModel::IcmpError(const Point& point,
                                                std::span<const uint8_t> frame,
                                                const PacketInfo& info,
                                                bool& found) {
  const bool v6 = info.family == Family::kIpv6;
  const size_t ip = info.l4_offset + 8u;
  const auto inner = frame.subspan(
      std::min(ip, frame.size()),
      std::min<size_t>(info.l4_length >= 8 ? info.l4_length - 8u : 0,
                       frame.size() - std::min(ip, frame.size())));
  const size_t least = v6 ? 40 : 20;
  if (inner.size() < least) return DropReason::kShort;
  PacketInfo quoted{};
  quoted.family = info.family;
  const size_t l4 = v6 ? 40 : (inner[0] & 15) * 4u;
  quoted.proto = inner[v6 ? 6 : 9];
  const auto copy = [&](auto& to, size_t at) {
    std::copy_n(inner.begin() + static_cast<ptrdiff_t>(at), v6 ? 16 : 4,
                to.begin());
  };
  copy(quoted.source, v6 ? 8 : 12);
  copy(quoted.destination, v6 ? 24 : 16);
  if (inner.size() < l4 + 8) return DropReason::kShort;
  if (quoted.proto == protocol::kIcmp || quoted.proto == protocol::kIcmp6) {
    quoted.icmp_type = inner[l4];
    quoted.source_port =
        Be16(static_cast<uint16_t>(Half(inner, l4 + 4)));
  } else if (quoted.proto == protocol::kTcp ||
             quoted.proto == protocol::kUdp) {
    quoted.source_port = Be16(static_cast<uint16_t>(Half(inner, l4)));
    quoted.destination_port =
        Be16(static_cast<uint16_t>(Half(inner, l4 + 2)));
  }
  // The quoted packet went the other way.
  const Direction direction = Opposite(point.direction);
  const auto hit = Find(KeyOf(quoted, direction, frame), point);
  if (hit == states_.end()) return std::nullopt;
  const State& state = hit->second;
  if (quoted.source_address() != info.destination_address()) {
    return DropReason::kStateMismatch;
  }
  if (quoted.proto == protocol::kTcp) {
    const size_t from = direction == state.direction ? 0 : 1;
    const Peer& sender = state.peers[from];
    const Peer& receiver = state.peers[1 - from];
    const uint8_t scale =
        sender.scale_known && receiver.scale_known ? receiver.scale : 0;
    const uint32_t sequence = Word(inner, l4 + 4);
    if (!AtLeast(sender.high, sequence) ||
        !AtLeast(sequence, sender.low - (receiver.max_window << scale))) {
      return DropReason::kStateMismatch;
    }
  }
  found = true;
  return std::nullopt;
}

}  // namespace sluice
