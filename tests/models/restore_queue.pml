/*
 * The restore queue: two filters that are enabled twice each, three packets,
 * an order that may be late, a builder that may fail in every way, attempts
 * that are made again, and one crash of the process; or one such filter, two
 * orders, and a snapshot that appears in its folder.
 *
 * holds:  ONE_FILTER                one filter, two orders, a folder
 * breaks: NO_LATCH                  a commit is forgotten
 * breaks: LATE_AGAIN ONE_FILTER     a snapshot that appears is taken, whatever
 *                                   was committed before
 * breaks: RETRY_PUBLISHED           a commit is tried again that was published
 * breaks: RETRY_KEEPS               an attempt that is made again after a commit
 *                                   that was undone holds a disable up
 * breaks: NO_RECHECK                a commit does not look at the incarnation
 * breaks: NO_DEFER                  a disable does not wait for a commit's end
 * breaks: NO_DEADLINE               a builder that is lost is waited for
 * breaks: NO_RESOLVE ONE_FILTER     held packets outlive a restore that failed
 * breaks: FORWARD_EARLY             a packet is forwarded before the end
 * breaks: FORGET_WAITER ONE_FILTER  a restore that is cancelled answers nobody
 * breaks: ANSWER_TWICE ONE_FILTER   a restore that is cancelled answers, and
 *                                   so does the filter's next one
 * breaks: FORGET_WANTED             an enable that a commit holds up is lost
 * breaks: TAKE_BACK                 an enable takes back a disable that a
 *                                   commit holds up
 *
 * One step of a process is one step of the program: an exchange of a filter's
 * status word together with what only its writer sees. A worker's look at the
 * word and what it does with a packet are one step: nothing of that depends on
 * what has become of the word since, and its request is an exchange of what it
 * has seen. What the builder finds is chosen when the control lcore looks.
 */
#define FILTERS 2
#define PACKETS 3
#define ORDERS 2 /* the second one is given in the variant ONE_FILTER */
#define ATTEMPTS 2 /* after which it gives up, if not before */
/* A filter is alive in its odd incarnations. */
#define LAST_LIFE 3

mtype = { NONE, EXPECT, QUEUED, VALIDATING, COMMITTING,
          RESTORED, FAILED, SKIPPED, CANCELLED };
mtype = { IDLE, RUNNING, LOST };

/* The status words. */
byte incarnation[FILTERS];
mtype state[FILTERS] = NONE;
/* What is wanted: whether the filter is enabled, and that the present
   incarnation ends. */
bool wanted[FILTERS], doomed[FILTERS];
/* In this incarnation: what was committed, and that the policy in force judges
   for want of a snapshot, and goes on doing so. */
byte commits[FILTERS];
bool judging[FILTERS];

/* The control lcore: the incarnation that a filter's job belongs to, or 0. */
byte job[FILTERS];
byte attempt[FILTERS];
/* The committer has begun and neither published nor undone. */
bool publishing[FILTERS];
/* The builder works for one filter at a time. One that is lost does not move;
   one that runs is never late. */
mtype builder = IDLE;
byte built_filter;
/* The snapshot of filter 0: 0 not there, 1 appeared, 2 seen to. */
byte file;

/* The worker. */
byte held[FILTERS], held_incarnation[FILTERS], arrivals;

/* Orders: 0 not given, 1 on their way, 2 waiting for the end, 3 answered. */
byte order[ORDERS], order_incarnation[ORDERS];

#define ALIVE(p) (incarnation[p] == 1 || incarnation[p] == 3)
#define UNDER_WAY(p) \
  (state[p] == QUEUED || state[p] == VALIDATING || state[p] == COMMITTING)
#define FINAL(p) \
  (state[p] == RESTORED || state[p] == FAILED || state[p] == SKIPPED)
#define PENDING(a) (order[a] == 1 || order[a] == 2)

