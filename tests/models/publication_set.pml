/*
 * Publication of several policies at once (pftable/store/publication.h).
 *
 * Each filter has the generation in force, which knows its epoch and the
 * generation before it. A set is published by storing each of its generations
 * and then the epoch; one filter alone by the same steps. A worker reads the
 * epoch once a round and takes of a filter the newest generation that is not
 * of a later one. Grace periods begin behind the store of the epoch.
 *
 * What holds: in a round a worker sees all of a set or nothing of it, whichever
 * filter it meets when; it never goes back to a generation that is freed.
 * Deliberate mistakes, each of which must be found:
 * breaks: NEWEST_OF_EACH
 * breaks: EPOCH_FIRST
 * breaks: EPOCH_EACH_FILTER
 * breaks: TOKEN_BEFORE_EPOCH
 * breaks: ALONE_WITHOUT_EPOCH
 */
#define WORKERS 2
#define FILTERS 2
#define SLOTS 3      /* generations of a filter that exist at once, at most */
#define COMMITS 3
#define AT(filter, slot) ((filter) * SLOTS + (slot))

bool used[FILTERS * SLOTS];
byte since[FILTERS * SLOTS];   /* epoch */
byte before[FILTERS * SLOTS];  /* slot */
byte set_of[FILTERS * SLOTS];  /* number of the set that it is or builds on */
byte current[FILTERS];
byte epoch = 0;
byte token = 1;
byte quiescent[WORKERS];

inline Store(f) {
  if
  :: !used[AT(f, 0)] -> slot = 0
  :: else ->
     if
     :: !used[AT(f, 1)] -> slot = 1
     :: else -> slot = 2
     fi
  fi;
  assert(!used[AT(f, slot)]);
  used[AT(f, slot)] = true;
#ifdef ALONE_WITHOUT_EPOCH
  since[AT(f, slot)] = (alone -> 0 : number);
#else
  since[AT(f, slot)] = number;
#endif
  before[AT(f, slot)] = current[f];
  set_of[AT(f, slot)] = set;
  current[f] = slot
}

/* All that were replaced. */
inline Free(f) {
  d_step {
    slot = 0;
    do
    :: slot < SLOTS ->
       if
       :: slot != current[f] -> used[AT(f, slot)] = false
       :: else
       fi;
       slot++
    :: else -> break
    od
  }
}

proctype Control() {
  byte slot, wanted, i;
  byte number = 0;
  byte set = 0;
  byte waiting = 0;
  bool alone;

  do
  :: number < COMMITS ->
     number++;
     if
     :: alone = false; set++
     :: alone = true
     fi;
#ifdef EPOCH_FIRST
     epoch = number;
#endif
#ifdef TOKEN_BEFORE_EPOCH
     token++;
     wanted = token;
#endif
     if
     :: alone ->
        Store(0)
     :: else -> Store(0); Store(1)
     fi;
     epoch = number;
#ifndef TOKEN_BEFORE_EPOCH
     token++;
     wanted = token;
#endif
     waiting++;
     if
     /* The next one comes before workers are through with this one. */
     :: waiting < SLOTS - 1
     :: i = 0;
        do
        :: i < WORKERS -> (quiescent[i] >= wanted); i++
        :: else -> break
        od;
        Free(0);
        Free(1);
        waiting = 0
     fi
  :: else -> break
  od
}

proctype Worker(byte me) {
  byte seen_epoch, slot, f, turn, first_set;

  do
  :: quiescent[me] = token;
     /* A round: it meets the filters in any order, again and again. */
     seen_epoch = epoch;
     turn = 0;
     first_set = 255;
     do
     :: turn < 3 ->
        if
        :: f = 0
        :: f = 1
        fi;
#ifdef EPOCH_EACH_FILTER
        seen_epoch = epoch;
#endif
        slot = current[f];
#ifndef NEWEST_OF_EACH
        do
        :: assert(used[AT(f, slot)]);
           if
           :: since[AT(f, slot)] > seen_epoch -> slot = before[AT(f, slot)]
           :: else -> break
           fi
        od;
#endif
        assert(used[AT(f, slot)]);
        if
        :: first_set == 255 -> first_set = set_of[AT(f, slot)]
        :: else
        fi;
        assert(set_of[AT(f, slot)] == first_set);
        turn++
     :: else -> break
     od
  od
}

init {
  byte i = 0;
  atomic {
    used[AT(0, 0)] = true;
    used[AT(1, 0)] = true;
    run Control();
    do
    :: i < WORKERS -> run Worker(i); i++
    :: else -> break
    od
  }
}
