// The engine's workers: where they run, and how they end.
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/engine/engine.h"

namespace sluice {
namespace {

constexpr useconds_t kWait = 500;
constexpr uint64_t kDrainDeadline = 1000;  // milliseconds
// For a worker to end when it is told to stop.
constexpr uint64_t kStopDeadline = 5000;

unsigned LcoreOf(size_t worker) { return static_cast<unsigned>(worker + 1); }

}  // namespace

// ---- Launching -------------------------------------------------------------

absl::Status Engine::LaunchOnLcores() {
  place_ = Place::kLcores;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const int result = rte_eal_remote_launch(
        [](void* worker) {
          static_cast<Worker*>(worker)->Run();
          return 0;
        },
        workers_[i].get(), LcoreOf(i));
    if (result != 0) {
      return absl::InternalError(absl::StrCat("worker ", i, " does not start: ",
                                              rte_strerror(-result)));
    }
    ++launched_;
  }
  Watch();
  return absl::OkStatus();
}

void Engine::LaunchOnThreads() {
  place_ = Place::kThreads;
  plane_->run.store(RunState::kRun, std::memory_order_release);
  for (const auto& worker : workers_) {
    auto thread = std::make_unique<WorkerThread>();
    thread->thread = std::thread([worker = worker.get(), at = thread.get()] {
      worker->Run();
      at->ended.store(true, std::memory_order_release);
    });
    threads_.push_back(std::move(thread));
    ++launched_;
  }
  Watch();
}

void Engine::LaunchByHand() {
  place_ = Place::kByHand;
  for (const auto& worker : workers_) {
    rte_rcu_qsbr_thread_register(quiescence_.get(), worker->index());
    rte_rcu_qsbr_thread_online(quiescence_.get(), worker->index());
    ++launched_;
  }
}

uint32_t Engine::Round() {
  uint32_t packets = 0;
  for (const auto& worker : workers_) packets += worker->Round();
  return packets;
}

void Engine::Watch() { monitor_.emplace(plane_.get(), environment_.workers); }

// ---- Stopping --------------------------------------------------------------

void Engine::Wait() {
  if (place_ == Place::kByHand) {
    Round();
  } else {
    usleep(kWait);
  }
}

bool Engine::Runs(size_t worker) const {
  switch (place_) {
    case Place::kLcores:
      return rte_eal_get_lcore_state(LcoreOf(worker)) == RUNNING;
    case Place::kThreads:
      return !threads_[worker]->ended.load(std::memory_order_acquire);
    default:
      return false;
  }
}

void Engine::Join(size_t worker) {
  if (place_ == Place::kLcores) {
    rte_eal_wait_lcore(LcoreOf(worker));
  } else if (place_ == Place::kThreads) {
    threads_[worker]->thread.join();
  } else {
    rte_rcu_qsbr_thread_offline(quiescence_.get(), workers_[worker]->index());
    rte_rcu_qsbr_thread_unregister(quiescence_.get(),
                                   workers_[worker]->index());
  }
}

// The flags alone would be believed while packets are on their way to a
// worker that has raised its own; but with all of them up once, nobody
// receives any more, and then equal sums mean that no packet is left anywhere
// (tests/models/drain.pml). Rounds by hand always receive.
bool Engine::Drained() const {
  if (place_ == Place::kByHand) return true;
  return std::ranges::all_of(
             workers_,
             [](const auto& worker) { return worker->drained(); }) &&
         InFlight() == 0;
}

void Engine::Stop(absl::FunctionRef<bool()> hurry) {
  if (launched_ == 0) return;
  plane_->run.store(RunState::kDrain, std::memory_order_release);
  const uint64_t deadline = Now() + kDrainDeadline;
  bool hurried = false;
  while (!Drained() && Now() < deadline && !hurried) {
    Wait();
    hurried = hurry();
  }
  SaveState([&] { return hurried || (hurried = hurry()); });
  plane_->run.store(RunState::kStop, std::memory_order_release);
  const uint64_t end = Now() + kStopDeadline;
  for (size_t i = 0; i < launched_; ++i) {
    while (Runs(i)) {
      if (Now() > end) {
        LogCritical("worker {} does not stop; ending without it", i);
        EndLog();
        std::_Exit(EXIT_FAILURE);
      }
      usleep(1000);
    }
    Join(i);
  }
  launched_ = 0;
  threads_.clear();
  monitor_.reset();
  place_ = Place::kNowhere;
  // What workers have given to the kernel's side by now is still handed over.
  if (routers_ != nullptr) routers_->Stop();
  // Nobody writes any more: this ends.
  do {
    DrainLogs();
  } while (flow_log_ != nullptr && flow_log_->more());
}

uint64_t Engine::InFlight() const {
  uint64_t received = 0, accounted = 0;
  for (const auto& worker : workers_) {
    for (const PortCounters& port : worker->counters()) {
      received += port.received_packets.value() +
                  static_cast<uint64_t>(port.made_here());
      accounted += port.forwarded_packets.value();
      for (const Counter& drops : port.drops) accounted += drops.value();
    }
  }
  return received - accounted;
}

absl::Status Engine::Account() const {
  uint64_t received = 0, forwarded = 0, dropped = 0, answers = 0;
  uint64_t handed_out = 0, handed_in = 0;
  int64_t refragmented = 0;
  uint64_t to_host = 0, from_host = 0;
  for (const auto& worker : workers_) {
    for (const PortCounters& port : worker->counters()) {
      received += port.received_packets.value();
      forwarded += port.forwarded_packets.value();
      answers += port.answers.value();
      refragmented += port.made_here();
      to_host += port.to_host.value();
      from_host += port.from_host.value();
      for (const Counter& drops : port.drops) dropped += drops.value();
    }
    handed_out += worker->totals().handed_out.value() +
                  worker->totals().transmit_out.value();
    handed_in += worker->totals().handed_in.value() +
                 worker->totals().transmit_in.value();
  }
  // Left in the rings by a stop that did not wait.
  const uint64_t abandoned = handed_out - handed_in;
  LogInfo("{} packets received = {} transmitted + {} dropped + {} "
               "abandoned; {} answers made",
               received, forwarded, dropped, abandoned, answers);
  if (to_host != 0 || from_host != 0) {
    LogInfo("of them the kernel got {} as a router's own, and sent {}", to_host,
            from_host);
  }
  const int64_t made = refragmented + static_cast<int64_t>(to_host) -
                       static_cast<int64_t>(from_host);
  if (made != 0) {
    LogInfo("{} of them were made here: fragments, less those of which they "
            "were, and copies", made);
  }
  if (received + static_cast<uint64_t>(refragmented) !=
      forwarded + dropped + abandoned) {
    return absl::InternalError("packets are unaccounted for");
  }
  return absl::OkStatus();
}

void Engine::DrainLogs() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto wall = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since).count());
  if (packet_log_ != nullptr) packet_log_->Drain(plane_->clock.Now(), wall);
  if (flow_log_ != nullptr) flow_log_->Drain(plane_->clock.Now(), wall);
  if (spoof_log_ == nullptr) return;
  spoof_log_->Drain(Now(), [this](uint16_t number, const std::string& text) {
    for (const auto& [name, port] : ports_->entries()) {
      if (port.number == number && number != kNoPort) {
        return LogWarning("port {}: {}", name, text);
      }
    }
    LogWarning("{}", text);
  });
}

}  // namespace sluice
