// Random walks of the model in tests/models/restore_queue.pml, replayed step
// by step on the queue, the status words and the hold queues. After each step
// both agree on every variable that they share, and the model's assertions
// hold in the program.
//
// SLUICE_WALKS sets the number of walks, SLUICE_SEED the first one's seed.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "restore/hold_queue.h"
#include "restore/restore_queue.h"
#include "tests/unit/restore/restore_fakes.h"

namespace sluice {
namespace {

using enum RestoreState;

constexpr int kFilters = 2;
constexpr int kOrders = 2;
constexpr int kPackets = 3;
constexpr uint32_t kLastLife = 3;
constexpr int kAttempts = 4;
// A step of the walk takes one microsecond, so that who is to give up is told
// so by a jump, and so is who is late.
constexpr RestoreTime kJump = 1'000'000'000;
constexpr RestoreLimits kLimits = {.give_up = kJump,
                                   .retry_delays = {0, 0, 0},
                                   .last_retry_delay = 0,
                                   .longest_gap = UINT64_MAX};

class NoSource : public SnapshotSource {
 public:
  absl::StatusOr<SharedBytes> Read(const SnapshotReading&) override {
    return SharedBytes();
  }
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// The model's variables, with its names.
struct ModelFilter {
  uint32_t incarnation = 0;
  RestoreState state = kNone;
  bool expects = false;
  // What is wanted, and that the present incarnation ends.
  WantedFilter wanted = {};
  bool doomed = false;
  int commits = 0;
  bool judging = false;
  uint32_t job = 0;
  int attempt = 0;
  int held = 0;
  uint32_t held_incarnation = 0;

  bool alive() const { return incarnation % 2 == 1; }
  bool under_way() const {
    return state == kQueued || state == kValidating || state == kCommitting;
  }
  bool final() const {
    return state == kRestored || state == kFailed || state == kSkipped;
  }
  bool dead() const { return job != 0 && incarnation != job; }
  bool live_job() const { return job != 0 && incarnation == job; }
  bool settled() const { return !doomed && alive() == wanted.enabled; }
  bool may_forward() const {
    return alive() && (!expects || state == kRestored || state == kSkipped ||
                       judging);
  }
  bool resolvable() const {
    return held > 0 &&
           (held_incarnation != incarnation || final() || judging);
  }
};
enum class Builder { kIdle, kRunning, kLost };
struct ModelOrder {
  int step = 0;  // 0 not given, 1 on its way, 2 waiting, 3 answered
  int filter = 0;
  uint32_t incarnation = 0;
};

// Every kind of step, for the count of what the walks have covered.
enum Action {
  kEnable, kDisable, kDeferredDisable, kDeferredEnable, kGiveOrder, kStale,
  kLatched, kJoin, kStart, kArriveDropped, kArriveForwarded, kArriveHeld,
  kResolveReplayed, kResolveDropped, kNotice, kCancelJob, kBuild, kExpire,
  kLose, kSkip, kRetry, kRefuse, kCommit, kPublish, kUndo, kCrash,
  kStartAgain, kExpireAndRetry, kUndoAndRetry, kGiveUp, kAppearStarts,
  kAppearJoins, kAppearLatched,
  kActionCount
};
constexpr std::array<const char*, kActionCount> kActionNames = {
    "enable", "disable", "disable held up by a commit",
    "enable held up by a commit",
    "order given", "order stale", "order latched", "order joins",
    "order starts", "packet dropped", "packet forwarded", "packet held",
    "held replayed", "held dropped", "packet's request noticed",
    "job cancelled", "build", "deadline", "builder lost", "skipped", "retry",
    "refused", "commit", "publish", "commit undone, given up", "crash",
    "order starts another attempt after a failure",
    "deadline, and tried again", "commit undone, and tried again",
    "given up", "snapshot appears and starts an attempt",
    "snapshot appears and joins", "snapshot appears after a commit"};

class Walk {
 public:
  Walk(uint64_t seed, std::array<uint64_t, kActionCount>* counts)
      : random_(seed), counts_(counts) {
    NewProcess();
  }

  // False, with *why, at the first difference.
  bool Run(std::string* why) {
    const int length = 20 + static_cast<int>(random_() % 60);
    for (int i = 0; i < length && why_.empty(); ++i) OneStep();
    if (why_.empty()) Quiesce();
    *why = why_ + "; steps:" + trace_;
    return why_.empty();
  }

