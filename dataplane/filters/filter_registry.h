// The filters of the daemon: main, which is always there, and those that come
// and go at run time; which of them judges at which port; and in which
// incarnation their ports are.
//
// Belongs to the control lcore; only BuildJob::Build() runs elsewhere.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_REGISTRY_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_REGISTRY_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/grace_list.h"
#include "dataplane/control/api/filter_directory.h"
#include "dataplane/filters/commit_set.h"
#include "dataplane/filters/live_filter.h"
#include "dataplane/filters/trace_desk.h"
#include "dataplane/forward/overload_ring.h"
#include "dataplane/ports/port_set.h"

namespace sluice {

class Tap;

// What a filter at the end of whose name this stands is: the emergency ruleset
// of the filter with the rest of the name.
inline constexpr std::string_view kEmergencySuffix = ":emergency";

class FilterRegistry final : public FilterDirectory {
 public:
  // All outlive the registry. Makes main, which judges at all ports.
  FilterRegistry(const FilterEnvironment* environment, PortSet* ports,
                 GraceList* grace, Builder* builder);
  // No worker runs any more.
  ~FilterRegistry() override;

  LiveFilter& main() { return *main_.filter; }
  // The ports of the configuration have been opened: begins main's first
  // incarnation, with what is kept of it from the process before.
  void Start(std::shared_ptr<KeptFilter> kept = nullptr);
  // Now and then: collects what workers have done, frees what is old.
  void Poll(uint64_t milliseconds);
  // Orders that workers have not done yet.
  size_t pending_orders() const;
  // Whether old generations of any filter wait to be freed.
  bool has_old_generations() const;

  // The rules of all filters are compiled again, because what they call
  // `(interface)` or a group has changed.
  void RefreshRules();
  // Addresses of ports have changed, as the kernel has them: `(if)` in rules in
  // force stands for these as soon as the builder has come by, without a load.
  // NotFound: there is no such port; the others are heard all the same.
  struct InterfaceAddresses {
    std::string port;
    std::vector<Prefix> addresses;  // in the order of the interface
  };
  absl::Status SetInterfaceAddresses(std::span<const InterfaceAddresses> all);

  // Gives back the numbers of ports that are no more and that neither rules nor
  // states remember, when there are `least` of them. Poll() does so.
  void ForgetInterfaces(size_t least);
  // The same of a filter's tags, when there are many more than last time.
  void ForgetTags(const std::shared_ptr<LiveFilter>& filter);

  // For the packet log: LiveFilter::Describe() of the record's filter, and the
  // name of its interface.
  uint8_t Describe(const LogRecord& record, PflogContext* context);
  // The same for the session log.
  void Describe(const FlowRecord& record, SessionContext* context);

  FilterControl* Find(std::string_view name) override;
  std::vector<FilterListing> Filters(std::string_view after,
                                     size_t limit) override;
  absl::StatusOr<FilterListing> Filter(std::string_view name) override;
  std::unique_ptr<BuildJob<LoadResult>> BeginCreateFilter(
      FilterSpec spec) override;
  void ChangeFilter(const FilterChange& change, DoneStatus done) override;
  void DestroyFilter(std::string_view name, DoneStatus done) override;

  std::vector<PortListing> Ports(std::string_view after,
                                 size_t limit) override;
  std::unique_ptr<BuildJob<PortListing>> BeginAddPort(PortSpec spec) override;
  void RemovePort(std::string_view name, DoneStatus done) override;
  absl::Status EnablePort(std::string_view name) override;
  void DisablePort(std::string_view name, DoneStatus done) override;
  absl::Status ExcludePort(std::string_view name, bool excluded) override;
  absl::Status BindPort(std::string_view name,
                        const std::vector<std::string>& bindings,
                        uint8_t learn) override;
  absl::StatusOr<PortBindings> Bindings(std::string_view name) override;
  absl::StatusOr<std::vector<NamedCounter>> PortStatistics(
      std::string_view name) override;
  std::vector<SegmentListing> Segments(std::string_view after,
                                       size_t limit) override;
  absl::StatusOr<std::vector<MacListing>> SegmentMacs(
      std::string_view name, std::string_view after, size_t limit) override;
  absl::Status AddSegment(const SegmentSpec& spec) override;
  absl::Status RemoveSegment(std::string_view name) override;
  absl::Status AttachPort(std::string_view segment,
                          std::string_view port) override;
  absl::Status DetachPort(std::string_view segment,
                          std::string_view port) override;
  absl::Status FixMac(std::string_view segment, std::string_view mac,
                      std::string_view port) override;
  absl::Status ForgetMacs(std::string_view segment) override;
  std::vector<RouterListing> Routers(std::string_view after,
                                     size_t limit) override;
  absl::StatusOr<RouterListing> Router(std::string_view name) override;
  absl::StatusOr<RoutePage> Routes(const RouteQuery& query) override;
  absl::StatusOr<RouterNeighborPage> RouterNeighbors(std::string_view name,
                                                     std::string_view after,
                                                     size_t limit) override;
  TraceControl& Traces() override { return traces_; }

  std::unique_ptr<BuildJob<CommitSetResult>> BeginCommit(
      CommitSetRequest request) override;
  std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackTogether(
      std::vector<std::string> filters, uint32_t uid, int32_t pid) override;

