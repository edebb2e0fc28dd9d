// The daemon's answers as pfctl prints them. Each function takes one object of
// the shape that docs/control-protocol.md gives for it and returns whole lines.
#ifndef SLUICE_DATAPLANE_SLUICECTL_FORMAT_H_
#define SLUICE_DATAPLANE_SLUICECTL_FORMAT_H_

#include <cstdint>
#include <string>

#include "nlohmann/json_fwd.hpp"
#include "pftable/policy/policy.h"

namespace sluice {

// How much is printed: the flags -v (0 to 2) and -g; and in whose form.
struct Detail {
  int verbose = 0;
  bool debug = false;
  // OpenBSD has counters of their own for match rules, in FreeBSD's form they
  // are among those of pass rules.
  Dialect dialect = Dialect::kOpenBsd;
};

// An element of rules.show; uid and pid are of who loaded it.
std::string FormatRule(const nlohmann::json& rule, const Detail& detail,
                       uint64_t uid, uint64_t pid);
// The result of commits.show.
std::string FormatCommits(const nlohmann::json& commits);
// What is told of a packet at one end of a wire: the result of rules.explain,
// with "direction", "port", "filter", and "states" of states.show.
// As a state's is printed: a name, or the number of one that has none.
std::string ProtocolName(uint64_t number);
std::string FormatTraced(const nlohmann::json& packet);
std::string FormatExplanation(const nlohmann::json& end);
// An element of labels.show.
std::string FormatLabel(const nlohmann::json& label);
// An element of states.show.
std::string FormatState(const nlohmann::json& state, const Detail& detail);
// The result of states.count.
std::string FormatStateCount(const nlohmann::json& count);
// An element of sources.show.
std::string FormatSource(const nlohmann::json& source, const Detail& detail);
// A line for each limiter, under a title.
std::string LimiterTitle(bool by_source);
std::string FormatLimiter(const nlohmann::json& limiter);
// The result of info.show.
std::string FormatInfo(const nlohmann::json& info, const Detail& detail);
// Elements of timeouts.show, limits.show and interfaces.show.
std::string FormatTimeout(const nlohmann::json& timeout);
std::string FormatLimit(const nlohmann::json& limit);
std::string FormatInterface(const nlohmann::json& interface,
                            const Detail& detail);
// An element of tables.list: nothing for an inactive one without -g.
std::string FormatTable(const nlohmann::json& table, const Detail& detail);
// An element of table.show.
std::string FormatTableAddress(const nlohmann::json& address,
                               const Detail& detail);
// An element of "changes" of table.add and its like.
std::string FormatTableChange(const nlohmann::json& change);
// An element of table.test: with -v those that match, with -vv all, each with
// the entry that decides.
std::string FormatTableTest(const nlohmann::json& result, const Detail& detail);

// Elements of filter.list, a line each, and what the columns are called.
std::string FormatFilterTitle();
std::string FormatFilterLine(const nlohmann::json& filter);
// The result of filter.show.
std::string FormatFilter(const nlohmann::json& filter);
// Elements of port.list, a line each, and what the columns are called.
// "5", of a pair of tags "7.42" with the outer one first.
std::string VlanText(const nlohmann::json& port);
// format_routers.cc
std::string FormatRouterTitle();
std::string FormatRouterLine(const nlohmann::json& router);
std::string FormatRouter(const nlohmann::json& router);
std::string FormatRoute(const nlohmann::json& route);
std::string FormatNeighbor(const nlohmann::json& neighbor);
std::string FormatSegmentTitle();
std::string FormatSegmentLine(const nlohmann::json& segment);
std::string FormatMacTitle();
std::string FormatMacLine(const nlohmann::json& mac);
std::string FormatPortTitle();
std::string FormatPortLine(const nlohmann::json& port);
// An element of "counters" of port.stats.
// Of `port bindings`.
std::string FormatPortBindings(const std::string& name,
                               const nlohmann::json& bound);
std::string FormatPortCounter(const nlohmann::json& counter);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_FORMAT_H_