ltl ends { []<>(!UNDER_WAY(0)) && []<>(!UNDER_WAY(1)) }
/* One of two that are alike stands for both. */
ltl resolves { []<>(held[0] == 0) }
ltl answers { []<>(!PENDING(0)) }

/* What holds a disable up, and what a commit looks at. */
#ifdef NO_DEFER
#define MAY_DISABLE(p) true
#else
#define MAY_DISABLE(p) (state[p] != COMMITTING)
#endif
#define DEAD(p) (job[p] != 0 && incarnation[p] != job[p])
#define LIVE_JOB(p) (job[p] != 0 && incarnation[p] == job[p])
#define BUILT(p) (builder == RUNNING && built_filter == p)
#ifdef NO_RECHECK
#define MAY_COMMIT(p) (job[p] != 0 && BUILT(p) && state[p] != COMMITTING)
#else
#define MAY_COMMIT(p) (LIVE_JOB(p) && BUILT(p) && state[p] == VALIDATING)
#endif

inline answer(a) {
  assert(PENDING(a));
  order[a] = 3; order_incarnation[a] = 0
}

inline answer_waiter(a, p) {
  if
  :: order[a] == 2 && p == 0 && order_incarnation[a] == job[p] -> answer(a)
  :: else
  fi
}

inline free_builder(p) {
  if
  :: builder != IDLE && built_filter == p -> builder = IDLE; built_filter = 0
  :: else
  fi
}

/* Whenever no commit is being published, what is, is what is wanted. */
#define SETTLED(p) (!doomed[p] && ALIVE(p) == wanted[p])
#ifdef TAKE_BACK
#define MUST_END(p) (doomed[p] && !wanted[p])
#else
#define MUST_END(p) doomed[p]
#endif

inline enable(p) {
  incarnation[p]++; state[p] = EXPECT; commits[p] = 0; judging[p] = false
}

inline disable(p) {
  assert(!publishing[p]);
  incarnation[p]++; doomed[p] = false;
  state[p] = (FINAL(p) || state[p] == NONE -> NONE : CANCELLED)
}

inline end_life(p) {
  if
  :: MUST_END(p) && MAY_DISABLE(p) -> disable(p)
  :: else
  fi
}

inline begin_life(p) {
  if
  :: wanted[p] && !ALIVE(p) -> enable(p)
  :: else
  fi
}

inline want(p, on) {
  wanted[p] = on;
  if
  :: !on && ALIVE(p) -> doomed[p] = true
  :: else
  fi;
  end_life(p);
  begin_life(p);
  assert(SETTLED(p) || state[p] == COMMITTING)
}

/* The state of the filter has been set: every waiter is told, once. */
inline end_job(p) {
  answer_waiter(0, p);
  answer_waiter(1, p);
  free_builder(p);
  job[p] = 0; attempt[p] = 0; publishing[p] = false;
  end_life(p);
#ifndef FORGET_WANTED
  begin_life(p);
#endif
  assert(SETTLED(p))
}

inline cancel_job(p) {
#ifdef FORGET_WAITER
  free_builder(p); job[p] = 0; attempt[p] = 0
#else
#ifdef ANSWER_TWICE
  if
  :: order[0] == 2 && p == 0 -> answer(0); order[0] = 2
  :: else
  fi;
#endif
  end_job(p)
#endif
}

/* Has one filter enabled and disabled, for as long as it likes. */
proctype Owner(byte p) {
end:
  do
  :: d_step { incarnation[p] < LAST_LIFE && !wanted[p] -> want(p, true) }
  :: d_step { wanted[p] -> want(p, false) }
  :: break
  od
}

/* Puts a snapshot of filter 0 into its folder. */
proctype Folder() {
end:
  d_step { file == 0 -> file = 1 }
}

/* Somebody sees a filter that is alive, and orders what it then seems to need.
   The filters are alike: that one is called filter 0. */
proctype Client(byte a) {
end:
  d_step { ALIVE(0) -> order[a] = 1; order_incarnation[a] = incarnation[0] }
}

