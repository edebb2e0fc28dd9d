// A state that was made or has ended as a line of the session log.
#ifndef SLUICE_DATAPLANE_PACKETLOG_SESSION_TEXT_H_
#define SLUICE_DATAPLANE_PACKETLOG_SESSION_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "conntrack/flow_record.h"

namespace sluice {

enum class SessionForm : uint8_t { kJson, kText };

// What is known of a state beside its record.
struct SessionContext {
  std::string_view filter;     // empty: it is gone
  std::string_view interface;  // where the state was made
  std::string_view anchor;     // of the rule
  // Within its ruleset; kNoPflogRule: it is not in force any more, or the
  // default rule.
  uint32_t rule = 0xffffffff;
  uint64_t time = 0;  // of the event, microseconds since 1970
};

// Appends the line, its end included.
void AppendSession(const FlowRecord& record, const SessionContext& context,
                   SessionForm form, std::string* out);

// "end fin tcp 10.0.0.2:1025 > 10.0.0.1:80 packets 3/2 bytes 120/80": what a
// line of text says of the flow itself.
std::string FlowText(const FlowRecord& record);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_SESSION_TEXT_H_
