#include "pftable/classify/classify.h"

#include <algorithm>

#include "pftable/classify/cursor.h"
#include "pftable/engine/scan.h"

namespace sluice {
namespace {

using classify::Classes;
using classify::Cursor;
using classify::Dimension;
using classify::Entry;
using classify::kNoIndex;
using classify::Number;
using classify::Part;

// Reads candidates until one is certain, or as many as there is room for.
// False: there are more.
bool FillList(const Part& part, const Classes& classes, CandidateList& list) {
  Cursor cursor(part, classes);
  list.count = 0;
  while (true) {
    const uint32_t entry = cursor.Next();
    if (entry == kNoIndex) return true;
    if (list.count == kMostCandidates) return false;
    list.entries[list.count++] = entry;
    if (part.entries[entry].certain) return true;
  }
}

// What packets of one family are.
void FindClasses(const Part& part, std::span<const PacketInfo* const> packets,
                 uint16_t link, Classes* classes) {
  const uint32_t count = static_cast<uint32_t>(packets.size());
  const std::array<uint8_t, 16>* addresses[kMaxBurst];
  uint32_t source[kMaxBurst], destination[kMaxBurst];
  for (uint32_t i = 0; i < count; ++i) addresses[i] = &packets[i]->source;
  part.source.Find(addresses, count, source);
  for (uint32_t i = 0; i < count; ++i) addresses[i] = &packets[i]->destination;
  part.destination.Find(addresses, count, destination);
  for (uint32_t i = 0; i < count; ++i) {
    const PacketInfo& packet = *packets[i];
    // Of protocols without ports no rule with ports is a candidate, whatever
    // these are.
    const uint16_t source_port = packet.source_port.host();
    const uint16_t destination_port = packet.destination_port.host();
    classes[i] = {
        .numbers = {part.source.ClassOf(source[i]),
                    part.destination.ClassOf(destination[i]),
                    part.source_port.Find(source_port),
                    part.destination_port.Find(destination_port),
                    part.transport.Find(packet), link},
        .compared = {source[i], destination[i], source_port,
                     destination_port}};
  }
}

ClassKey KeyOf(const Part& part, const Classes& classes) {
  const auto& numbers = classes.numbers;
  return {
      .serial = part.serial,
      .source = numbers[classify::kSource],
      .destination = numbers[classify::kDestination],
      .source_port = static_cast<uint16_t>(numbers[classify::kSourcePort]),
      .destination_port =
          static_cast<uint16_t>(numbers[classify::kDestinationPort]),
      .transport = static_cast<uint16_t>(numbers[classify::kTransport]),
      .link = static_cast<uint16_t>(numbers[classify::kLink])};
}

// What a cursor reads, a step of the way at a time: where the lists and rows of
// the classes are, then what is in them.
void PrefetchPlaces(const Part& part, const Classes& classes) {
  for (const Dimension d : part.listed) {
    __builtin_prefetch(&part.lists[d].offsets[classes.numbers[d]]);
  }
  for (const Dimension d : part.active) {
    __builtin_prefetch(part.rows[d].row(classes.numbers[d]));
  }
}
void PrefetchContents(const Part& part, const Classes& classes) {
  constexpr size_t kLine = 64;
  constexpr size_t kMostLines = 4;  // the processor sees that more follow
  for (const Dimension d : part.listed) {
    const std::span<const classify::Record> list =
        part.lists[d].list(classes.numbers[d]);
    const auto* const bytes = reinterpret_cast<const char*>(list.data());
    const size_t lines =
        std::min(kMostLines, (list.size_bytes() + kLine - 1) / kLine);
    for (size_t line = 0; line < lines; ++line) {
      __builtin_prefetch(bytes + line * kLine);
    }
  }
  for (const Dimension d : part.active) {
    const classify::DimensionRows& rows = part.rows[d];
    const uint64_t* const row = rows.row(classes.numbers[d]);
    if (row[0] != 0) __builtin_prefetch(&rows.ids[row[rows.words]]);
  }
}

// Walks candidates as the interpreter walks rules.
class CandidateScan {
 public:
  CandidateScan(const Generation& generation, const EvaluationInput& input,
                const Part& part, WorkerCounters& counters, Verdict& verdict)
      : policy_(*generation.policy),
        part_(part),
        counters_(counters),
        scan_(generation, input, counters, verdict, generation.index.get()) {
  }