/* Whether the policy in force may judge a packet of the filter. */
#define MAY_FORWARD(p) \
  (ALIVE(p) && (state[p] == RESTORED || state[p] == SKIPPED || judging[p]))
/* What was held is replayed or dropped before the filter's next packet. */
#define RESOLVABLE(p) \
  (held[p] > 0 && \
   (held_incarnation[p] != incarnation[p] || FINAL(p) || judging[p]))
#ifdef NO_RESOLVE
#define MAY_RESOLVE(p) (RESOLVABLE(p) && state[p] != FAILED)
#else
#define MAY_RESOLVE(p) RESOLVABLE(p)
#endif

inline arrive(p) {
  arrivals++;
  if
  :: !ALIVE(p)                              /* dropped */
  :: MAY_FORWARD(p) -> assert(held[p] == 0) /* forwarded */
  :: !MAY_FORWARD(p) && ALIVE(p) && state[p] == FAILED /* dropped: closed */
  :: !MAY_FORWARD(p) && ALIVE(p) && (state[p] == EXPECT || UNDER_WAY(p)) ->
     if
     :: state[p] == EXPECT -> state[p] = QUEUED
     :: else
     fi;
#ifdef FORWARD_EARLY
     assert(MAY_FORWARD(p))
#else
     held[p]++; held_incarnation[p] = incarnation[p]
#endif
  fi
}

inline resolve(p) {
  if
  :: held_incarnation[p] == incarnation[p] && MAY_FORWARD(p)  /* replayed */
  :: else                                                     /* dropped */
  fi;
  held[p] = 0; held_incarnation[p] = 0
}

proctype Worker() {
end:
  do
  :: d_step { arrivals < PACKETS && !RESOLVABLE(0) -> arrive(0) }
  :: d_step { arrivals < PACKETS && !RESOLVABLE(1) -> arrive(1) }
  :: d_step { MAY_RESOLVE(0) -> resolve(0) }
  :: d_step { MAY_RESOLVE(1) -> resolve(1) }
  od
}

/* Another attempt, the first one of this asking. */
inline start(p) {
  if
  :: state[p] == SKIPPED -> judging[p] = true
  :: else
  fi;
  state[p] = QUEUED; job[p] = incarnation[p]; attempt[p] = 0
}

inline submit(a, p) {
  if
  :: incarnation[p] != order_incarnation[a] -> answer(a)     /* stale */
  :: incarnation[p] == order_incarnation[a] && state[p] == RESTORED ->
#ifdef NO_LATCH
     state[p] = QUEUED; order[a] = 2
#else
     answer(a)                                               /* latched */
#endif
  :: incarnation[p] == order_incarnation[a] && LIVE_JOB(p) ->
     order[a] = 2                                            /* joins */
  :: incarnation[p] == order_incarnation[a] && state[p] != RESTORED &&
     !LIVE_JOB(p) ->
     /* The job of the life before has yet to see its end. */
     if
     :: DEAD(p) -> cancel_job(p)
     :: else
     fi;
     start(p); order[a] = 2
  fi
}

/* A snapshot that has appeared: it starts an attempt where nothing was
   committed. While one is under way it waits for that one's end, but for one
   that has not begun to read, which takes it. */
inline appear(p) {
  file = 2;
  if
#ifdef LATE_AGAIN
  :: state[p] == RESTORED -> start(p)
#else
  :: state[p] == RESTORED
#endif
  :: state[p] == QUEUED && LIVE_JOB(p)
  :: state[p] == EXPECT || state[p] == FAILED || state[p] == SKIPPED ->
     start(p)
  fi
}
#define MAY_APPEAR(p) \
  (file == 1 && ALIVE(p) && !DEAD(p) && \
   (FINAL(p) || state[p] == EXPECT || (state[p] == QUEUED && LIVE_JOB(p))))

