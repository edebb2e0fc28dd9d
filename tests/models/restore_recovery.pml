/*
 * Whether a filter whose restore fails comes back by itself: one filter that is
 * enabled once and expects a restore, an order that brings a bad snapshot, a
 * good one that appears in its folder at any time, before or after, a builder
 * that is lost twice, slow work that moves, and a commit that has to be undone.
 * With fair scheduling it ends in RESTORED, by one commit.
 *
 * breaks: LATCH_FAILURE   a failure ends the incarnation
 * breaks: NO_RETRY        what may do better is not tried again
 * breaks: FIXED_DEADLINE  an attempt has so much time, whether it moves or not
 * breaks: FORGET_LATE     a snapshot that appears while another one is tried is
 *                         not looked at again
 *
 * The time to give up is longer than the losses, as an operator would have it.
 * Packets, waiters and the ends of incarnations are in restore_queue.pml.
 */
#define LOSSES 2
/* So many steps the work of a good attempt has. */
#define PIECES 3

mtype = { EXPECT, QUEUED, VALIDATING, COMMITTING, RESTORED, FAILED };
mtype = { NOTHING, BAD, GOOD };

mtype state = EXPECT;
mtype source = NOTHING;  /* of the job */
byte commits, losses, pieces;
bool lost;               /* the builder does not move */
/* The good snapshot: 0 not there, 1 appeared, 2 being read, 3 taken. */
byte file;
/* The bad one: 0 not brought, 1 on its way, 2 answered. */
byte order;
bool tick;

ltl restored { <>[](state == RESTORED) }

#ifdef LATCH_FAILURE
#define MAY_START (state == EXPECT)
#else
#define MAY_START (state == EXPECT || state == FAILED)
#endif

inline fail() {
  state = FAILED; lost = false; pieces = 0; source = NOTHING
}

/* The attempt has failed, and might do better. */
inline fail_attempt() {
#ifdef NO_RETRY
  fail()
#else
  state = QUEUED; lost = false; pieces = 0
#endif
}

inline publish() {
  assert(source == GOOD);
  commits++;
  assert(commits == 1);
  state = RESTORED
}

active proctype Packet() {
  d_step { state == EXPECT -> state = QUEUED }
}

active proctype Client() {
  order = 1
}

active proctype Folder() {
  file = 1
}

/* Time goes on when nothing else does, so that a filter that is left alone is
   seen to be. */
active proctype Time() {
  do
  :: tick = !tick
  od
}

#ifdef FORGET_LATE
#define LOST_SIGHT (state != EXPECT && state != FAILED && source != NOTHING)
#else
#define LOST_SIGHT false
#endif

active proctype Control() {
end:
  do
  /* The order: it starts, brings what is waited for, or is told to poll. */
  :: d_step { order == 1 && MAY_START ->
       state = QUEUED; source = BAD; order = 2 }
  :: d_step { order == 1 && state == QUEUED && source == NOTHING ->
       source = BAD; order = 2 }
  :: d_step { order == 1 && !MAY_START &&
              !(state == QUEUED && source == NOTHING) -> order = 2 }
  /* The folder: it begins to be read, and then is brought. What appears while
     another one is tried waits for that one's end. */
  :: d_step { file == 1 && LOST_SIGHT -> file = 3 }
  :: d_step { file == 1 && !LOST_SIGHT -> file = 2 }
  :: d_step { file == 2 && MAY_START ->
       state = QUEUED; source = GOOD; file = 3 }
  :: d_step { file == 2 && state == QUEUED && source == NOTHING ->
       source = GOOD; file = 3 }
  /* Nobody has brought one in time. */
  :: d_step { state == QUEUED && source == NOTHING && file != 2 -> fail() }
  :: d_step { state == QUEUED && source != NOTHING -> state = VALIDATING }
  /* The work, and what may become of it. */
  :: d_step { state == VALIDATING && source == BAD -> fail() }
  :: d_step { state == VALIDATING && source == GOOD && !lost &&
              losses < LOSSES -> lost = true; losses++ }
  :: d_step { state == VALIDATING && lost -> fail_attempt() }
  :: d_step { state == VALIDATING && source == GOOD && !lost &&
              pieces < PIECES -> pieces++ }
#ifdef FIXED_DEADLINE
  :: d_step { (state == VALIDATING || state == COMMITTING) && pieces > 1 ->
       fail_attempt() }
#endif
  :: d_step { state == VALIDATING && !lost && pieces == PIECES ->
       state = COMMITTING }
  /* A worker that does not answer. */
  :: d_step { state == COMMITTING && losses < LOSSES ->
       losses++; fail_attempt() }
  :: d_step { state == COMMITTING -> publish() }
  od
}
