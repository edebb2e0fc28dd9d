#include "pftable/classify/classifier.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
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
    part_->serial = NextSerial();
    part_->in_order = flat_.in_order;
    if (!flat_.in_order) SortByPriority();
    Demote();
    FillEntries();
    MakeGroups();
    if (!FillAddresses(kSource, part_->source) ||
        !FillAddresses(kDestination, part_->destination) ||
        !FillPorts(kSourcePort, part_->source_port) ||
        !FillPorts(kDestinationPort, part_->destination_port) ||
        !FillTransport() || !FillLinks()) {
      return nullptr;
    }
    for (Group& group : part_->groups) {
      const size_t g = &group - part_->groups.data();
      group.words = static_cast<uint32_t>(
          ((group.entries.size() + kBlockBits - 1) / kBlockBits + 63) / 64);
      for (uint8_t d = 0; d < kDimensions; ++d) {
        if (!part_->rows[d].groups[g].wild_only) {
          group.active.push_back(static_cast<Dimension>(d));
        }
      }
    }
    return std::move(part_);
  }

 private:
  // Quick rules as they stand, then the others from the last to the first.
  void SortByPriority() {
    const auto quick = std::ranges::stable_partition(
        flat_.rules,
        [&](const FlatRule& r) { return policy_.rules[r.rule].quick; });
    std::ranges::reverse(quick);
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

  // Every interval that a rule covers may take a block. Where they could take
  // too many, the rules that cover most lose the condition and are verified.
  void Demote() {
    demoted_.assign(flat_.rules.size(), kNoIndex);
    for (uint8_t d = kSource; d <= kDestinationPort; ++d) {
      const std::vector<const IntervalSet*> sets = Sets(d);
      std::vector<Number>& boundaries = boundaries_[d];
      boundaries = Boundaries(sets, Top(d));
      std::vector<uint32_t>& spans = spans_[d];
      spans.assign(sets.size(), 0);
      size_t sum = 0;
      for (size_t i = 0; i < sets.size(); ++i) {
        spans[i] = static_cast<uint32_t>(Span(*sets[i], boundaries, Top(d)));
        if (!sets[i]->all()) sum += spans[i];
      }
      const size_t blocks = sets.size() / kBlockBits + 1 + kGroupKinds;
      if (std::min(sum, boundaries.size() * blocks) <= MostBlocks()) continue;
      std::vector<uint32_t> widest(sets.size());
      std::iota(widest.begin(), widest.end(), 0);
      std::ranges::sort(widest, [&](uint32_t a, uint32_t b) {
        return spans[a] > spans[b];
      });
      for (const uint32_t i : widest) {
        if (sum <= MostBlocks()) break;
        FlatRule& rule = flat_.rules[i];
        if (Set(rule, d).all()) continue;
        sum -= spans[i];
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
      entry.anchor_slot = flat.anchor_slot;
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

  // Whether a rule's condition picks few of a dimension's intervals.
  bool Narrow(uint32_t rule, uint8_t dimension) {
    if (Set(flat_.rules[rule], dimension).all()) return false;
    return spans_[dimension][rule] <=
           std::max<size_t>(8, boundaries_[dimension].size() / 64);
  }

  void MakeGroups() {
    const size_t size = flat_.rules.size();
    std::vector<uint8_t> kinds(size, 0);
    std::array<size_t, kGroupKinds> sizes{};
    if (size >= bounds_.least_grouped) {
      for (uint32_t i = 0; i < size; ++i) {
        kinds[i] = static_cast<uint8_t>(
            Narrow(i, kSource) | Narrow(i, kDestination) << 1 |
            (Narrow(i, kSourcePort) || Narrow(i, kDestinationPort)) << 2);
        ++sizes[kinds[i]];
      }
    }
    std::array<uint32_t, kGroupKinds> numbers;
    numbers.fill(kNoIndex);
    layout_.places.resize(size);
    for (uint32_t i = 0; i < size; ++i) {
      // A few rules are not worth a group.
      const uint8_t kind = sizes[kinds[i]] < kBlockBits / 4 ? 0 : kinds[i];
      if (numbers[kind] == kNoIndex) {
        numbers[kind] = static_cast<uint32_t>(part_->groups.size());
        part_->groups.emplace_back();
      }
      Group& group = part_->groups[numbers[kind]];
      layout_.places[i] = {numbers[kind],
                           static_cast<uint32_t>(group.entries.size())};
      group.entries.push_back(i);
    }
    for (const Group& group : part_->groups) {
      layout_.sizes.push_back(static_cast<uint32_t>(group.entries.size()));
    }
  }

  std::vector<bool> Wild(uint8_t dimension) {
    std::vector<bool> wild;
    wild.reserve(flat_.rules.size());
    for (FlatRule& rule : flat_.rules) {
      wild.push_back(Set(rule, dimension).all());
    }
    return wild;
  }

  bool FillIntervals(uint8_t dimension, Intervals* intervals) {
    RowBuilder rows(layout_, Wild(dimension));
    if (!Sweep(Sets(dimension), Top(dimension), 2 * MostBlocks(), rows,
               intervals)) {
      return false;
    }
    part_->rows[dimension] = std::move(rows).Finish();
    return true;
  }

  bool FillAddresses(uint8_t dimension, AddressClasses& classes) {
    Intervals intervals;
    if (!FillIntervals(dimension, &intervals)) return false;
    classes.Build(family_, intervals);
    return true;
  }

  bool FillPorts(uint8_t dimension, PortClasses& classes) {
    Intervals intervals;
    if (!FillIntervals(dimension, &intervals)) return false;
    if (part_->rows[dimension].classes >
        std::numeric_limits<uint16_t>::max()) {
      return false;
    }
    classes.Build(intervals);
    return true;
  }

  bool FillTransport() {
    std::vector<bool> wild;
    std::vector<uint32_t> numbers;
    for (const FlatRule& rule : flat_.rules) {
      wild.push_back(flat_.transports[rule.transport].empty());
      numbers.push_back(rule.transport);
    }
    RowBuilder rows(layout_, wild);
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
    RowBuilder rows(layout_, wild);
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
      }
      link.known.push_back({interface, it->second});
    }
    part_->rows[kLink] = std::move(rows).Finish();
    return part_->rows[kLink].classes <= std::numeric_limits<uint16_t>::max();
  }

  // Narrow or not in source, destination and ports.
  static constexpr size_t kGroupKinds = 8;

  const CompiledPolicy& policy_;
  FlatRules flat_;
  const Family family_;
  const std::span<const InterfaceView> interfaces_;
  const ClassifierBounds& bounds_;
  std::unique_ptr<Part> part_;
  Layout layout_;
  std::array<std::vector<Number>, kDestinationPort + 1> boundaries_;
  std::array<std::vector<uint32_t>, kDestinationPort + 1> spans_;
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

std::shared_ptr<const Classifier> Classifier::Build(
    const CompiledPolicy& policy, std::span<const InterfaceView> interfaces,
    const ClassifierBounds& bounds) {
  std::shared_ptr<Classifier> result(new Classifier());
  Report& report = result->report_;
  for (const Direction direction : {Direction::kIn, Direction::kOut}) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      std::optional<classify::FlatRules> flat =
          classify::Flatten(policy, direction, family, bounds.most_rules);
      if (flat && flat->rules.size() < bounds.least_rules) continue;
      std::unique_ptr<const classify::Part> part;
      if (flat) {
        classify::PartBuilder builder(policy, *std::move(flat), family,
                                      interfaces, bounds);
        part = builder.Run();
      }
      if (part == nullptr) {
        ++report.walked;
        continue;
      }
      report.entries += part->entries.size();
      report.groups += part->groups.size();
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
