// pftable/classify/ answers, for packets that no state decides, which rules of
// a policy a packet may match, in a time that hardly depends on how many rules
// there are. It may touch what workers read of a policy (pftable/engine/) and
// the packet; it has no I/O, clock or globals. The plain interpreter
// (Evaluate()) is its oracle.
//
// A classifier belongs to one compiled policy and is as immutable; compiled
// again for another filter, under the same interfaces, the same policy has the
// same one (PolicyPool). Rules are
// flattened, one list for each direction and family. Each dimension (source,
// destination, both ports, the rest of the headers, the interface) sorts its
// values into classes: the values of a class are in the conditions of the same
// rules. A rule that picks few values of a dimension is found by lists there
// (lists.h). All others have a bit in the rows of classes (rows.h); those set
// in the rows of all of a packet's classes are for it. Both together are its
// candidates, in their order. What a class cannot say (tables, tags,
// probability, packet sizes, `received-on`, TOS) is verified on them as the
// interpreter does.
//
// Which candidates the classes of a packet have is remembered for each worker
// in a VerdictCache.
#ifndef SLUICE_PFTABLE_CLASSIFY_CLASSIFIER_H_
#define SLUICE_PFTABLE_CLASSIFY_CLASSIFIER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pftable/classify/flatten.h"
#include "pftable/classify/intervals.h"
#include "pftable/classify/lists.h"
#include "pftable/classify/rows.h"
#include "pftable/classify/transport.h"
#include "pftable/engine/generation.h"

namespace sluice {

namespace classify {

enum Dimension : uint8_t {
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kTransport,
  kLink,
  kDimensions,
};

// A rule as the worker side needs it.
struct Entry {
  uint32_t rule;         // of CompiledPolicy::rules
  uint32_t call;         // the innermost around it, as `rule`, or kNoIndex
  uint32_t guard;        // see FlatRule; used when rules are not in order
  uint32_t end;          // see FlatRule
  uint32_t demoted;      // into Part::demoted, or kNoIndex
  bool verify;
  // Once it matches nothing after it matters; and that it is a candidate says
  // that it matches.
  bool certain;
};

// A condition that no row has, because too many would have differed by it.
struct DemotedSet {
  Dimension dimension;
  IntervalSet set;
  uint32_t next = kNoIndex;  // of the same rule
};

// The interfaces that there were when the policy was compiled, by id.
struct LinkClasses {
  struct Known {
    InterfaceView interface;
    uint32_t number = 0;  // class
  };
  bool needed = false;  // some rule has a condition
  std::vector<Known> known;
  HoldBits holds;

  // Null: not one of them.
  const Known* Find(InterfaceView interface) const;
};

// What a packet is in every dimension.
struct Classes {
  std::array<uint32_t, kDimensions> numbers;
  // As Record compares them.
  std::array<uint32_t, kCompared> compared;
};

// All of one direction and family.
struct Part {
  uint64_t serial = 0;  // no other part has it or ever had it
  bool in_order = false;
  std::vector<Entry> entries;
  std::vector<Guard> guards;
  std::vector<DemotedSet> demoted;
  // Rules that pick few values of a dimension; which dimensions have any.
  std::array<Lists, kCompared> lists;
  std::vector<Dimension> listed;
  // All others: the entry of each bit, ascending; in which dimensions any of
  // them has a condition.
  std::vector<uint32_t> bits;
  uint32_t words = 0;  // of a mask of blocks
  std::vector<Dimension> active;
  std::array<DimensionRows, kDimensions> rows;
  AddressClasses source, destination;
  PortClasses source_port, destination_port;
  TransportClasses transport;
  LinkClasses link;
};

}  // namespace classify

// What bounds the memory and time of a build; the defaults are for a filter.
struct ClassifierBounds {
  // Fewer rules are walked one by one: that is faster.
  size_t least_rules = 6;
  // Anchors written out, for one direction and family.
  size_t most_rules = 1 << 20;
  // Blocks that the rows of one dimension store, for each rule and at least.
  size_t blocks_per_rule = 64;
  size_t least_blocks = 4 << 20;
  // Rules from which on lists are made: rows of fewer are as fast.
  size_t least_listed = 512;
  // The longest list, and records that lists have, for each rule and at least.
  size_t longest_list = 64;
  size_t records_per_rule = 8;
  size_t least_records = 1 << 16;
};

class Classifier {
 public:
  // `interfaces`: all that there are. Never null; parts that a bound keeps
  // from being built are walked as before (see Report).
  static std::shared_ptr<const Classifier> Build(
      const CompiledPolicy& policy, std::span<const InterfaceView> interfaces,
      const ClassifierBounds& bounds = {});

  // Null: packets of this direction and family are walked.
  const classify::Part* part(Direction direction, Family family) const {
    return parts_[static_cast<size_t>(direction)][family == Family::kIpv6]
        .get();
  }

  // For diagnosis.
  struct PartReport {
    // kNone: it was built.
    classify::WalkReason walked = classify::WalkReason::kFew;
    size_t rules = 0;     // anchors written out; of those that are walked: 0
  };
  struct Report {
    std::array<std::array<PartReport, 2>, 2> parts;  // as part()
    size_t entries = 0;
    size_t listed = 0;    // of them
    size_t records = 0;
    size_t classes = 0;   // of all dimensions
    size_t blocks = 0;
    size_t bytes = 0;
    // Conditions of so many rules would have taken too many blocks, and are
    // verified packet by packet instead.
    size_t demoted = 0;
    // Parts with enough rules that were not built.
    size_t walked = 0;
  };
  const Report& report() const { return report_; }

 private:
  Classifier() = default;

  // Both directions have the same where no rule asks for one.
  std::array<std::array<std::shared_ptr<const classify::Part>, 2>, 2> parts_;
  Report report_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_CLASSIFY_CLASSIFIER_H_
