// sluicectl itself: what the command line asks for, in pfctl's order, with
// pfctl's texts and exit statuses.
#ifndef SLUICE_DATAPLANE_SLUICECTL_TOOL_H_
#define SLUICE_DATAPLANE_SLUICECTL_TOOL_H_

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/sluicectl/client.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/output.h"
#include "nlohmann/json_fwd.hpp"
#include "pftable/host/host_facts.h"
#include "pftable/policy/diagnostic.h"

namespace sluice {

class Tool {
 public:
  // Nothing is owned. `in` is standard input.
  Tool(const Arguments& arguments, Caller* caller, std::istream& in,
       std::ostream& out, std::ostream& err);

  // The exit status: 0; 1 after an error; 2 if -T test found an address that
  // does not match. Of test: 1 if an expectation does not hold, 2 if that could
  // not be found out.
  int Run();

 private:
  // All say on standard error what goes wrong and return false then.
  bool Check();  // -n -f
  bool CheckOf(const Arguments& arguments);
  bool Load();   // -f
  bool Compare();  // -f with --diff, --show-blocked
  bool Rollback();
  // With several --filter.
  bool RunSet();
  bool CheckSet();
  bool LoadSet();
  bool RollbackSet();
  // The parameters of commit.load for a part; false after an error.
  bool AddPart(const FilterPart& part, nlohmann::json* filters);
  // The arguments as they would be for that filter alone.
  Arguments ArgumentsOf(const FilterPart& part) const;
  bool ShowOne(Show show);
  bool ShowAll();
  bool ShowNat();
  bool ShowEther();
  bool ShowRules();
  // The rules of an anchor, `depth` deep in those that are asked for; with
  // `children`, what a call of all below it would show.
  bool ShowRulesOf(const std::string& anchor, int depth, bool children,
                   bool ether = false);
  bool ShowLabelsOf(const std::string& anchor);
  bool ShowAnchors();
  bool ShowRunning();
  bool ShowLabels();
  bool ShowStates();
  bool ShowSources();
  bool ShowLimiters(bool by_source);
  bool ShowFingerprints();
  bool ShowInfo();
  bool ShowInterfaces();
  bool ShowTables();
  bool ShowCommits();
  bool FlushOne(Flush flush);
  // `only`: the kind of rules, as ruleset.flush names it; empty: all.
  bool FlushRules(bool reset_options, std::string_view only = "");
  bool FlushTables();
  // Says which anchors are about to be emptied, as pfctl does.
  bool SayRemoving();
  // The paths below -a's, or what is directly in it.
  std::unique_ptr<nlohmann::json> Anchors(const std::string& anchor,
                                          bool below);
  bool FlushAll();
  bool Kill();
  bool KillHosts(const std::vector<std::string>& hosts, bool translated);
  bool KillKey();
  bool KillGateway();
  // What matches, and with -M the states of the same ends the other way.
  bool KillMatching(nlohmann::json params, uint64_t* killed);
  bool SetDebug();
  bool KillSources();
  bool RunTable();
  bool ShowTable();
  bool TestTable();
  bool EditTable();
  bool SimpleCall(const char* method, const char* done);

  bool RunCommand();
  bool ListWithTitle(const char* method, const char* name,
                     const std::string& title,
                     std::string (*format)(const nlohmann::json&));
  bool CreateFilter();
  // Adds to the parameters what --source names: a folder by its path, a file
  // as the descriptor that goes with them. False: it cannot be had.
  bool AddSource(nlohmann::json* params, UniqueFd* snapshot);
  // Until the restore that a new filter expects has ended.
  bool WaitForRestore();
  bool ChangeFilter(const char* method, const char* done);
  bool AlterFilter();
  bool SetLogLevel();
  bool ShowFilter();
  bool AddPort();
  bool ShowRouter();
  bool ShowRoutes();
  bool ShowNeighbors();
  bool AddSegment();
  bool ChangeSegment(const char* method, const char* done);
  bool ShowMacs();
  bool ChangePort(const char* method, const char* done);
  bool BindPort();
  bool ShowPortBindings();
  bool ShowPortStats();
  bool ShowMetrics();
  bool ExplainPacket();
  bool TracePackets();
  bool FollowLog();
  bool CaptureFrames();
  bool ShowTop();
  // test: asks for each packet of each expectation; sets the exit status.
  bool TestPolicy();
  // Says what keeps a test from being run.
  bool Untestable(const std::string& message,
                  const std::vector<Diagnostic>& diagnostics = {});
  enum class Seen : uint8_t { kShown, kLeftOut, kFailed };
  // Reads a trace, or the log, until there were --count packets, for --for
  // seconds, or until it is interrupted; then closes it. `what` begins its
  // methods' names.
  bool Watch(const std::string& what, const nlohmann::json& session,
             const std::function<Seen(const nlohmann::json& packet)>& show,
             uint64_t* lost_in_all = nullptr);
  // One that was traced; with -v, why.
  bool ShowTraced(const nlohmann::json& packet, const nlohmann::json& ports);
  // From where it arrives to where it leaves, by a wire or a router: adds each
  // judgement to `ends`. `tag` is what the packet has already.
  bool ExplainPath(const nlohmann::json& ports, const nlohmann::json& arrival,
                   nlohmann::json packet, const nlohmann::json* ruleset,
                   std::string tag, nlohmann::json* ends);
  // At one of them. `received_on` is for what leaves. `tag` is then what it has
  // after it.
  bool ExplainAt(const nlohmann::json& port, const char* direction,
                 const std::string& received_on, const nlohmann::json& packet,
                 const nlohmann::json* ruleset, std::string* tag,
                 nlohmann::json* ends);
  // All pages of a listing.
  bool Collect(const std::string& method, const std::string& name,
               nlohmann::json* elements);

  // The parameters with which ruleset.load takes the file, or null after an
  // error.
  std::unique_ptr<nlohmann::json> RulesetParams(const std::string& path);
  std::unique_ptr<nlohmann::json> RulesetParams(const Arguments& arguments,
                                                const std::string& path);
  // -v: which names of hosts gave which addresses.
  void SayResolved(const HostFacts& facts);
  // What a load that succeeded has to say.
  void ShowWarnings(const nlohmann::json& result);

  // The result, or null after an error.
  std::unique_ptr<nlohmann::json> Ask(const std::string& method,
                                      nlohmann::json params,
                                      int descriptor = -1);
  // Asks for all pages of a listing, or until there were `most` elements;
  // `name` is its member.
  bool List(const std::string& method, nlohmann::json params,
            const std::string& name,
            const std::function<void(const nlohmann::json& element,
                                     const nlohmann::json& page)>& print,
            std::optional<uint64_t> most = std::nullopt);
  bool Fail(const std::string& message);
  // "N things done." with pfctl's word for -n.
  void Done(const std::string& what);
  nlohmann::json RuleParams(const std::string& anchor) const;

  const Arguments& arguments_;
  Caller* const caller_;
  std::istream& in_;
  Output output_;
  const Detail detail_;
  int status_ = 0;
  int32_t error_code_ = 0;  // of the last answer that was an error
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_TOOL_H_