 private:
  using Candidate = std::pair<Action, std::function<void()>>;

  void Differ(const std::string& what) {
    if (why_.empty()) why_ = what;
  }
  void Require(bool condition, const char* what) {
    if (!condition) Differ(what);
  }

  void NewProcess() {
    queue_ = std::make_unique<RestoreQueue>(kLimits, &validator_, &committer_,
                                            &listener_);
    for (int p = 0; p < kFilters; ++p) {
      ids_[p] = queue_->AddFilter({.word = &words_[p]});
    }
  }

  // --- the steps, in the order of the model's text ---

  void AnswerModel(int a) {
    Require(orders_[a].step == 1 || orders_[a].step == 2, "answered twice");
    orders_[a].step = 3;
  }
  void FreeBuilder(int p) {
    if (builder_ != Builder::kIdle && built_filter_ == p) {
      builder_ = Builder::kIdle;
    }
  }
  void EndJob(int p) {
    ModelFilter& filter = filters_[p];
    for (int a = 0; a < kOrders; ++a) {
      if (orders_[a].step == 2 && orders_[a].filter == p &&
          orders_[a].incarnation == filter.job) {
        AnswerModel(a);
        ++waiters_told_[a];
      }
    }
    FreeBuilder(p);
    filter.job = 0;
    filter.attempt = 0;
    MoveModel(p);
    Require(filter.settled(), "the model itself forgets what was wanted");
  }
  void DisableModel(int p) {
    ModelFilter& filter = filters_[p];
    filter.state = filter.final() || filter.state == kNone ? kNone : kCancelled;
    ++filter.incarnation;
    filter.expects = false;
    filter.doomed = false;
  }
  void MoveModel(int p) {
    ModelFilter& filter = filters_[p];
    if (filter.doomed && filter.state != kCommitting) DisableModel(p);
    if (!filter.wanted.enabled || filter.alive()) return;
    ++filter.incarnation;
    filter.expects = filter.wanted.expects;
    filter.state = filter.expects ? kExpect : kNone;
    filter.commits = 0;
    filter.judging = false;
  }
  // On both sides.
  void Want(int p, const WantedFilter& wanted) {
    ModelFilter& filter = filters_[p];
    filter.wanted = wanted;
    if (!wanted.enabled && filter.alive()) filter.doomed = true;
    MoveModel(p);
    const bool deferred = !filter.settled();
    Require(!deferred || filter.state == kCommitting,
            "the model itself waits without a commit");
    Require(queue_->Want(ids_[p], wanted) ==
                (deferred ? WantResult::kDeferred : WantResult::kDone),
            "what was wanted was not done, or too early");
    Require(queue_->Want(ids_[p], wanted) ==
                (deferred ? WantResult::kDeferred : WantResult::kUnchanged),
            "what was wanted twice was done twice");
  }

  void StartModel(int p) {
    ModelFilter& filter = filters_[p];
    if (filter.state == kSkipped) {
      filter.judging = true;
      filter.expects = false;
    }
    filter.state = kQueued;
    filter.job = filter.incarnation;
    filter.attempt = 0;
    began_[p] = now_;
  }

  // The attempt has failed and another one follows.
  void RetryModel(int p) {
    ModelFilter& filter = filters_[p];
    filter.state = kQueued;
    ++filter.attempt;
    FreeBuilder(p);
    MoveModel(p);
    if (filter.dead()) EndJob(p);
  }

  void Appear(int p) {
    ModelFilter& filter = filters_[p];
    file_[p] = 2;
    RestoreCode expected = RestoreCode::kStarted;
    if (filter.state == kRestored) {
      expected = RestoreCode::kConflict;
      ++(*counts_)[kAppearLatched];
    } else if (filter.state == kQueued) {
      // The snapshot of this one is whatever there is, and so the same.
      expected = RestoreCode::kJoined;
      ++(*counts_)[kAppearJoins];
    } else {
      ++(*counts_)[kAppearStarts];
      StartModel(p);
    }
    const RestoreAnswer answer = queue_->Submit(
        {.filter = ids_[p],
         .snapshot = expected == RestoreCode::kConflict ? SnapshotId{9}
                                                        : kNoSnapshotId,
         .snapshot_source = source_},
        now_);
    if (answer.code != expected) {
      Differ("a snapshot that appeared was answered \"" +
             std::string(Name(answer.code)) + "\" instead of \"" +
             std::string(Name(expected)) + "\"");
    }
  }

