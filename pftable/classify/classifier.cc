#include "pftable/classify/classifier.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

namespace sluice {
namespace classify {
namespace {

constexpr Number kTopPort = 65535;

uint64_t NextSerial() {
  static std::atomic<uint64_t> last = 0;
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

class PartBuilder {
 public:
  PartBuilder(const CompiledPolicy& policy, FlatRules flat, Family family,
              std::span<const InterfaceView> interfaces,
              const ClassifierBounds& bounds)
      : policy_(policy),
        flat_(std::move(flat)),
        family_(family),
        interfaces_(interfaces),
        bounds_(bounds),
        part_(std::make_unique<Part>()) {}

  // Null: a bound was in the way.
  std::unique_ptr<const Part> Run() {
    if (flat_.transports.size() > kMostNumbers ||
        flat_.links.size() > kMostNumbers) {
      return nullptr;
    }
    part_->serial = NextSerial();
    part_->in_order = flat_.in_order;
    if (!flat_.in_order) SortByPriority();
    Cut();
    ChooseHomes();
    Demote();
    FillEntries();
    if (!FillAddresses(kSource, part_->source) ||
        !FillAddresses(kDestination, part_->destination) ||
        !FillPorts(kSourcePort, part_->source_port) ||
        !FillPorts(kDestinationPort, part_->destination_port) ||
        !FillTransport() || !FillLinks()) {
      return nullptr;
    }
    FillLists();
    part_->words = static_cast<uint32_t>(
        ((part_->bits.size() + kBlockBits - 1) / kBlockBits + 63) / 64);
    for (uint8_t d = 0; d < kDimensions; ++d) {
      if (!part_->rows[d].wild_only) {
        part_->active.push_back(static_cast<Dimension>(d));
      }
    }
    return std::move(part_);
  }

 private:
  // Quick rules as they stand, then the others from the last to the first.
  void SortByPriority() {
    std::vector<FlatRule>& rules = flat_.rules;
    const auto others = std::stable_partition(
        rules.begin(), rules.end(),
        [&](const FlatRule& r) { return policy_.rules[r.rule].quick; });
    std::reverse(others, rules.end());
  }

  IntervalSet& Set(FlatRule& rule, uint8_t dimension) const {
    switch (dimension) {
      case kSource:
        return rule.source;
      case kDestination:
        return rule.destination;
      case kSourcePort:
        return rule.source_port;
      default:
        return rule.destination_port;
    }
  }
  Number Top(uint8_t dimension) const {
    if (dimension == kSourcePort || dimension == kDestinationPort) {
      return kTopPort;
    }
    return family_ == Family::kIpv4 ? Number{0xffffffff} : ~Number{0};
  }
  std::vector<const IntervalSet*> Sets(uint8_t dimension) {
    std::vector<const IntervalSet*> sets;
    sets.reserve(flat_.rules.size());
    for (FlatRule& rule : flat_.rules) sets.push_back(&Set(rule, dimension));
    return sets;
  }
  size_t MostBlocks() const {
    return std::max(bounds_.least_blocks,
                    bounds_.blocks_per_rule * flat_.rules.size());
  }

  void Cut() {
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      cuts_[d] = Cuts(Sets(d), Top(d));
    }
  }

  // A record compares one interval of each dimension.
  static bool IsOneInterval(const Cuts& cuts, uint32_t rule) {
    return cuts.IsAll(rule) || cuts.ranges(rule).size() == 1;
  }

  // How many rules pick each interval of a dimension, of those that pick few.
  std::vector<uint32_t> Crowd(uint8_t dimension, uint32_t widest,
                              const std::vector<bool>& candidate) const {
    const Cuts& cuts = cuts_[dimension];
    std::vector<uint32_t> crowd(cuts.size() + 1);
    for (uint32_t i = 0; i < flat_.rules.size(); ++i) {
      if (!candidate[i] || cuts.IsAll(i) || cuts.span(i) > widest) continue;
      const Cuts::Range range = cuts.ranges(i)[0];
      ++crowd[range.first];
      --crowd[range.end];
    }
    uint32_t sum = 0;
    for (uint32_t& count : crowd) count = sum += count;
    return crowd;
  }
  // The most of those that rule `i` picks.
  static uint32_t Most(const std::vector<uint32_t>& crowd, const Cuts& cuts,
                       uint32_t i) {
    const Cuts::Range range = cuts.ranges(i)[0];
    return *std::max_element(crowd.begin() + range.first,
                             crowd.begin() + range.end);
  }

  // The dimension in whose lists each rule stands, or kDimensions: rows have
  // it. Of those in which it picks few intervals, the one where fewest others
  // do. The lists of a rule and all of them together are bounded.
  void ChooseHomes() {
    const size_t size = flat_.rules.size();
    homes_.assign(size, kDimensions);
    if (size >= bounds_.least_listed) {
      const size_t most = std::max(bounds_.least_records,
                                   bounds_.records_per_rule * size);
      for (uint32_t widest = kWidest; widest > 0; widest /= 2) {
        if (ChooseHomes(widest) <= most) break;
        homes_.assign(size, kDimensions);
      }
    }
    bits_.assign(size, kNoIndex);
    for (uint32_t i = 0; i < size; ++i) {
      if (homes_[i] != kDimensions) continue;
      bits_[i] = static_cast<uint32_t>(part_->bits.size());
      part_->bits.push_back(i);
    }
  }

  // Returns how many records they take.
  size_t ChooseHomes(uint32_t widest) {
    const size_t size = flat_.rules.size();
    std::vector<bool> candidate(size, true);
    for (uint32_t i = 0; i < size; ++i) {
      for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
        candidate[i] = candidate[i] && IsOneInterval(cuts_[d], i);
      }
    }
    std::array<std::vector<uint32_t>, kCompared> crowds;
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      crowds[d] = Crowd(d, widest, candidate);
    }
    for (uint32_t i = 0; i < size; ++i) {
      if (!candidate[i]) continue;
      uint32_t best = kNoIndex;
      for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
        if (cuts_[d].IsAll(i) || cuts_[d].span(i) > widest) continue;
        const uint32_t crowd = Most(crowds[d], cuts_[d], i);
        if (crowd >= best) continue;
        best = crowd;
        homes_[i] = d;
      }
    }
    // Where too many are at home all the same, they are not.
    size_t records = 0;
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      std::vector<bool> here(size);
      for (uint32_t i = 0; i < size; ++i) here[i] = homes_[i] == d;
      const std::vector<uint32_t> crowd = Crowd(d, widest, here);
      for (uint32_t i = 0; i < size; ++i) {
        if (!here[i]) continue;
        if (Most(crowd, cuts_[d], i) > bounds_.longest_list) {
          homes_[i] = kDimensions;
        } else {
          records += cuts_[d].span(i);
        }
      }
    }
    return records;
  }

  // Every interval that a rule with a bit covers may take a block. Where they
  // could take too many, the rules that cover most lose the condition and are
  // verified.
  void Demote() {
    demoted_.assign(flat_.rules.size(), kNoIndex);
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      size_t sum = 0;
      std::vector<uint32_t> widest;
      for (const uint32_t i : part_->bits) {
        if (cuts_[d].IsAll(i)) continue;
        widest.push_back(i);
        sum += cuts_[d].span(i);
      }
      const size_t blocks = part_->bits.size() / kBlockBits + 1;
      if (std::min(sum, cuts_[d].size() * blocks) <= MostBlocks()) {
        continue;
      }
      std::ranges::sort(widest, [&](uint32_t a, uint32_t b) {
        return cuts_[d].span(a) > cuts_[d].span(b);
      });
      for (const uint32_t i : widest) {
        if (sum <= MostBlocks()) break;
        FlatRule& rule = flat_.rules[i];
        sum -= cuts_[d].span(i);
        cuts_[d].MakeAll(i);
        part_->demoted.push_back({static_cast<Dimension>(d),
                                  std::exchange(Set(rule, d), IntervalSet()),
                                  demoted_[i]});
        demoted_[i] = static_cast<uint32_t>(part_->demoted.size() - 1);
      }
    }
  }

  void FillEntries() {
    for (size_t i = 0; i < flat_.rules.size(); ++i) {
      const FlatRule& flat = flat_.rules[i];
      const CompiledRule& rule = policy_.rules[flat.rule];
      Entry& entry = part_->entries.emplace_back();
      entry.rule = flat.rule;
      entry.call = flat.call;
      entry.guard = flat_.in_order ? kNoIndex : flat.guard;
      entry.end = flat.end;
      entry.demoted = demoted_[i];
      entry.verify = flat.verify;
      entry.certain = !flat.verify && entry.demoted == kNoIndex &&
                      flat.guard == kNoIndex &&
                      !flat.is_call() &&
                      (!flat_.in_order || rule.quick);
    }
    part_->guards = flat_.guards;
  }

  std::vector<bool> Wild(uint8_t dimension) const {
    std::vector<bool> wild(flat_.rules.size());
    for (uint32_t i = 0; i < wild.size(); ++i) {
      wild[i] = cuts_[dimension].IsAll(i);
    }
    return wild;
  }

  uint32_t BitCount() const {
    return static_cast<uint32_t>(part_->bits.size());
  }

  bool FillIntervals(uint8_t dimension, Intervals* intervals) {
    RowBuilder rows(bits_, BitCount(), Wild(dimension));
    if (!Sweep(cuts_[dimension], 2 * MostBlocks(), rows, intervals,
               &numbers_[dimension])) {
      return false;
    }
    part_->rows[dimension] = std::move(rows).Finish();
    return true;
  }

  bool FillAddresses(uint8_t dimension, AddressClasses& classes) {
    if (!FillIntervals(dimension, &intervals_[dimension])) return false;
    classes.Build(family_, intervals_[dimension]);
    return true;
  }

  bool FillPorts(uint8_t dimension, PortClasses& classes) {
    if (!FillIntervals(dimension, &intervals_[dimension])) return false;
    if (part_->rows[dimension].classes > kMostNumbers) return false;
    classes.Build(intervals_[dimension]);
    return true;
  }

  bool FillTransport() {
    std::vector<bool> wild;
    std::vector<uint32_t> numbers;
    for (const FlatRule& rule : flat_.rules) {
      wild.push_back(flat_.transports[rule.transport].empty());
      numbers.push_back(rule.transport);
    }
    RowBuilder rows(bits_, BitCount(), wild);
    if (!part_->transport.Build(family_, flat_.transports, numbers, rows)) {
      return false;
    }
    part_->rows[kTransport] = std::move(rows).Finish();
    return true;
  }

  bool FillLinks() {
    std::vector<bool> wild;
    std::vector<std::vector<uint32_t>> rules(flat_.links.size());
    LinkClasses& link = part_->link;
    for (uint32_t i = 0; i < flat_.rules.size(); ++i) {
      const uint32_t number = flat_.rules[i].link;
      wild.push_back(flat_.links[number].empty());
      if (wild.back()) continue;
      rules[number].push_back(i);
      link.needed = true;
    }
    RowBuilder rows(bits_, BitCount(), wild);
    link.holds.Start(flat_.links.size());
    std::map<std::vector<bool>, uint32_t> classes;
    std::vector<InterfaceView> all(interfaces_.begin(), interfaces_.end());
    all.push_back(InterfaceView());
    std::ranges::sort(all, {}, &InterfaceView::id);
    for (const InterfaceView& interface : all) {
      std::vector<bool> holds;
      for (const std::vector<InterfaceCondition>& list : flat_.links) {
        holds.push_back(
            std::ranges::all_of(list, [&](const InterfaceCondition& c) {
              return c.Matches(interface);
            }));
      }
      const auto [it, fresh] = classes.try_emplace(holds, 0);
      if (fresh) {
        const auto toggle = [&] {
          for (size_t n = 0; n < holds.size(); ++n) {
            if (!holds[n]) continue;
            for (const uint32_t rule : rules[n]) rows.Toggle(rule);
          }
        };
        toggle();
        it->second = rows.Class();
        toggle();
        // Lists of conditions all have rules, so that this is a class of its
        // own.
        link.holds.Add(holds);
      }
      link.known.push_back({interface, it->second});
    }
    part_->rows[kLink] = std::move(rows).Finish();
    return part_->rows[kLink].classes <= kMostNumbers;
  }

  // The intervals of a set of one, by number; ports by themselves.
  std::pair<uint32_t, uint32_t> Numbers(uint32_t rule, uint8_t d) const {
    const Cuts& cuts = cuts_[d];
    if (cuts.IsAll(rule)) return {0, kNoIndex};
    const auto [first, end] = cuts.ranges(rule)[0];
    if (Top(d) == kTopPort) {
      return {static_cast<uint32_t>(cuts.starts()[first]),
              static_cast<uint32_t>(
                  end == cuts.size() ? kTopPort : cuts.starts()[end] - 1)};
    }
    const std::vector<uint32_t>& numbers = numbers_[d];
    return {numbers[first], numbers[end - 1]};
  }

  void FillLists() {
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      // How many each class has, then where the next of it goes.
      std::vector<uint32_t> places(part_->rows[d].classes + 1);
      uint32_t records = 0;
      ForEachPlace(d, [&](uint32_t, uint32_t number) {
        ++places[number];
        ++records;
      });
      if (records == 0) continue;
      part_->listed.push_back(static_cast<Dimension>(d));
      uint32_t before = 0;
      for (uint32_t& place : places) before += std::exchange(place, before);
      Lists& lists = part_->lists[d];
      lists.offsets = places;
      lists.records.resize(records);
      Record record{};
      uint32_t last = kNoIndex;
      ForEachPlace(d, [&](uint32_t rule, uint32_t number) {
        if (rule != last) record = RecordOf(rule);
        last = rule;
        lists.records[places[number]++] = record;
      });
    }
  }

  // Calls `f` with each rule that is at home in a dimension, ascending, and
  // the classes in whose lists it stands.
  template <typename F>
  void ForEachPlace(uint8_t dimension, F&& f) const {
    const Intervals& intervals = intervals_[dimension];
    const std::vector<uint32_t>& numbers = numbers_[dimension];
    // By class: the rule that was put there last. Intervals of one class may
    // come more than once.
    std::vector<uint32_t> last(part_->rows[dimension].classes, kNoIndex);
    for (uint32_t i = 0; i < flat_.rules.size(); ++i) {
      if (homes_[i] != dimension) continue;
      const Cuts::Range range = cuts_[dimension].ranges(i)[0];
      for (uint32_t n = numbers[range.first]; n <= numbers[range.end - 1];
           ++n) {
        const uint32_t number = intervals.classes[n];
        if (std::exchange(last[number], i) != i) f(i, number);
      }
    }
  }

  Record RecordOf(uint32_t rule) const {
    const FlatRule& flat = flat_.rules[rule];
    Record record{};
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      std::tie(record.low[d], record.high[d]) = Numbers(rule, d);
    }
    record.entry = rule;
    record.transport = static_cast<uint16_t>(flat.transport);
    record.link = static_cast<uint16_t>(flat.link);
    return record;
  }

  static constexpr size_t kMostNumbers = std::numeric_limits<uint16_t>::max();
  // Intervals that a rule may pick to stand in lists.
  static constexpr uint32_t kWidest = 256;

  const CompiledPolicy& policy_;
  FlatRules flat_;
  const Family family_;
  const std::span<const InterfaceView> interfaces_;
  const ClassifierBounds& bounds_;
  std::unique_ptr<Part> part_;
  std::vector<uint8_t> homes_;  // by rule: a dimension
  Bits bits_;                   // by rule
  std::array<Cuts, kDestinationPort + 1> cuts_;
  std::array<Intervals, kDestinationPort + 1> intervals_;
  // By interval of the cuts.
  std::array<std::vector<uint32_t>, kDestinationPort + 1> numbers_;
  std::vector<uint32_t> demoted_;  // by rule: the first of its sets
};

}  // namespace