  // What others have to know to make the filters again, main first.
  struct Definition {
    const FilterSpec& spec;
    const std::array<uint8_t, 16>& id;
    LiveFilter& filter;
  };
  void ForEach(const std::function<void(const Definition&)>& visit);
  // Ports that orders have plugged in, or would have if their devices had
  // come back; ascending by name.
  std::vector<PortSpec> added_ports() const;
  // Segments that orders have made, as they are now; ascending by name.
  std::vector<SegmentSpec> added_segments() const;

 private:
  class CreateJob;
  class AddPortJob;

  struct Registered {
    std::shared_ptr<LiveFilter> filter;
    FilterSpec spec;  // without the text of the ruleset
    std::array<uint8_t, 16> id{};  // in its snapshots
    int64_t created = 0;
    // For last_purge: removals at the last look, and when they were others.
    uint64_t removals = 0;
    int64_t last_purge = 0;
    bool leaving = false;
  };

  Registered* FindRegistered(std::string_view name);
  absl::Status CheckChange(const FilterChange& change, const Registered& of);
  Registered& OfPort(const PortSet::Entry& port);
  absl::Status CheckSpec(const FilterSpec& spec) const;
  absl::StatusOr<uint16_t> TakeNumber();
  void GiveBackNumber(uint16_t number);

  // Gives a port to a filter, without telling the workers.
  void MovePort(PortSet::Entry* port, Registered& to);
  bool HasEnabledPort(const Registered& of) const;
  // An incarnation of the filter begins, if a port of it is enabled and none
  // has; and the present one ends.
  void Begin(Registered& of);
  // Tells the restore service of a filter before its first incarnation.
  absl::Status Introduce(Registered& of, bool has_ruleset);
  void End(Registered& of, absl::AnyInvocable<void()> then);
  // Has the workers remove what they keep of filters that nothing is judged
  // by, then frees them.
  void Forget(std::vector<std::shared_ptr<LiveFilter>> filters,
              absl::AnyInvocable<void()> then);
  void FreeGarbage(const std::shared_ptr<LiveFilter>& filter);
  void RefreshNext();
  // The tables of one filter after the other (filter_registry_indexes.cc).
  void IndexTables(uint64_t milliseconds);
  std::shared_ptr<LiveFilter> NextToIndex();
  // Brings back what was in force before a ruleset that nobody confirmed.
  void RevertOverdue(const std::shared_ptr<LiveFilter>& filter);
  void RevertSet(const std::shared_ptr<const CommitSet>& set);
  // Null for one that is not there.
  std::shared_ptr<FilterRules> RulesOf(std::string_view name);
  void PollRemovals();
  // Takes orders of `overload` and `flush` out of the workers' rings.
  void PollOverloads();
  void ForgetSources(const std::vector<std::shared_ptr<LiveFilter>>& filters);
  void CarryOut(const OverloadOrder& order);
  void OverloadNext();
  // The filter or emergency ruleset with that number, if it is still the one
  // with that serial.
  std::shared_ptr<LiveFilter> Serving(uint16_t number, uint64_t serial);
  void Close(std::unique_ptr<Port> device, std::function<void()> then,
             std::shared_ptr<Tap> tap = nullptr);
  void NoteEnabled(const PortSet::Entry& port);

  // Wires with `answer_arp` (filter_registry_wires.cc).
  void AnswerForTranslations(uint64_t milliseconds);
  void WarnOfConflicts();

  FilterListing ListingOf(const Registered& of) const;
  PortListing ListingOf(const PortSet::Entry& port) const;

  const FilterEnvironment& environment_;
  PortSet& ports_;
  GraceList& grace_;
  Builder& builder_;
  Registered main_;
  std::map<std::string, Registered, std::less<>> filters_;  // but for main
  std::vector<Registered*> by_number_;
  std::map<std::string, PortSpec> added_ports_;
  std::deque<std::shared_ptr<LiveFilter>> to_refresh_;
  bool refreshing_ = false;  // the builder compiles one of them
  bool indexing_ = false;    // the builder indexes a filter's tables
  std::string indexed_last_;
  uint64_t index_next_ = 0;
  struct PendingOverload {
    std::shared_ptr<LiveFilter> filter;
    TableKey table;
    std::vector<TableEntry> entries;
    bool unload = false;  // they leave the table
  };
  void Enqueue(PendingOverload what);
  std::deque<PendingOverload> overloads_;
  bool overloading_ = false;  // the builder makes one of these edits
  // By the wire's port that is first by name: the rules of both ends whose
  // addresses it answers for, and those of which was warned.
  struct AnsweredFor {
    std::array<uint64_t, 2> serials{};
    std::array<uint64_t, 2> generations{};

    friend bool operator==(const AnsweredFor&, const AnsweredFor&) = default;
  };
  std::map<std::string, AnsweredFor> answered_for_;
  // The same: those that no rule gives out any more, since when.
  std::map<std::string, std::map<Address, uint64_t>> leaving_addresses_;
  uint64_t looked_for_leaving_ = 0;
  // By wire, of VLANs' numbers.
  std::map<std::string, std::set<std::pair<uint32_t, Address>>>
      taken_addresses_;
  TraceDesk traces_;
  struct TagLook;
  void LookForTags(const std::shared_ptr<TagLook>& look);
  bool forgetting_tags_ = false;
  bool forgetting_ = false;   // workers look through their states
  // What the last look has left, and when it was.
  size_t gone_interfaces_ = 0;
  uint64_t forgot_at_ = 0;
  std::string logged_interface_;  // that the last Describe() named
  // Longest free first.
  std::deque<uint16_t> free_numbers_;
  uint64_t next_serial_ = 1;
  uint64_t last_look_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_REGISTRY_H_