  void SubmitOrder(int a) {
    const int p = orders_[a].filter;
    ModelFilter& filter = filters_[p];
    RestoreCode expected;
    if (filter.incarnation != orders_[a].incarnation) {
      expected = RestoreCode::kStale;
      AnswerModel(a);
      ++(*counts_)[kStale];
    } else if (filter.state == kRestored) {
      expected = RestoreCode::kAlreadyApplied;
      AnswerModel(a);
      ++(*counts_)[kLatched];
    } else if (filter.live_job()) {
      expected = RestoreCode::kJoined;
      orders_[a].step = 2;
      ++(*counts_)[kJoin];
    } else {
      // A packet's request that nobody has noticed yet is joined.
      expected = filter.state == kQueued ? RestoreCode::kJoined
                                       : RestoreCode::kStarted;
      if (filter.dead()) EndJob(p);
      ++(*counts_)[filter.final() ? kStartAgain : kStart];
      StartModel(p);
      orders_[a].step = 2;
    }
    const RestoreAnswer answer =
        queue_->Submit({.filter = ids_[p],
                        .incarnation = orders_[a].incarnation,
                        .waiter = static_cast<RestoreWaiter>(a + 1)},
                       now_);
    if (answer.code != expected) {
      Differ("an order was answered \"" + std::string(Name(answer.code)) +
             "\" instead of \"" + std::string(Name(expected)) + "\"");
    }
  }

  void Arrive(int p) {
    ModelFilter& filter = filters_[p];
    ++arrivals_;
    const FilterStatus status = words_[p].Load();
    const FilterDisposition what = DispositionOf(status);
    if (!filter.alive() || (filter.expects && filter.state == kFailed)) {
      Require(what == FilterDisposition::kDrop ||
                  what == FilterDisposition::kFail,
              "a packet was not dropped");
      ++(*counts_)[kArriveDropped];
    } else if (filter.may_forward()) {
      Require(what == FilterDisposition::kJudge, "a packet was not judged");
      Require(holds_[p].empty(), "a packet overtook what was held");
      ++(*counts_)[kArriveForwarded];
    } else {
      // Fail closed: nothing is forwarded before the end.
      Require(what == FilterDisposition::kHold ||
                  what == FilterDisposition::kRequest,
              "a packet was not held");
      if (what == FilterDisposition::kRequest) {
        Require(filter.state == kExpect, "a packet asked again");
        Require(words_[p].RequestRestore(), "the first request was refused");
        filter.state = kQueued;
      }
      Require(holds_[p].Hold(&mbufs_[arrivals_ - 1], status.incarnation, 0),
              "no room to hold");
      ++filter.held;
      filter.held_incarnation = filter.incarnation;
      ++(*counts_)[kArriveHeld];
    }
  }

  void Resolve(int p) {
    ModelFilter& filter = filters_[p];
    const bool replay =
        filter.held_incarnation == filter.incarnation && filter.may_forward();
    const FilterStatus status = words_[p].Load();
    const HoldEnd end = holds_[p].EndOf(status, false);
    Require(end == (replay ? HoldEnd::kReplay : HoldEnd::kDrop),
            "what was held had another end");
    std::array<rte_mbuf*, kPackets> out;
    const uint32_t taken = replay ? holds_[p].TakeReplayed(out, 1)
                                  : holds_[p].TakeDropped(status, out, 1);
    Require(taken == static_cast<uint32_t>(filter.held), "held packets lost");
    filter.held = 0;
    filter.held_incarnation = 0;
    ++(*counts_)[replay ? kResolveReplayed : kResolveDropped];
  }

