// A state table with all that it needs around it, driven by packets in text.
#ifndef SLUICE_TESTS_UNIT_CONNTRACK_SHARD_H_
#define SLUICE_TESTS_UNIT_CONNTRACK_SHARD_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "conntrack/expectation.h"
#include "conntrack/ftp.h"
#include "conntrack/state_table.h"
#include "conntrack/tftp.h"
#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {

// $C, $S, $X, $A, $B stand for five hosts of the family: "$C:80" is an address
// and port, "$C" alone an address.
inline std::string InFamily(Family family, std::string_view text) {
  static const std::map<char, std::pair<const char*, const char*>> kHosts = {
      {'C', {"10.0.0.2", "2001:db8::2"}}, {'S', {"10.0.0.1", "2001:db8::1"}},
      {'X', {"10.0.0.9", "2001:db8::9"}}, {'A', {"10.0.0.3", "2001:db8::3"}},
      {'B', {"10.0.0.4", "2001:db8::4"}}};
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      out += text[i];
      continue;
    }
    const auto& [v4, v6] = kHosts.at(text[++i]);
    const bool port = i + 1 < text.size() && text[i + 1] == ':';
    if (family == Family::kIpv4) {
      out += v4;
    } else {
      out += port ? "[" + std::string(v6) + "]" : v6;
    }
  }
  return out;
}

struct TestPacket {
  TestPacket(Family family, std::string_view text)
      : mbuf(FrameFromText(InFamily(family, text))) {
    ParsePacket(*mbuf, {}, &info);
  }
  PlainMbuf mbuf;
  PacketInfo info;
};

// Counts what it is told.
class RecordingSink : public StateSink {
 public:
  bool StateInserted(uint16_t, const StateTemplate& values) override {
    if (states[values.rule_slot] >= max_states) return false;
    ++states[values.rule_slot];
    return true;
  }
  void AddTraffic(uint16_t, const StateTemplate& values,
                  const TrafficDelta& delta) override {
    TrafficDelta& sum = traffic[values.rule_slot];
    for (size_t d = 0; d < 2; ++d) {
      sum.packets[d] += delta.packets[d];
      sum.bytes[d] += delta.bytes[d];
    }
  }
  void StateRemoved(uint16_t, const StateTemplate& values) override {
    --states[values.rule_slot];
  }
  void StateCancelled(uint16_t, const StateTemplate& values) override {
    --states[values.rule_slot];
  }
  const TimeoutProfile* RuleTimeouts(uint16_t, uint32_t rule) const override {
    const auto found = timeouts.find(rule);
    return found == timeouts.end() ? nullptr : &found->second;
  }
  uint32_t RuleStates(uint16_t, uint32_t rule) const override {
    const auto found = states.find(rule);
    return found == states.end() ? 0 : found->second;
  }

  uint32_t max_states = 0xffffffff;
  std::map<uint32_t, uint32_t> states;
  std::map<uint32_t, TrafficDelta> traffic;
  std::map<uint32_t, TimeoutProfile> timeouts;
};

// What became of a packet, besides its verdict.
struct Outcome {
  enum Kind {
    kPassed,    // by its state
    kCreated,   // made a state of its own
    kChild,     // made a state by an expectation
    kRelated,   // an ICMP error of a state
    kUnrelated,  // an ICMP error of none
    kRefused,   // dropped by its state, or no state could be made
  };
  Kind kind = kRefused;
  StateIndex state = kNoState;
  StepResult step;
  DropReason reason = DropReason::kMatch;
};

// A worker of a filter that passes everything and keeps state.
class Shard {
 public:
  explicit Shard(Family family, StateTableOptions options = {},
                 ExpectationOptions expected = {})
      : family_(family),
        budget(1u << 30),
        own_expectations_(std::make_unique<ExpectationTable>(
            expected, HashSecret::FromSeed(2))),
        expectations(own_expectations_.get()) {
    options.secret = HashSecret::FromSeed(1);
    options.huge_pages = false;
    options.prefault = false;
    table = *StateTable::Build(options);
    Share(expectations);
    table->SetSink(&sink);
    for (uint16_t i = 0; i < options.filters; ++i) {
      table->SetFilter(i, &budget, kDefaultTimeoutProfile);
    }
  }

  void Share(ExpectationTable* shared) {
    expectations = shared;
    table->SetExpectations(shared);
  }