  // The next candidate. True: no other matters.
  bool Visit(uint32_t position) {
    const Entry& entry = part_.entries[position];
    return part_.in_order ? VisitInOrder(position, entry) : VisitBest(entry);
  }
  void Decide() { scan_.Decide(); }
  const PacketInfo& packet() const { return scan_.packet(); }
  uint32_t translations() const { return scan_.translations(); }

 private:
  Number NumberAt(Dimension dimension) const {
    const PacketInfo& packet = scan_.packet();
    switch (dimension) {
      case classify::kSourcePort:
        return packet.source_port.host();
      case classify::kDestinationPort:
        return packet.destination_port.host();
      case classify::kSource:
        return classify::NumberOf(packet.family, packet.source);
      default:
        return classify::NumberOf(packet.family, packet.destination);
    }
  }

  // Classifiers may be shared, slots are the filter's own.
  uint32_t AnchorSlot(const Entry& entry) const {
    return entry.call == kNoIndex ? kNoRuleSlot
                                  : policy_.rules[entry.call].slot;
  }

  bool Matches(const Entry& entry, const CompiledRule& rule) {
    if (scan_.IsExpired(rule)) [[unlikely]] return false;
    counters_.evaluations(rule.slot).Add(1);
    for (uint32_t d = entry.demoted; d != kNoIndex; d = part_.demoted[d].next) {
      const classify::DemotedSet& demoted = part_.demoted[d];
      if (!demoted.set.Contains(NumberAt(demoted.dimension))) return false;
    }
    return !entry.verify || scan_.Matches(rule);
  }

  bool VisitBest(const Entry& entry) {
    for (uint32_t g = entry.guard; g != kNoIndex; g = part_.guards[g].outer) {
      if (!scan_.Matches(policy_.rules[part_.guards[g].rule])) return false;
    }
    const CompiledRule& rule = policy_.rules[entry.rule];
    if (!Matches(entry, rule)) return false;
    scan_.Take(rule, AnchorSlot(entry));
    return true;
  }

  bool VisitInOrder(uint32_t position, const Entry& entry) {
    while (depth_ > 0 && position >= calls_[depth_ - 1].end) {
      const Call& call = calls_[--depth_];
      if (call.decisions != scan_.decisions()) return true;
    }
    if (position < skip_) return false;
    const CompiledRule& rule = policy_.rules[entry.rule];
    if (!Matches(entry, rule)) {
      if (entry.end != kNoIndex) skip_ = entry.end;
      return scan_.is_over();
    }
    scan_.Take(rule, AnchorSlot(entry));
    if (entry.end == kNoIndex) return rule.quick;
    if (rule.quick) calls_[depth_++] = {entry.end, scan_.decisions()};
    return false;
  }

  // A quick call that has been entered.
  struct Call {
    uint32_t end;
    uint32_t decisions;  // before it
  };

  const CompiledPolicy& policy_;
  const Part& part_;
  WorkerCounters& counters_;
  Scan scan_;
  uint32_t skip_ = 0;
  uint32_t depth_ = 0;
  std::array<Call, kMaxAnchorDepth> calls_;
};

}  // namespace

void FindCandidates(const Classifier& classifier, Direction direction,
                    InterfaceView interface,
                    std::span<const PacketInfo* const> packets,
                    VerdictCache& cache, std::span<Candidates> out) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const Part* part = classifier.part(direction, family);
    uint16_t link = 0;
    if (part != nullptr && part->link.needed) {
      const auto* known = part->link.Find(interface);
      // A port that came after the policy: until that is compiled again.
      if (known == nullptr) part = nullptr;
      else link = static_cast<uint16_t>(known->number);
    }
    const PacketInfo* of_family[kMaxBurst];
    uint32_t places[kMaxBurst];
    uint32_t count = 0;
    for (uint32_t i = 0; i < packets.size(); ++i) {
      if (packets[i]->family != family) continue;
      out[i].part = part;
      places[count] = i;
      of_family[count++] = packets[i];
    }
    if (part == nullptr || count == 0) continue;
    Classes classes[kMaxBurst];
    FindClasses(*part, {of_family, count}, link, classes);
    ClassKey keys[kMaxBurst];
    CandidateList* lists[kMaxBurst];
    for (uint32_t k = 0; k < count; ++k) {
      keys[k] = KeyOf(*part, classes[k]);
      lists[k] = &cache.At(keys[k].Hash());
      __builtin_prefetch(lists[k]);
    }
    uint32_t missing[kMaxBurst];
    uint32_t missing_count = 0;
    for (uint32_t k = 0; k < count; ++k) {
      if (lists[k]->key != keys[k]) {
        missing[missing_count++] = k;
        PrefetchPlaces(*part, classes[k]);
        continue;
      }
      Candidates& candidates = out[places[k]];
      candidates.list = *lists[k];
      candidates.complete = true;
    }
    for (uint32_t m = 0; m < missing_count; ++m) {
      PrefetchContents(*part, classes[missing[m]]);
    }
    for (uint32_t m = 0; m < missing_count; ++m) {
      const uint32_t k = missing[m];
      Candidates& candidates = out[places[k]];
      candidates.list.key = keys[k];
      candidates.complete = FillList(*part, classes[k], candidates.list);
      if (candidates.complete) {
        *lists[k] = candidates.list;
      } else {
        candidates.classes = classes[k];
      }
    }
  }
}