const LinkClasses::Known* LinkClasses::Find(InterfaceView interface) const {
  const auto it = std::ranges::lower_bound(
      known, interface.id, {},
      [](const Known& k) { return k.interface.id; });
  if (it == known.end() || it->interface != interface) return nullptr;
  return &*it;
}

}  // namespace classify

namespace {

// Whether a rule of those that are flattened asks for a direction.
bool NamesDirection(const CompiledPolicy& policy) {
  return std::ranges::any_of(policy.rules, [](const CompiledRule& rule) {
    const bool filters = rule.action == RuleAction::kPass ||
                         rule.action == RuleAction::kBlock ||
                         rule.action == RuleAction::kMatch;
    return filters && rule.direction != Direction::kBoth;
  });
}

}  // namespace

std::shared_ptr<const Classifier> Classifier::Build(
    const CompiledPolicy& policy, std::span<const InterfaceView> interfaces,
    const ClassifierBounds& bounds) {
  std::shared_ptr<Classifier> result(new Classifier());
  Report& report = result->report_;
  const bool alike = !NamesDirection(policy);
  for (const Direction direction : {Direction::kIn, Direction::kOut}) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      PartReport& own = report.parts[static_cast<size_t>(direction)]
                                    [family == Family::kIpv6];
      if (policy.rules.size() < bounds.least_rules) continue;
      if (alike && direction == Direction::kOut) {
        const size_t in = static_cast<size_t>(Direction::kIn);
        const size_t out = static_cast<size_t>(Direction::kOut);
        const size_t v6 = family == Family::kIpv6;
        own = report.parts[in][v6];
        if (own.walked != classify::WalkReason::kNone &&
            own.walked != classify::WalkReason::kFew) {
          ++report.walked;
        }
        result->parts_[out][v6] = result->parts_[in][v6];
        continue;
      }
      std::optional<classify::FlatRules> flat = classify::Flatten(
          policy, direction, family, bounds.most_rules, &own.walked);
      if (flat && flat->rules.size() < bounds.least_rules) {
        own.walked = classify::WalkReason::kFew;
        continue;
      }
      std::unique_ptr<const classify::Part> part;
      if (flat) {
        own.rules = flat->rules.size();
        classify::PartBuilder builder(policy, *std::move(flat), family,
                                      interfaces, bounds);
        part = builder.Run();
        if (part == nullptr) own.walked = classify::WalkReason::kClasses;
      }
      if (part == nullptr) {
        ++report.walked;
        continue;
      }
      report.entries += part->entries.size();
      report.listed += part->entries.size() - part->bits.size();
      for (const classify::Lists& lists : part->lists) {
        report.records += lists.records.size();
        report.bytes += lists.MemoryUse();
      }
      report.demoted += part->demoted.size();
      report.bytes += part->source.MemoryUse() +
                      part->destination.MemoryUse() +
                      part->entries.size() * sizeof(classify::Entry);
      for (const classify::DimensionRows& rows : part->rows) {
        report.classes += rows.classes;
        report.blocks += rows.blocks.size();
        report.bytes += rows.MemoryUse();
      }
      result->parts_[static_cast<size_t>(direction)]
                    [family == Family::kIpv6] = std::move(part);
    }
  }
  return result;
}

}  // namespace sluice
