// A filter without packets, for tests of the control socket: each line of a
// ruleset is a rule, a line that begins with "error" is an error, and tables
// and states are plain lists.
#ifndef SLUICE_TESTS_SUPPORT_FAKE_FILTER_CONTROL_H_
#define SLUICE_TESTS_SUPPORT_FAKE_FILTER_CONTROL_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/api/filter_control.h"

namespace sluice {

class FakeFilterControl : public FilterControl,
                          private RuleControl,
                          private StateControl,
                          private TableControl,
                          private StatusControl {
 public:
  // What it holds; tests set and look at it.
  std::vector<RuleListing> rules;
  std::vector<RuleListing> translation_rules;
  std::vector<StateListing> states;
  std::map<std::string, std::map<Prefix, bool>> tables;  // negated or not
  bool enabled = false;
  uint64_t generation = 1;
  LoadRequest last_load;
  StateQuery last_kill;
  StateQuery last_states;  // listed or counted
  std::optional<StateOrder> last_order;
  std::vector<NamedCounter> fragment_counters;
  std::vector<NamedCounter> flow_counters;
  std::vector<ExplainRequest> explained;
  // By "in PORT" or "out PORT": what is said of a router there.
  std::map<std::string, ExplainedWayListing> ways, copies;
  std::vector<CommitListing> commits;
  std::optional<uint64_t> confirm_left;
  size_t rolled_back = 0;
  RuleQuery last_rule_query;
  PolicyFlush last_flush;
  std::vector<std::string> anchors;
  // Its directory has removed it: jobs that were begun come to nothing.
  bool destroyed = false;
  int info_cleared = 0;
  int counters_cleared = 0;
  int loads_cleared = 0;
  // What was begun, built and published, in order: "begin a", "build a", ...
  // Written by the builder thread too, but never at the same time.
  std::vector<std::string> log;
  TableEdit last_edit;
  // How often a table's edit is outdated before it can be published.
  int outdated = 0;
  // Called by Build(), on the builder thread.
  std::function<void()> on_build;
  // Gathers counters instead of nobody.
  std::function<void(std::function<void()>)> on_collect;
  // State listings wait here until a test answers them.
  bool hold_states = false;
  std::vector<std::function<void()>> held;

  RuleControl& Rules() override { return *this; }
  StateControl& States() override { return *this; }
  TableControl& Tables() override { return *this; }
  StatusControl& Status() override { return *this; }

 private:
  std::unique_ptr<BuildJob<LoadResult>> BeginLoad(LoadRequest request) override;
  std::unique_ptr<BuildJob<LoadResult>> BeginRollback(size_t back, uint32_t uid,
                                                      int32_t pid) override;
  absl::Status ConfirmCommit() override;
  std::vector<CommitListing> Commits() override { return commits; }
  std::optional<uint64_t> ConfirmLeft() override { return confirm_left; }
  std::unique_ptr<BuildJob<ExplainResult>> BeginExplain(
      ExplainRequest request) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules(
      PolicyFlush flush) override;
  absl::StatusOr<std::vector<std::string>> ListAnchors(const std::string&,
                                                       bool) override {
    return anchors;
  }
  absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                      const std::string& cursor,
                                      size_t limit) override;
  void CollectCounters(std::function<void()> done) override {
    on_collect ? on_collect(std::move(done)) : done();
  }
  void ClearRuleCounters() override { ++counters_cleared; }
  void ClearLoadedCounters() override { ++loads_cleared; }
  void ListStates(const StateQuery& query, const std::string& cursor,
                  size_t limit, Done<StateSlice> done) override;
  void TopStates(const StateQuery& query, StateOrder order, size_t limit,
                 Done<std::vector<StateListing>> done) override;
  void CountStates(const StateQuery& query, Done<StateCount> done) override;
  void KillStates(const StateQuery& query, Done<uint64_t> done) override;
  std::vector<TableListing> ListTables() override;
  absl::StatusOr<TableSlice> ListTable(const std::string& table,
                                       const std::string& anchor,
                                       const std::string& cursor,
                                       size_t limit) override;
  std::unique_ptr<BuildJob<TableEditResult>> BeginTableEdit(
      TableEdit edit) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushTables(const std::string& anchor,
                                                      bool below) override;
  absl::StatusOr<std::vector<TableMatch>> TestTable(
      const std::string& table, const std::string& anchor,
      const std::vector<Address>& addresses) override;
  uint64_t Generation() override { return generation; }
  FilterInfo Info() override;
  void ClearInfo() override { ++info_cleared; }
  std::vector<InterfaceListing> Interfaces() override;
  std::vector<TimeoutListing> Timeouts() override;
  std::vector<LimitListing> Limits() override;
  absl::Status Enable() override;
  absl::Status Disable() override;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_FAKE_FILTER_CONTROL_H_
