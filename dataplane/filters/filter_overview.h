// Whether a running filter judges, what its ports and workers have counted,
// and how it is set.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_OVERVIEW_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_OVERVIEW_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/fragment_cache.h"
#include "dataplane/control/api/status_control.h"
#include "dataplane/filters/filter_core.h"
#include "dataplane/filters/limit_alarm.h"
#include "dataplane/ports/port_set.h"
#include "dataplane/ports/port_sums.h"

namespace sluice {

// Control lcore.
class FilterOverview final : public StatusControl {
 public:
  explicit FilterOverview(std::shared_ptr<FilterCore> core)
      : core_(std::move(core)), cleared_tftp_(RawHelperCounters(protocol::kUdp)),
        cleared_ftp_(RawHelperCounters(protocol::kTcp)),
        cleared_sctp_(RawHelperCounters(protocol::kSctp)) {}

  // A port begins or ceases to be judged by this filter.
  void Join(const PortSet::Entry& port);
  void Leave(const PortSet::Entry& port);
  // Looks, about once a second, whether its states come near their limit.
  void WatchLimits();
  // States that have ended.
  uint64_t Removals() const { return RawStateCounters()[2]; }

  uint64_t Generation() override;
  FilterInfo Info() override;
  void ClearInfo() override;
  std::vector<InterfaceListing> Interfaces() override;
  std::vector<TimeoutListing> Timeouts() override;
  std::vector<LimitListing> Limits() override;

  absl::Status Enable() override;
  absl::Status Disable() override;

 private:
  // A port that it judges, and what that had counted when it began or was
  // cleared.
  struct Member {
    std::string port;
    uint64_t serial = 0;
    PortSums base;
  };

  // Since the counters were cleared: of one port, and of all that are or were
  // judged by it.
  PortSums CountersOf(const Member& member) const;
  PortSums Counters() const;
  std::array<uint64_t, 3> RawStateCounters() const;
  uint64_t RawDecided() const;
  std::array<uint64_t, 3> RawSourceCounters() const;
  std::array<uint64_t, kLimitCounterCount> RawLimitCounters() const;
  ExpectationStatistics RawHelperCounters(uint8_t proto) const;
  using FragmentCounters =
      std::array<uint64_t, FragmentStatistics::Fields().size()>;
  FragmentCounters RawFragmentCounters() const;

  const std::shared_ptr<FilterCore> core_;
  LimitAlarm states_alarm_;
  std::vector<Member> members_;
  PortSums former_;  // of ports that have left
  uint64_t cleared_decided_ = 0;
  std::array<uint64_t, 3> cleared_states_{};  // searches, inserts, removals
  // Whoever had the filter's number before has left something.
  ExpectationStatistics cleared_tftp_;
  ExpectationStatistics cleared_ftp_;
  ExpectationStatistics cleared_sctp_;
  FragmentCounters cleared_fragments_{};
  std::array<uint64_t, 3> cleared_sources_{};
  std::array<uint64_t, kLimitCounterCount> cleared_limits_{};
  int64_t cleared_ = 0;  // Unix time
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_OVERVIEW_H_