  // One step of the filter's job, the builder saying `outcome` if it is asked.
  void StepQueue(int p, ValidateOutcome outcome = ValidateOutcome::kRunning,
                 RestoreTime later = 0) {
    validator_.next[ids_[p]] = {outcome, {1}, ""};
    validator_.has_room = true;
    queue_->Step(ids_[p], now_ + later);
    validator_.next[ids_[p]] = {};
  }
  // So long after the last sign of movement that it is late. The first step
  // may find that others have moved meanwhile, for whom it has waited.
  void StepLate(int p, RestoreTime later) {
    const FilterStatus before = words_[p].Load();
    for (int i = 0; i < 2 && words_[p].Load() == before; ++i) {
      committer_.steps_left = 1;
      validator_.has_room = false;
      queue_->Step(ids_[p], now_);
      if (i == 0 && words_[p].Load() == before) now_ += later;
    }
    committer_.steps_left = 0;
    validator_.has_room = true;
  }
  // The same when it is time to give up.
  void StepGivingUp(int p) {
    now_ += kJump;
    StepLate(p, kJump);
  }
  void EndAs(int p, RestoreState state) {
    filters_[p].state = state;
    EndJob(p);
  }

  void FilterSteps(int p, std::vector<Candidate>* all) {
    ModelFilter& filter = filters_[p];
    const bool built = builder_ == Builder::kRunning && built_filter_ == p;
    if (filter.state == kQueued && filter.job == 0) {
      all->emplace_back(kNotice, [this, p] {
        filters_[p].job = filters_[p].incarnation;
        began_[p] = now_;
        StepQueue(p);
      });
    }
    if (filter.dead()) {
      all->emplace_back(kCancelJob, [this, p] {
        EndJob(p);
        StepQueue(p, ValidateOutcome::kReady);
      });
    }
    if (!filter.live_job()) return;
    if (filter.state == kQueued && builder_ == Builder::kIdle) {
      all->emplace_back(kBuild, [this, p] {
        filters_[p].state = kValidating;
        builder_ = Builder::kRunning;
        built_filter_ = p;
        StepQueue(p);
      });
    }
    // One that runs is not late: it says that it moves.
    const bool late =
        builder_ != Builder::kRunning &&
        (filter.state == kQueued || filter.state == kValidating);
    const RestoreTime limit = filter.state == kQueued     ? kLimits.queue
                              : filter.state == kCommitting ? kLimits.commit
                                                            : kLimits.validate;
    const bool may_retry = filter.attempt + 1 < kAttempts &&
                           now_ + 2 * limit - began_[p] < kJump;
    if (late) {
      all->emplace_back(kExpire, [this, p] {
        EndAs(p, kFailed);
        StepGivingUp(p);
      });
      if (may_retry) {
        all->emplace_back(kExpireAndRetry, [this, p, limit] {
          RetryModel(p);
          StepLate(p, limit);
        });
      }
    }
    if (built && filter.state == kValidating) {
      all->emplace_back(kLose, [this] { builder_ = Builder::kLost; });
      all->emplace_back(kSkip, [this, p] {
        EndAs(p, kSkipped);
        StepQueue(p, ValidateOutcome::kAbsent);
      });
      all->emplace_back(kRefuse, [this, p] {
        EndAs(p, kFailed);
        StepQueue(p, ValidateOutcome::kRefused);
      });
      all->emplace_back(kGiveUp, [this, p] {
        EndAs(p, kFailed);
        now_ += kJump;
        StepQueue(p, ValidateOutcome::kTransient);
      });
      if (may_retry) {
        all->emplace_back(kRetry, [this, p] {
          RetryModel(p);
          StepQueue(p, ValidateOutcome::kTransient);
        });
      }
      all->emplace_back(kCommit, [this, p] {
        filters_[p].state = kCommitting;
        FreeBuilder(p);
        committer_.steps_left = 1;
        StepQueue(p, ValidateOutcome::kReady);
        committer_.steps_left = 0;
      });
    }
    if (filter.state == kCommitting) {
      all->emplace_back(kPublish, [this, p] {
        ModelFilter& now = filters_[p];
        Require(now.alive() && now.incarnation == now.job,
                "the model itself commits into a dead incarnation");
        ++now.commits;
        EndAs(p, kRestored);
        StepQueue(p);
      });
      all->emplace_back(kUndo, [this, p] {
        EndAs(p, kFailed);
        StepGivingUp(p);
      });
      if (may_retry) {
        all->emplace_back(kUndoAndRetry, [this, p, limit] {
          RetryModel(p);
          StepLate(p, limit);
        });
      }
    }
  }

