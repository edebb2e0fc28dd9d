// What a store has in force at one moment, with the counts of its rules and
// tables: for listings, exports and the packet log.
//
// Holds the generation that was in force when it was made: what it lists fits
// together, whatever is published meanwhile, and pointers into the policy are
// good for as long as it lives. Nobody waits for a listing. The store outlives
// it. Only Rules(), Addresses() and Match() answer a lack of memory; the
// others throw std::bad_alloc.
#ifndef SLUICE_PFTABLE_STORE_POLICY_LISTING_H_
#define SLUICE_PFTABLE_STORE_POLICY_LISTING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/policy/policy.h"
#include "pftable/store/policy_store.h"

namespace sluice {

struct RuleStatus {
  ListedRule rule;
  uint32_t index = 0;  // of CompiledPolicy::rules
  RuleCounts counts;
  bool expired = false;  // `once`: a packet has been its one
};

struct TableStatus {
  TableKey key;
  bool active = false;
  bool persist = false;
  bool is_const = false;
  bool counters = false;
  uint32_t references = 0;  // rules of the main ruleset and of anchors
  size_t addresses = 0;
  int64_t cleared_at = 0;  // seconds since the epoch
  TableCounts counts;
};

struct TableTestResult {
  uint32_t total = 0;
  uint32_t matched = 0;
  std::vector<bool> matches;  // by address of the request
};

class PolicyListing {
 public:
  explicit PolicyListing(const PolicyStore& store)
      : store_(store), generation_(store.generation()) {}

  const Generation& generation() const { return *generation_; }
  const std::shared_ptr<const Policy>& policy() const {
    return generation_->policy->source;
  }

  // The filter's, scrub rules first, in order of evaluation within their anchor; `anchor` "" is
  // the main ruleset. NotFound for an anchor that is not there.
  absl::StatusOr<std::vector<RuleStatus>> Rules(std::string_view anchor) const;
  // FreeBSD's translation rules of an anchor: nat, rdr, binat.
  absl::StatusOr<std::vector<RuleStatus>> TranslationRules(
      std::string_view anchor) const;
  // Of all rulesets: the filter's, nat, rdr, binat.
  std::vector<RuleStatus> AllRules() const;
  // Those of all anchors, ascending by anchor and name.
  std::vector<TableStatus> Tables() const;
  // What the table holds, IPv4 before IPv6, ascending. NotFound for a table
  // that is not there or not active.
  absl::StatusOr<std::vector<TableEntry>> Addresses(const TableKey& key) const;
  // A page of it: AddressTable::EntriesAfter(). NotFound as above.
  absl::StatusOr<std::vector<TableEntry>> AddressesAfter(
      const TableKey& key, const Prefix* after, size_t limit) const;
  // By address the entry that decides it, if there is one. NotFound as above.
  absl::StatusOr<std::vector<std::optional<TableEntry>>> Longest(
      const TableKey& key, std::span<const Address> addresses) const;
  // Hosts only: InvalidArgument for networks.
  absl::StatusOr<TableTestResult> Match(const TableKey& key,
                                        std::span<const Prefix> hosts) const;

 private:
  absl::StatusOr<std::vector<RuleStatus>> RulesOf(std::string_view anchor,
                                                  bool translation) const;
  absl::StatusOr<const GenerationTable*> FindActive(const TableKey& key) const;

  const PolicyStore& store_;
  const std::shared_ptr<const Generation> generation_;
};

// ---- Counters --------------------------------------------------------------

// Of all rules in force and of the default rule.
void ZeroRules(PolicyStore& store);
// Of the rules that the last load has put in force, and not of those of
// anchors that stayed, unless `set keepcounters` is.
void ZeroLoadedRules(PolicyStore& store);
// Of the table alone: those of its entries are GenerationTable::entries'.
// NotFound for a table that is not there.
absl::Status ZeroTable(PolicyStore& store, const TableKey& key);
// TableSlots::Raise() of a table, if there is such a one.
void RaiseTable(PolicyStore& store, const TableKey& key,
                const TableCounts& least, int64_t cleared_at);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_POLICY_LISTING_H_
