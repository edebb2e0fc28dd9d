// The form in which packets of `log` rules are written: what pflogd(8) writes,
// so that tcpdump -r reads it. A capture file of link type 117 whose packets
// begin with pf's log header and go on with the IP header.
#ifndef SLUICE_DATAPLANE_PACKETLOG_PFLOG_H_
#define SLUICE_DATAPLANE_PACKETLOG_PFLOG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/forward/log_ring.h"
#include "pftable/policy/policy.h"

namespace sluice {

inline constexpr uint32_t kPflogLinkType = 117;

// What is known of a logged packet beside its record.
struct PflogContext {
  Dialect dialect = Dialect::kOpenBsd;  // whose header it is
  std::string_view interface;  // cut at 15 bytes
  std::string_view anchor;     // of the rule, cut at 15 bytes
  // Within the main ruleset, of the rule or of the call that leads to it;
  // kNoPflogRule: it is not in force any more.
  uint32_t rule = 0;
  uint32_t subrule = 0;  // within the anchor; kNoPflogRule: in none
  uint32_t rule_identifier = 0;  // `ridentifier`, FreeBSD's header only
  uint32_t loader_uid = 0;  // who loaded the ruleset
  int32_t loader_pid = 0;
  uint64_t time = 0;  // microseconds since 1970
};
inline constexpr uint32_t kNoPflogRule = 0xffffffff;

// The beginning of a file.
std::string PflogFileHeader();
// Appends a record to the contents of a file.
void AppendPflogRecord(const LogRecord& record, const PflogContext& context,
                       std::string* out);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_PFLOG_H_
