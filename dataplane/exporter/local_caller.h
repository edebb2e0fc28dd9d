// Calls methods of the control socket from another thread of the process: what
// it asks is carried out on the control lcore as if a client who may only read
// had sent it. Whoever calls waits; the control lcore does not.
#ifndef SLUICE_DATAPLANE_EXPORTER_LOCAL_CALLER_H_
#define SLUICE_DATAPLANE_EXPORTER_LOCAL_CALLER_H_

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "dataplane/base/unique_fd.h"
#include "dataplane/control/socket/message.h"
#include "dataplane/metrics/caller.h"
#include "nlohmann/json_fwd.hpp"

namespace sluice {

class LocalCaller final : public Caller {
 public:
  // For an answer: a worker that hangs, or a long change, must not keep a
  // thread for ever.
  static constexpr std::chrono::seconds kPatience{5};

  // `handler` is only used by Serve().
  explicit LocalCaller(MessageHandler* handler);
  ~LocalCaller() override;

  // Any thread but the control lcore.
  std::unique_ptr<nlohmann::json> Call(const std::string& method,
                                       nlohmann::json params,
                                       CallError* error) override;

  // Readable when Serve() has something to do.
  int event_fd() const { return event_.get(); }
  // Control lcore: hands on what threads have asked for, each one thing.
  void Serve();
  // Whoever waits is told that there is no answer, and whoever calls later.
  void Stop();

 private:
  struct Waiting;

  MessageHandler& handler_;
  UniqueFd event_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::deque<std::shared_ptr<Waiting>> asked_;  // not served yet
  std::deque<std::weak_ptr<Waiting>> served_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_LOCAL_CALLER_H_