  void OwnerSteps(int p, std::vector<Candidate>* all) {
    const ModelFilter& filter = filters_[p];
    if (filter.incarnation < kLastLife && !filter.wanted.enabled) {
      // Most expect a restore: the others have less to show.
      const bool expects = random_() % 4 != 0;
      all->emplace_back(filter.alive() ? kDeferredEnable : kEnable,
                        [this, p, expects] {
                          Want(p, {.enabled = true, .expects = expects});
                        });
    }
    if (filter.wanted.enabled) {
      all->emplace_back(
          filter.state == kCommitting ? kDeferredDisable : kDisable,
          [this, p] { Want(p, {.enabled = false}); });
    }
  }

  void Crash() {
    queue_.reset();
    validator_.running.clear();
    for (int p = 0; p < kFilters; ++p) {
      ModelFilter& filter = filters_[p];
      std::array<rte_mbuf*, kPackets> out;
      holds_[p].TakeDropped(words_[p].Load(), out, 1);
      if (filter.alive()) {
        words_[p].Disable();
        DisableModel(p);
      }
      filter = {.incarnation = filter.incarnation, .state = filter.state};
    }
    file_ = {};
    builder_ = Builder::kIdle;
    for (int a = 0; a < kOrders; ++a) {
      // The connection is closed: that is the answer.
      if (orders_[a].step == 1 || orders_[a].step == 2) AnswerModel(a);
    }
    crashed_ = true;
    NewProcess();
  }

  void OneStep() {
    std::vector<Candidate> all;
    // Filters are enabled and disabled less often than other things happen,
    // but for those whose commit is being published.
    const bool owners = random_() % 5 == 0;
    for (int p = 0; p < kFilters; ++p) {
      if (owners || filters_[p].incarnation == 0 ||
          filters_[p].state == kCommitting) {
        OwnerSteps(p, &all);
      }
      FilterSteps(p, &all);
      const ModelFilter& filter = filters_[p];
      if (arrivals_ < kPackets && !filter.resolvable()) {
        all.emplace_back(kActionCount, [this, p] { Arrive(p); });
      }
      if (filter.resolvable()) {
        all.emplace_back(kActionCount, [this, p] { Resolve(p); });
      }
      if (file_[p] == 0) {
        all.emplace_back(kActionCount, [this, p] { file_[p] = 1; });
      } else if (file_[p] == 1 && filter.alive() && !filter.dead() &&
                 (filter.final() || filter.state == kExpect ||
                  filter.state == kNone ||
                  (filter.state == kQueued && filter.live_job()))) {
        all.emplace_back(kActionCount, [this, p] { Appear(p); });
      }
      for (int a = 0; a < kOrders; ++a) {
        if (orders_[a].step == 0 && filter.alive()) {
          all.emplace_back(kGiveOrder, [this, a, p] {
            orders_[a] = {1, p, filters_[p].incarnation};
          });
        }
      }
    }
    for (int a = 0; a < kOrders; ++a) {
      if (orders_[a].step == 1) {
        all.emplace_back(kActionCount, [this, a] { SubmitOrder(a); });
      }
    }
    // Rare, or no walk would get far.
    if (!crashed_ && random_() % 256 == 0) {
      all.emplace_back(kCrash, [this] { Crash(); });
    }
    if (all.empty()) return;
    const size_t chosen = random_() % all.size();
    const Action action = all[chosen].first;
    if (action != kActionCount) ++(*counts_)[action];
    trace_ += " " + std::to_string(action);
    now_ += 1;
    all[chosen].second();
    Compare();
  }

  void Compare() {
    size_t jobs = 0;
    size_t building = 0;
    for (int p = 0; p < kFilters; ++p) {
      const FilterStatus status = words_[p].Load();
      const ModelFilter& filter = filters_[p];
      if (status.incarnation != filter.incarnation ||
          status.state != filter.state || status.expects() != filter.expects) {
        Differ("filter " + std::to_string(p) + " is in incarnation " +
               std::to_string(status.incarnation) + " " +
               std::string(Name(status.state)) + ", the model in " +
               std::to_string(filter.incarnation) + " " +
               std::string(Name(filter.state)));
      }
      jobs += filter.job != 0;
      building += builder_ != Builder::kIdle && built_filter_ == p;
      Require(holds_[p].size() == static_cast<uint32_t>(filter.held),
              "another number of packets is held");
      Require(filter.commits <= 1, "the model itself commits twice");
    }
    Require(queue_->jobs() == jobs, "another number of jobs");
    Require(validator_.running.size() == building, "another builder");
    Require(validator_.unknown == 0, "a job was polled that did not run");
    Require(committer_.dead_commits == 0, "a commit into a dead incarnation");
    for (const auto& [key, count] : committer_.commits) {
      Require(count == 1, "two commits in an incarnation");
    }
    for (int a = 0; a < kOrders; ++a) {
      Require(static_cast<int>(listener_.answers[a + 1].size()) ==
                  waiters_told_[a],
              "a waiter was told twice, or not at all");
    }
    Require(budget_.used() == holds_[0].size() + holds_[1].size(),
            "the budget of held packets leaks");
  }

