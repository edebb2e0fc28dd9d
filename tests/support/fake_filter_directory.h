// Filters and ports without packets, for tests of the control socket: the
// filter main is the test's own, the others are made and removed here.
#ifndef SLUICE_TESTS_SUPPORT_FAKE_FILTER_DIRECTORY_H_
#define SLUICE_TESTS_SUPPORT_FAKE_FILTER_DIRECTORY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/api/filter_directory.h"
#include "tests/support/fake_filter_control.h"

namespace sluice {

// One trace, whose packets a test puts there.
class FakeTraceControl : public TraceControl {
 public:
  TraceQuery last_query;
  TraceSlice slice;
  uint64_t open = 0;  // its number; 0: none
  int closed = 0;

  absl::StatusOr<uint64_t> OpenTrace(const TraceQuery& query) override {
    last_query = query;
    if (!query.filter.empty() && query.filter != kMainFilterName) {
      return absl::NotFoundError("there is no such filter");
    }
    return open = 7;
  }
  absl::StatusOr<TraceSlice> ReadTrace(uint64_t trace, size_t limit) override {
    if (trace != open) return absl::NotFoundError("there is no such trace");
    TraceSlice some = slice;
    if (some.packets.size() > limit) some.packets.resize(limit);
    return some;
  }
  absl::Status CloseTrace(uint64_t trace) override {
    if (trace != open) return absl::NotFoundError("there is no such trace");
    ++closed;
    open = 0;
    return absl::OkStatus();
  }
};

class FakeFilterDirectory : public FilterDirectory {
 public:
  // Has the ports inside and outside, of main.
  explicit FakeFilterDirectory(FakeFilterControl* main);

  struct Made {
    FilterSpec spec;
    FilterListing listing;
    std::unique_ptr<FakeFilterControl> filter;
  };

  // What it holds; tests set and look at it.
  FilterListing main_listing;
  std::map<std::string, Made> made;
  std::map<std::string, PortListing> ports;
  std::map<std::string, PortBindings> bound;  // by port
  FilterSpec last_filter;
  FilterChange last_change;
  PortSpec last_port;
  // Called by Build(), on the builder thread.
  std::function<void()> on_build;
  // What has to wait for workers waits here until a test lets it go on.
  bool hold_done = false;
  std::vector<std::function<void()>> held;

  // What the next commit of several filters answers, and what it was asked.
  absl::StatusOr<CommitSetResult> set_result = CommitSetResult();
  CommitSetRequest last_set;
  std::vector<std::string> rolled_back;
  std::unique_ptr<BuildJob<CommitSetResult>> BeginCommit(
      CommitSetRequest request) override;
  std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackTogether(
      std::vector<std::string> filters, uint32_t uid, int32_t pid) override;

  FilterControl* Find(std::string_view name) override;
  std::vector<FilterListing> Filters(std::string_view after,
                                     size_t limit) override;
  absl::StatusOr<FilterListing> Filter(std::string_view name) override;
  std::unique_ptr<BuildJob<LoadResult>> BeginCreateFilter(
      FilterSpec spec) override;
  void ChangeFilter(const FilterChange& change, DoneStatus done) override;
  void DestroyFilter(std::string_view name, DoneStatus done) override;
  std::vector<PortListing> Ports(std::string_view after, size_t limit) override;
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
  TraceControl& Traces() override { return traces; }

  std::vector<RouterListing> Routers(std::string_view after,
                                     size_t limit) override;
  absl::StatusOr<RouterListing> Router(std::string_view name) override;
  absl::StatusOr<RoutePage> Routes(const RouteQuery& query) override;
  absl::StatusOr<RouterNeighborPage> RouterNeighbors(std::string_view name,
                                                     std::string_view after,
                                                     size_t limit) override;
  std::map<std::string, RouterListing> routers;
  std::vector<RouteListing> routes;
  std::vector<RouteQuery> route_queries;
  std::vector<RouterNeighborListing> router_neighbors;
  std::map<std::string, SegmentSpec> segments;

  FakeTraceControl traces;

 private:
  FilterListing ListingOf(const std::string& name, const Made& made) const;
  absl::StatusOr<LoadResult> Publish(const FilterSpec& spec,
                                     std::unique_ptr<FakeFilterControl> filter,
                                     LoadResult result);
  // Calls it now, or when the test says so.
  void Later(std::function<void()> call);

  FakeFilterControl* const main_;
  // Jobs of filters that are gone may still refer to them.
  std::vector<std::unique_ptr<FakeFilterControl>> gone_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_FAKE_FILTER_DIRECTORY_H_
