#include "dataplane/workers/liveness.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "dataplane/base/builder.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

constexpr ThreadSample kAsleep = {.exists = true, .state = 'S', .cpu_time = 5};

ThreadSample Busy(uint64_t cpu_time) {
  return {.exists = true, .state = 'R', .cpu_time = cpu_time};
}

// ---- Workers ---------------------------------------------------------------

// Looks every 20 ms from `*now` on, and says how many milliseconds have passed
// when the worker is stalled.
template <typename Sample>
uint64_t TimeToStall(WorkerWatch& watch, uint64_t rounds, uint64_t* now,
                     Sample sample) {
  const uint64_t began = *now;
  while (!watch.stalled()) {
    *now += kLookInterval;
    watch.Look(rounds, *now, [&] { return sample(*now); });
    if (*now - began > 10'000) return UINT64_MAX;
  }
  return *now - began;
}

TEST(WorkerWatchTest, RoundsAreLife) {
  WorkerWatch watch;
  int asked = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_FALSE(watch.Look(i, 1000 + i * kLookInterval, [&] {
      ++asked;
      return kAsleep;
    }));
  }
  EXPECT_EQ(asked, 0) << "a worker that runs costs no system call";
}

TEST(WorkerWatchTest, IsStalledWithinAHundredMilliseconds) {
  for (const ThreadSample& sample :
       {kAsleep, ThreadSample{.exists = true, .state = 't', .cpu_time = 1},
        ThreadSample{}}) {
    WorkerWatch watch;
    uint64_t now = 1000;
    watch.Look(7, now, [&] { return sample; });
    EXPECT_EQ(TimeToStall(watch, 7, &now, [&](uint64_t) { return sample; }),
              60u);
    // The last round may have been one interval before it was seen.
    EXPECT_LE(60 + kLookInterval, 100u);
    EXPECT_FALSE(watch.Look(8, now + 1, [&] { return sample; }))
        << "it is back";
  }
}

TEST(WorkerWatchTest, ALoopThatEndsNotIsAStall) {
  WorkerWatch watch;
  uint64_t now = 1000;
  watch.Look(7, now, [] { return Busy(0); });
  // What it did before the first sample is not known.
  EXPECT_EQ(TimeToStall(watch, 7, &now,
                        [](uint64_t t) { return Busy(t * 1'000'000); }),
            60u + kLookInterval);
}