void PrefetchCandidates(const Generation& generation,
                        std::span<const Candidates> candidates) {
  const std::vector<CompiledRule>& rules = generation.policy->rules;
  const CompiledRule* first[kMaxBurst];
  uint32_t count = 0;
  for (const Candidates& c : candidates) {
    if (c.part == nullptr || !c.complete || c.list.count == 0) continue;
    __builtin_prefetch(&c.part->entries[c.list.entries[0]]);
  }
  for (const Candidates& c : candidates) {
    if (c.part == nullptr || !c.complete || c.list.count == 0) continue;
    const Entry& entry = c.part->entries[c.list.entries[0]];
    const CompiledRule* const rule = &rules[entry.rule];
    __builtin_prefetch(&rule->action);
    __builtin_prefetch(&rule->record);
    if (entry.verify) {
      __builtin_prefetch(rule);
      __builtin_prefetch(&rule->source);
    }
    first[count++] = rule;
  }
  for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(first[i]->record);
}

namespace {

// The candidates behind `after` of a packet that was just translated. Rules
// that translate stand in parts that keep the order of rules. Returns the entry
// that translated it again, or kNoIndex at the end.
uint32_t GoOn(const Part& part, const EvaluationInput& input, uint32_t after,
              CandidateScan* scan) {
  const PacketInfo packet = scan->packet();
  const PacketInfo* const one = &packet;
  uint16_t link = 0;
  if (part.link.needed) {
    // It was found with the packet's first candidates.
    link = static_cast<uint16_t>(part.link.Find(input.interface)->number);
  }
  Classes classes;
  FindClasses(part, {&one, 1}, link, &classes);
  const uint32_t before = scan->translations();
  Cursor cursor(part, classes, after + 1);
  while (true) {
    const uint32_t entry = cursor.Next();
    if (entry == kNoIndex) return kNoIndex;
    if (entry <= after) continue;
    if (scan->Visit(entry)) return kNoIndex;
    if (scan->translations() != before) return entry;
  }
}

}  // namespace

Verdict EvaluateCandidates(const Generation& generation,
                           const EvaluationInput& input,
                           const Candidates& candidates,
                           WorkerCounters& counters) {
  if (candidates.part == nullptr) {
    return Evaluate(generation, input, counters);
  }
  Verdict verdict;  // what it has room for but does not use stays unwritten
  const Part& part = *candidates.part;
  CandidateScan scan(generation, input, part, counters, verdict);
  const CandidateList& list = candidates.list;
  uint32_t moved = kNoIndex;  // the rule that last translated the packet
  if (candidates.complete) {
    for (uint32_t i = 0; i < list.count; ++i) {
      if (scan.Visit(list.entries[i])) break;
      if (scan.translations() != 0) [[unlikely]] {
        moved = list.entries[i];
        break;
      }
    }
  } else {
    Cursor cursor(part, candidates.classes);
    while (true) {
      const uint32_t entry = cursor.Next();
      if (entry == kNoIndex || scan.Visit(entry)) break;
      if (scan.translations() != 0) [[unlikely]] {
        moved = entry;
        break;
      }
    }
  }
  while (moved != kNoIndex) moved = GoOn(part, input, moved, &scan);
  scan.Decide();
  return verdict;
}

Verdict Classify(const Generation& generation, const EvaluationInput& input,
                 VerdictCache& cache, WorkerCounters& counters) {
  const Classifier* classifier = generation.policy->classifier.get();
  if (classifier == nullptr) return Evaluate(generation, input, counters);
  const PacketInfo* packet = &input.packet;
  Candidates candidates;
  FindCandidates(*classifier, input.direction, input.interface, {&packet, 1},
                 cache, {&candidates, 1});
  return EvaluateCandidates(generation, input, candidates, counters);
}

}  // namespace sluice
