// The methods of the control socket, over a FilterDirectory and the
// FilterControl of each filter. Their names and shapes are in
// docs/control-protocol.md.
//
// A request is decoded (where it is large, on the builder thread) into an
// action, which the control lcore runs. Changes of policies, filters and ports
// wait in one lane, in the order of arrival: begin, build, publish, then the
// next.
#ifndef SLUICE_DATAPLANE_CONTROL_METHODS_OPERATIONS_H_
#define SLUICE_DATAPLANE_CONTROL_METHODS_OPERATIONS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/turn_watch.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/filter_directory.h"
#include "dataplane/control/api/log_control.h"
#include "dataplane/control/api/process_control.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/control/socket/message.h"
#include "dataplane/control/socket/refusal_log.h"
#include "dataplane/control/socket/role.h"

namespace sluice {

class Operations : public MessageHandler {
 public:
  // Requests larger than this are decoded on the builder thread.
  static constexpr size_t kInlineBytes = 64 * 1024;
  // What a passed descriptor may hold.
  static constexpr size_t kMaxDescriptorBytes = 256u << 20;
  // Changes that wait for their turn: more are refused.
  static constexpr size_t kMaxWaitingJobs = 128;

  // Both outlive this. On destruction nothing of this may be left in the
  // builder: destroy the builder first.
  Operations(FilterDirectory* directory, Builder* builder);
  ~Operations() override;

  // For state.* and restore.*; outlives this. Without it they are refused.
  void SetTransfer(TransferControl* transfer) { transfer_ = transfer; }

  // For log.*; outlives this. Null: no packets are logged.
  void SetLog(LogControl* log) { log_ = log; }

  // For process.show; outlives this. Null: nobody knows of the process.
  void SetProcess(ProcessControl* process) { process_ = process; }

  // Of the control lcore; outlives this. Null: nothing is measured.
  void SetTurns(TurnWatch* turns) { turns_ = turns; }

  void OnMessage(Message message, Reply reply) override;

  // What became of the requests for a method, and of the time that its changes
  // took, in microseconds.
  struct OrderCounts {
    uint64_t done = 0;
    uint64_t failed = 0;
    uint64_t changes = 0;
    uint64_t build = 0;
    uint64_t publish = 0;  // on the control lcore
    uint64_t longest_publish = 0;
  };
  // By the names of methods.
  const std::map<std::string, OrderCounts, std::less<>>& orders() const {
    return orders_;
  }

  // Whether a change is under way or waits.
  bool busy() const { return job_running_ || !jobs_.empty(); }

 private:
  friend class Call;
  struct Decoded;
  // Begins a job and hands it to the builder; runs on the control lcore when
  // the lane is free. False: nothing was begun.
  using BeginJob = absl::AnyInvocable<bool()>;

  void Run(Decoded decoded, const PeerCredentials& peer, UniqueFd descriptor,
           Reply reply);
  static Role NeededRole(const Decoded& decoded);
  static std::string NotAllowed(const PeerCredentials& peer, Role needed);
  void LogRefusal(const PeerCredentials& peer, std::string_view what,
                  Role needed);
  bool Enqueue(BeginJob begin);
  void EndJob();
  void StartJobs();

  FilterDirectory* const directory_;
  Builder* const builder_;
  TransferControl* transfer_ = nullptr;
  LogControl* log_ = nullptr;
  ProcessControl* process_ = nullptr;
  std::map<std::string, OrderCounts, std::less<>> orders_;
  RefusalLog refusals_;
  TurnWatch* turns_ = nullptr;
  std::deque<BeginJob> jobs_;
  bool job_running_ = false;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_METHODS_OPERATIONS_H_