TEST(WorkerWatchTest, APreemptedWorkerIsBlamedForWhatItRanOnly) {
  // On a busy machine: a little processor time now and then, no round seen
  // yet, and looks that come late.
  for (const uint64_t step : {kLookInterval, kLongestGap, 2 * kLongestGap}) {
    WorkerWatch watch;
    uint64_t now = 1000, ran = 0;
    watch.Look(7, now, [] { return Busy(0); });
    for (int i = 0; i < 20; ++i) {
      ran += 1'200'000;
      EXPECT_FALSE(watch.Look(7, now += step, [&] { return Busy(ran); })) << i;
    }
  }
  // One that runs half of the time in a loop is found after twice the time.
  WorkerWatch watch;
  uint64_t now = 1000;
  watch.Look(7, now, [] { return Busy(0); });
  EXPECT_EQ(TimeToStall(watch, 7, &now,
                        [](uint64_t t) { return Busy(t * 500'000); }),
            120u + kLookInterval);
  EXPECT_FALSE(watch.starved());
}

TEST(WorkerWatchTest, AWorkerWithoutAProcessorHasMoreTime) {
  WorkerWatch watch;
  uint64_t now = 1000;
  watch.Look(7, now, [] { return Busy(5); });
  const uint64_t time =
      TimeToStall(watch, 7, &now, [](uint64_t) { return Busy(5); });
  EXPECT_GE(time, kStarvedTime);
  EXPECT_LE(time, kStarvedTime + 2 * kLookInterval);
  EXPECT_TRUE(watch.starved());
}

TEST(WorkerWatchTest, ALateLookIsNotTheWorkersFault) {
  WorkerWatch watch;
  watch.Look(7, 1000, [] { return kAsleep; });
  EXPECT_FALSE(watch.Look(7, 9000, [] { return kAsleep; }));
  EXPECT_TRUE(watch.Look(7, 9000 + kLookInterval, [] { return kAsleep; }));
}

// ---- Builders --------------------------------------------------------------

TEST(BuilderWatchTest, SleepIsNoDeathAndNoMovement) {
  for (const uint64_t work : {0, 3}) {
    for (const char state : {'S', 'D', 'T', 't'}) {
      BuilderWatch watch;
      const ThreadSample sample = {
          .exists = true, .state = state, .cpu_time = 1};
      watch.Look(work, [&] { return sample; });
      const uint64_t before = watch.moves();
      for (int look = 0; look < 100; ++look) {
        EXPECT_FALSE(watch.Look(work, [&] { return sample; })) << state;
      }
      EXPECT_EQ(watch.moves(), before) << state;
    }
  }
}

TEST(BuilderWatchTest, WorkAndWaitingForAProcessorIsMovement) {
  BuilderWatch watch;
  uint64_t moves = 0;
  for (int look = 0; look < 100; ++look) {
    EXPECT_FALSE(watch.Look(3, [] {
      return ThreadSample{.exists = true, .state = 'R', .cpu_time = 1};
    }));
    EXPECT_GT(watch.moves(), std::exchange(moves, watch.moves()));
  }
  // One that naps and gets on moves too.
  for (uint64_t look = 2; look < 100; ++look) {
    EXPECT_FALSE(watch.Look(3, [&] {
      return ThreadSample{.exists = true, .state = 'S', .cpu_time = look};
    }));
    EXPECT_GT(watch.moves(), std::exchange(moves, watch.moves()));
  }
}

TEST(BuilderWatchTest, WorkWithoutEndIsNoMovement) {
  BuilderWatch watch;
  uint64_t cpu = 77;
  const auto sample = [&] {
    return ThreadSample{.exists = true, .state = 'R', .cpu_time = cpu};
  };
  watch.Look(3, sample);
  cpu += BuilderWatch::kLongestWork;
  const uint64_t moves = watch.moves();
  for (int look = 0; look < 10; ++look) {
    cpu += 1'000'000;
    EXPECT_FALSE(watch.Look(3, sample));
  }
  EXPECT_EQ(watch.moves(), moves);
  // The next piece is another matter.
  watch.Look(5, sample);
  EXPECT_GT(watch.moves(), moves);
}

TEST(BuilderWatchTest, AThreadThatIsGoneIsLostAtOnce) {
  BuilderWatch watch;
  watch.Look(3, [] { return kAsleep; });
  EXPECT_TRUE(watch.Look(3, [] { return ThreadSample{}; }));
  EXPECT_TRUE(watch.lost());
}

// The real thing: a job that waits for a lock, and then computes.
TEST(BuilderWatchTest, SeesABuilderWaitAndGetOn) {
  Builder builder;
  std::mutex mutex;
  std::condition_variable wake;
  bool go_on = false;
  std::atomic<bool> stop{false};
  bool finished = false;
  ASSERT_TRUE(builder.Submit(
      [&] {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return go_on; });
        while (!stop) {
        }
      },
      [&] { finished = true; }));
  while (builder.beacon().work() == 0) std::this_thread::yield();
  while (SampleThread(builder.beacon().thread()).state != 'S') {
    std::this_thread::yield();
  }
  BuilderWatch watch;
  watch.Look(builder.beacon());
  const uint64_t moves = watch.moves();
  for (int look = 0; look < 20; ++look) {
    EXPECT_FALSE(watch.Look(builder.beacon()));
  }
  EXPECT_EQ(watch.moves(), moves);
  {
    const std::lock_guard lock(mutex);
    go_on = true;
  }
  wake.notify_one();
  while (watch.moves() < moves + 3) watch.Look(builder.beacon());
  stop = true;
  while (!finished) {
    builder.Finish();
    std::this_thread::yield();
  }
  EXPECT_FALSE(watch.Look(builder.beacon()));
}

TEST(SampleThreadTest, KnowsRunningSleepingAndGone) {
  const ThreadSample own = SampleThread(gettid());
  EXPECT_TRUE(own.exists);
  EXPECT_EQ(own.state, 'R');
  EXPECT_GT(own.cpu_time, 0u);
  std::atomic<int> id{0};
  std::mutex mutex;
  mutex.lock();
  std::thread thread([&] {
    id.store(gettid());
    mutex.lock();
    mutex.unlock();
  });
  while (id.load() == 0) std::this_thread::yield();
  while (SampleThread(id.load()).state != 'S') std::this_thread::yield();
  const uint64_t asleep = SampleThread(id.load()).cpu_time;
  EXPECT_EQ(SampleThread(id.load()).cpu_time, asleep);
  mutex.unlock();
  thread.join();
  while (SampleThread(id.load()).exists) std::this_thread::yield();
  EXPECT_FALSE(SampleThread(id.load()).exists);
}

// ---- The monitor over real workers -----------------------------------------

class Hang final : public WorkerOrder {
 public:
  explicit Hang(std::atomic<bool>* go_on) : go_on_(*go_on) {}
  bool Step(const WorkerView&) override {
    go_on_.wait(false);
    return true;
  }
  void Done() override {}

 private:
  std::atomic<bool>& go_on_;
};

TEST(WorkerMonitorTest, TellsTheOthersAndTakesItBack) {
  TestPlane plane({.workers = 2});
  plane.Load("pass all\n");
  WorkerMonitor monitor(&plane.plane(), plane.workers());
  std::vector<std::thread> threads;
  for (Worker* worker : plane.workers()) {
    threads.emplace_back([worker] { worker->Run(); });
    while (worker->thread_id() == 0) std::this_thread::yield();
  }
  std::atomic<bool> go_on{false};
  plane.worker(1).mailbox().Post(std::make_unique<Hang>(&go_on));
  // A clock of our own: each look is 20 ms after the one before if worker 0
  // has made rounds in between.
  uint64_t now = 0;
  const auto look = [&] {
    const uint64_t rounds = plane.worker(0).totals().rounds.value();
    while (plane.worker(0).totals().rounds.value() == rounds) {
      std::this_thread::yield();
    }
    monitor.Poll(now += kLookInterval);
  };
  while (plane.plane().stalled.load() == 0) look();
  EXPECT_EQ(plane.plane().stalled.load(), 0b10u);
  // Its queue is polled by the other one: nothing stays in it.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(plane.port(0).Arrive(
        plane.Make("udp 10.0.0." + std::to_string(2 + i) +
                   ":1000 > 10.1.0.1:53 data 8"),
        1));
  }
  while (plane.Sum(&PortCounters::forwarded_packets) +
             plane.Drops(DropReason::kStalled) <
         20) {
    std::this_thread::yield();
  }
  EXPECT_GT(plane.Drops(DropReason::kStalled), 0u);
  EXPECT_GT(plane.Sum(&PortCounters::forwarded_packets), 0u);
  go_on.store(true);
  go_on.notify_all();
  while (plane.plane().stalled.load() != 0) look();
  plane.plane().run.store(RunState::kStop);
  for (std::thread& thread : threads) thread.join();
  plane.worker(1).mailbox().Collect();
}

}  // namespace
}  // namespace sluice
