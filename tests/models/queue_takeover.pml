/*
 * A receive queue whose worker does not run is polled by another one.
 *
 * The control lcore looks at the workers' rounds from time to time; it may be
 * wrong, and it may be late: a worker can fall asleep at any step and wake at
 * any other, also amid the driver's burst function, and the word that says who
 * is asleep is old whenever it is read. What a queue cannot bear is two workers
 * in its burst function at once. So each takes the queue's token for the
 * length of the call and does without the queue if another one has it.
 *
 * What holds: never two in the queue; a worker that is awake and out of the
 * queue has not kept the token; and a queue whose owner sleeps, but not in it,
 * is polled by the other one as soon as that knows (ltl).
 * Deliberate mistakes, each of which must be found:
 * breaks: NO_TOKEN
 * breaks: LOOK_THEN_TAKE
 * breaks: STEAL
 * breaks: KEEP_TOKEN
 * breaks: NOBODY_STANDS_IN
 * The first trusts the word alone; the second looks whether the token is free
 * and then writes it; in the third the one that stands in takes it from a
 * sleeper; then a worker keeps it from burst to burst.
 */
#define WORKERS 2
#define OWNER 0      /* of the queue */
#define NOBODY 255

byte token = NOBODY;
bool stalled[WORKERS];   /* what the control lcore says */
bool asleep[WORKERS];    /* what is so */
byte in_queue = 0;       /* workers in the burst function */
bool owner_inside = false;
byte naps = 2;           /* of the owner */
byte errors = 2;         /* of the control lcore */
bool polled = false;     /* by the one that stands in, since it was told */

/* The owner may fall asleep between any two steps. */
inline nap(me) {
  if
  :: me == OWNER && naps > 0 -> naps--; asleep[me] = true; !asleep[me]
  :: skip
  fi
}

inline burst(me) {
  in_queue++;
  if
  :: me == OWNER -> owner_inside = true
  :: else -> polled = true
  fi;
  assert(in_queue == 1);
  nap(me);
  assert(in_queue == 1);
  if
  :: me == OWNER -> owner_inside = false
  :: else -> skip
  fi;
  in_queue--
}

proctype Worker(byte me) {
  bool mine, may;
#ifdef LOOK_THEN_TAKE
  bool free;
#endif
#ifdef STEAL
  byte seen;
#endif

  do
  :: mine = (me == OWNER);
#ifdef NOBODY_STANDS_IN
     may = mine;
#else
     may = mine || stalled[OWNER];
#endif
     nap(me);
     if
     :: !may -> skip
     :: may ->
#ifdef NO_TOKEN
        burst(me)
#else
#ifdef LOOK_THEN_TAKE
        free = (token == NOBODY);
        nap(me);
        if
        :: free -> token = me; burst(me); token = NOBODY
        :: else -> skip
        fi
#else
        if
        :: atomic { token == NOBODY -> token = me }
           burst(me);
           nap(me);
#ifndef KEEP_TOKEN
           token = NOBODY
#else
           if
           :: token = NOBODY
           :: skip
           fi
#endif
#ifdef KEEP_TOKEN
        :: token == me -> burst(me)
#endif
#ifdef STEAL
        :: token != NOBODY && token != me && !mine ->
           token = me; burst(me); token = NOBODY
#endif
        :: token != NOBODY -> skip
        fi
#endif
#endif
     fi;
     /* Between two rounds. */
#ifndef NO_TOKEN
     assert(token != me);
#endif
     nap(me)
  od
}

/* What wakes a sleeper, or never does. */
proctype World() {
  do
  :: asleep[OWNER] -> asleep[OWNER] = false
  :: naps == 0 -> break
  od
}

proctype Control() {
  do
  :: stalled[OWNER] != asleep[OWNER] ->
     polled = false;
     stalled[OWNER] = asleep[OWNER]
  :: errors > 0 ->   /* the owner only got no processor, or is not back */
     errors--;
     polled = false;
     stalled[OWNER] = !stalled[OWNER]
  od
}

init {
  atomic { run Worker(0); run Worker(1); run World(); run Control() }
}

#define dead_outside (asleep[OWNER] && stalled[OWNER] && token == NOBODY)
ltl taken_over { [] (([] dead_outside) -> <> polled) }
