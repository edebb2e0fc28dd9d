// Orders from the control lcore to one worker, which carries them out by
// slices between its bursts.
#ifndef SLUICE_DATAPLANE_WORKERS_MAILBOX_H_
#define SLUICE_DATAPLANE_WORKERS_MAILBOX_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "dataplane/workers/handoff.h"
#include "packet/packet.h"

namespace sluice {

class ExpectationTable;
class Pipeline;
class StateTable;
struct PortCounters;
struct WorkerTotals;

// What a worker shows to an order.
struct WorkerView {
  uint16_t worker = 0;
  StateTable* states = nullptr;
  Pipeline* pipeline = nullptr;
  std::span<const PortCounters> ports{};
  const WorkerTotals* totals = nullptr;
  uint32_t held = 0;  // packets that wait for a restore, other fragments or a neighbour
  uint32_t packets = 0;  // of the round
  Tick now = 0;
};

// An order. Made and, once done, destroyed by the control lcore; in between it
// is the worker's alone. Room for its answer is in it from the start.
class WorkerOrder {
 public:
  virtual ~WorkerOrder() = default;
  // On the worker: a bounded piece of the work, a few microseconds. Neither
  // allocates nor blocks. True when all is done.
  virtual bool Step(const WorkerView& view) = 0;
  // On the control lcore, once, after the last step.
  virtual void Done() = 0;
};

class Mailbox {
 public:
  // Orders that are on their way or in work at once; more wait on the control
  // side.
  static constexpr uint32_t kCapacity = 64;

  Mailbox() : orders_(kCapacity), done_(kCapacity) {}
  // No worker may use it any more. Orders that were not done are dropped.
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Control lcore. Orders are carried out one after the other.
  void Post(std::unique_ptr<WorkerOrder> order);
  // Control lcore: calls Done() of those that are. Returns how many.
  uint32_t Collect();
  // Control lcore: orders that are not done yet.
  size_t pending() const { return waiting_.size() + in_work_; }

  // Worker, between bursts: one step of the order in work. False if there is
  // none.
  bool Step(const WorkerView& view);

 private:
  void Feed();

  PointerRing orders_;  // control lcore -> worker
  PointerRing done_;    // worker -> control lcore
  // Control lcore's.
  std::deque<std::unique_ptr<WorkerOrder>> waiting_;
  uint32_t in_work_ = 0;
  // Worker's.
  alignas(128) WorkerOrder* current_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_MAILBOX_H_