  // A whole walk of one packet.
  Outcome Judge(std::string_view text, Direction direction = Direction::kIn,
                uint16_t filter = 0, uint16_t interface = 0) {
    TestPacket packet(family_, text);
    return Judge(packet, {direction, filter, interface});
  }
  Outcome In(std::string_view text) { return Judge(text, Direction::kIn); }
  Outcome Out(std::string_view text) { return Judge(text, Direction::kOut); }

  Outcome Judge(TestPacket& packet, const JudgePoint& where) {
    Outcome outcome;
    if (packet.info.has(kIcmpError)) {
      PacketInfo quoted;
      const IcmpErrorResult error =
          table->LookupIcmpError(packet.info, *packet.mbuf, where, &quoted);
      outcome.state = error.state;
      outcome.reason = error.reason;
      if (error.verdict == StepVerdict::kPass) {
        outcome.kind = error.state == kNoState ? Outcome::kUnrelated
                                               : Outcome::kRelated;
      }
      return outcome;
    }
    outcome.state = Lookup(packet, where);
    if (outcome.state != kNoState) {
      outcome.step = table->Step(outcome.state, packet.info, *packet.mbuf,
                                 where.direction, now);
      if (outcome.step.verdict != StepVerdict::kReuse) {
        if (outcome.step.verdict == StepVerdict::kPass) {
          outcome.kind = Outcome::kPassed;
          if (outcome.step.helper &&
              Help(outcome.state, packet, where) == HelperVerdict::kReuse) {
            table->Remove(outcome.state);
            return Judge(packet, where);
          }
        }
        outcome.reason = outcome.step.reason;
        return outcome;
      }
    }
    ExpectedChild child;
    const bool expected =
        expectations->Take(packet.info, VlanOf(*packet.mbuf, packet.info),
                           where, now, &child);
    const InsertResult inserted =
        table->Insert(packet.info, *packet.mbuf, where,
                      expected ? child.values : values, now,
                      expected ? &child : nullptr);
    outcome.state = inserted.state;
    outcome.reason = inserted.reason;
    if (inserted.state != kNoState) {
      outcome.kind = expected ? Outcome::kChild : Outcome::kCreated;
      if (table->entries().hot(inserted.state).flags & kEntryHelper) {
        Help(inserted.state, packet, where);
      }
    }
    return outcome;
  }

  // By the burst's way and by the single one, which have to agree.
  StateIndex Lookup(TestPacket& packet, const JudgePoint& where) {
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = packet.mbuf.get();
    burst.infos[0] = packet.info;
    const uint8_t index = 0;
    StateIndex found[kMaxBurst];
    table->Lookup(burst, {&index, 1}, where, found);
    if (found[0] != table->Find(packet.info, *packet.mbuf, where)) std::abort();
    return found[0];
  }

  HelperVerdict Help(StateIndex state, TestPacket& packet,
                     const JudgePoint& where) {
    if (packet.info.proto == protocol::kTcp) {
      return RunFtpHelper(*table, state, &packet.info, *packet.mbuf.get(),
                          where, now, *expectations);
    }
    return RunTftpHelper(*table, state, packet.info, *packet.mbuf, where, now,
                         *expectations);
  }

  // Moves the clock in steps of at most `step` and ends what is due.
  void Advance(uint64_t ticks, uint32_t step = 1000) {
    while (ticks > 0) {
      const uint64_t part = std::min<uint64_t>(ticks, step);
      ticks -= part;
      now += static_cast<Tick>(part);
      while (!table->Expire(now, 64)) {
      }
      expectations->Expire(now, 1000);
    }
  }

  StateRecord Record(StateIndex state) { return table->Record(state, now); }
  TcpPhase phase(StateIndex state, int peer) {
    return static_cast<TcpPhase>(table->entries().hot(state).phase[peer]);
  }
  uint64_t mismatches(Mismatch cause) {
    return table->statistics().mismatches[static_cast<size_t>(cause)].value();
  }

 private:
  Family family_;

 public:
  StateBudget budget;

 private:
  std::unique_ptr<ExpectationTable> own_expectations_;

 public:
  RecordingSink sink;
  ExpectationTable* expectations;
  std::unique_ptr<StateTable> table;
  StateTemplate values;
  Tick now = 1000;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_CONNTRACK_SHARD_H_