/* The attempt has failed and another one follows. */
inline retry(p) {
  state[p] = QUEUED; attempt[p]++; publishing[p] = false;
  free_builder(p);
#ifndef RETRY_KEEPS
  /* A commit that was undone has held up what was wanted. */
  end_life(p);
  begin_life(p);
  if
  :: DEAD(p) -> cancel_job(p)
  :: else
  fi;
#endif
  assert(SETTLED(p))
}
#define MAY_RETRY(p) (attempt[p] + 1 < ATTEMPTS)

inline fail(p) {
  state[p] = FAILED; end_job(p)
}

/* The steps of a filter's job; without a job there is none. */
#define STEPS(p) \
  :: d_step { state[p] == QUEUED && job[p] == 0 -> job[p] = incarnation[p] } \
  :: d_step { DEAD(p) -> cancel_job(p) } \
  :: d_step { LIVE_JOB(p) && state[p] == QUEUED && builder == IDLE -> \
       state[p] = VALIDATING; builder = RUNNING; built_filter = p } \
  :: d_step { LIVE_JOB(p) && MAY_EXPIRE(p) && MAY_RETRY(p) -> retry(p) } \
  :: d_step { LIVE_JOB(p) && MAY_EXPIRE(p) -> fail(p) } \
  :: d_step { BUILT(p) && state[p] == VALIDATING -> builder = LOST } \
  :: d_step { LIVE_JOB(p) && BUILT(p) && state[p] == VALIDATING -> \
       state[p] = SKIPPED; end_job(p) } \
  :: d_step { LIVE_JOB(p) && BUILT(p) && state[p] == VALIDATING && \
              MAY_RETRY(p) -> retry(p) } \
  :: d_step { LIVE_JOB(p) && BUILT(p) && state[p] == VALIDATING -> fail(p) } \
  :: d_step { MAY_COMMIT(p) -> \
       state[p] = COMMITTING; publishing[p] = true } \
  :: d_step { job[p] != 0 && state[p] == COMMITTING -> publish(p) } \
  :: d_step { LIVE_JOB(p) && state[p] == COMMITTING && MAY_RETRY(p) -> \
       retry(p) } \
  :: d_step { LIVE_JOB(p) && state[p] == COMMITTING -> fail(p) }

#ifdef NO_DEADLINE
#define MAY_EXPIRE(p) (state[p] == QUEUED && builder == IDLE)
#else
#define MAY_EXPIRE(p) \
  (builder != RUNNING && (state[p] == QUEUED || state[p] == VALIDATING))
#endif

inline publish(p) {
  assert(ALIVE(p) && incarnation[p] == job[p]);
  commits[p]++;
  assert(commits[p] == 1);
#ifdef RETRY_PUBLISHED
  if
  :: MAY_RETRY(p) -> retry(p)
  :: else -> state[p] = RESTORED; end_job(p)
  fi
#else
  state[p] = RESTORED; end_job(p)
#endif
}

proctype Control() {
end:
  do
  :: d_step { order[0] == 1 -> submit(0, 0) }
  :: d_step { order[1] == 1 -> submit(1, 0) }
  :: d_step { MAY_APPEAR(0) -> appear(0) }
  STEPS(0)
  STEPS(1)
  od
}

/* The process dies: what was held is gone, connections are closed, and filters
   come back in another incarnation. */
inline forget(p) {
  job[p] = 0; attempt[p] = 0; held[p] = 0; held_incarnation[p] = 0;
  wanted[p] = false; doomed[p] = false; commits[p] = 0; publishing[p] = false;
  judging[p] = false;
  incarnation[p] = incarnation[p] + incarnation[p] % 2;
  state[p] = NONE
}

proctype Crash() {
  if
  :: d_step {
       forget(0); forget(1); builder = IDLE; built_filter = 0;
       if :: PENDING(0) -> answer(0) :: else fi;
       if :: PENDING(1) -> answer(1) :: else fi
     }
  :: skip
  fi
}

init {
  atomic {
    run Owner(0); run Client(0); run Worker(); run Control(); run Crash();
#ifdef ONE_FILTER
    run Client(1); run Folder()
#else
    run Owner(1)
#endif
  }
}