  // Nothing new happens any more: everything that is under way ends, by itself
  // or at its deadline, and everybody is told.
  void Quiesce() {
    for (int a = 0; a < kOrders; ++a) {
      if (orders_[a].step == 1) SubmitOrder(a);
    }
    for (int i = 0; i < 20; ++i) queue_->Poll(now_ += kJump);
    Require(queue_->jobs() == 0, "a restore has no end");
    for (int p = 0; p < kFilters; ++p) {
      const FilterStatus status = words_[p].Load();
      Require(!status.under_way(), "a filter has no end");
      Require(status.enabled() == filters_[p].wanted.enabled,
              "a filter is not what is wanted");
      std::array<rte_mbuf*, kPackets> out;
      const HoldEnd end = holds_[p].EndOf(status, false);
      Require(holds_[p].empty() || end != HoldEnd::kWait,
              "packets are held for ever");
      if (end == HoldEnd::kReplay) holds_[p].TakeReplayed(out, 1);
      if (end == HoldEnd::kDrop) holds_[p].TakeDropped(status, out, 1);
    }
    Require(budget_.used() == 0, "held packets are not given back");
    for (int a = 0; a < kOrders; ++a) {
      const size_t told = listener_.answers[a + 1].size();
      Require(told == (orders_[a].step == 2 ? 1u
                                            : static_cast<size_t>(
                                                  waiters_told_[a])),
              "a waiter was not told of the end once");
    }
  }

  std::mt19937_64 random_;
  std::array<uint64_t, kActionCount>* const counts_;
  std::string why_;
  std::string trace_;

  // The model.
  std::array<ModelFilter, kFilters> filters_;
  Builder builder_ = Builder::kIdle;
  int built_filter_ = 0;
  std::array<ModelOrder, kOrders> orders_;
  std::array<int, kOrders> waiters_told_{};
  int arrivals_ = 0;
  bool crashed_ = false;
  std::array<int, kFilters> file_{};  // 0 not there, 1 appeared, 2 seen to
  std::array<RestoreTime, kFilters> began_{};

  // The program.
  RestoreTime now_ = 1;
  FakeValidator validator_;
  FakeCommitter committer_;
  FakeListener listener_;
  const std::shared_ptr<NoSource> source_ = std::make_shared<NoSource>();
  std::array<FilterStatusWord, kFilters> words_;
  HoldBudget budget_{kPackets};
  std::array<HoldQueue, kFilters> holds_{HoldQueue(&budget_),
                                       HoldQueue(&budget_)};
  std::array<rte_mbuf, kPackets> mbufs_{};
  std::unique_ptr<RestoreQueue> queue_;
  std::array<RestoreFilterId, kFilters> ids_{};
};

TEST(RestoreQueueWalks, FollowTheModel) {
  const uint64_t walks = FromEnvironment("SLUICE_WALKS", 200'000);
  const uint64_t seed = FromEnvironment("SLUICE_SEED", 20261122);
  std::array<uint64_t, kActionCount> counts{};
  for (uint64_t i = 0; i < walks; ++i) {
    std::string why;
    ASSERT_TRUE(Walk(seed + i, &counts).Run(&why))
        << "walk with SLUICE_SEED=" << seed + i << ": " << why;
  }
  std::printf("%llu walks\n", static_cast<unsigned long long>(walks));
  for (size_t i = 0; i < kActionCount; ++i) {
    std::printf("%10llu %s\n", static_cast<unsigned long long>(counts[i]),
                kActionNames[i]);
    // None of them is a step that the walks never take.
    if (walks >= 100'000) {
      EXPECT_GE(counts[i], 100u) << kActionNames[i];
    }
  }
}

}  // namespace
}  // namespace sluice
