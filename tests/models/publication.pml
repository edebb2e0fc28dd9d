/*
 * Publication of generations and their reclaim (rte_rcu_qsbr).
 *
 * The control lcore publishes a new generation with one store, then frees the
 * old one when each worker has reported a quiescent state that began after the
 * store, or is offline. A worker loads the pointer once a burst, judges the
 * packets of the burst with what it loaded, and reports between bursts; when
 * there is nothing to do it may go offline.
 *
 * Memory is a few slots that are used again, so that a stale pointer is seen
 * as a slot that is free or holds another generation.
 *
 * What holds: no packet is judged by a freed generation, nor a burst by two.
 * Deliberate mistakes, each of which must be found:
 * breaks: FREE_AT_ONCE
 * breaks: REPORT_IN_BURST
 * breaks: LOAD_EACH_PACKET
 * breaks: OFFLINE_IN_BURST
 * breaks: TOKEN_BEFORE_STORE
 */
#define WORKERS 2
#define SLOTS 3      /* generations that exist at once, at most */
#define COMMITS 3
#define PACKETS 2    /* in a burst */

byte content[SLOTS];       /* generation number in the slot; 0: free */
byte current = 0;          /* slot of the generation in force */
byte token = 1;            /* rte_rcu_qsbr: of the newest grace period */
byte quiescent[WORKERS];   /* token that each worker has reported */
bool online[WORKERS];

proctype Control() {
  byte next_slot, old, wanted, i;
  byte number = 1;

  do
  :: number <= COMMITS ->
     /* Build aside: any free slot. */
     if
     :: content[0] == 0 -> next_slot = 0
     :: content[1] == 0 -> next_slot = 1
     :: content[2] == 0 -> next_slot = 2
     fi;
     number++;
     content[next_slot] = number;
     old = current;
#ifdef TOKEN_BEFORE_STORE
     token++;
     wanted = token;
     current = next_slot;
#else
     current = next_slot;
     token++;
     wanted = token;
#endif
#ifndef FREE_AT_ONCE
     i = 0;
     do
     :: i < WORKERS ->
        (!online[i] || quiescent[i] >= wanted);
        i++
     :: else -> break
     od;
#endif
     content[old] = 0
  :: else -> break
  od
}

proctype Worker(byte me) {
  byte slot, generation, packet, seen;

  do
  :: /* Online, as before the first burst. */
     atomic { online[me] = true };
     seen = token;
     quiescent[me] = seen;
     do
     :: /* A burst. */
        slot = current;
        generation = content[slot];
        assert(generation != 0);
        packet = 0;
        do
        :: packet < PACKETS ->
#ifdef LOAD_EACH_PACKET
           slot = current;
#endif
           assert(content[slot] != 0);            /* not freed */
           assert(content[slot] == generation);   /* one for the burst */
#ifdef REPORT_IN_BURST
           seen = token;
           quiescent[me] = seen;
#endif
#ifdef OFFLINE_IN_BURST
           online[me] = false;
#endif
           packet++
        :: else -> break
        od;
#ifdef OFFLINE_IN_BURST
        online[me] = true;
#endif
        slot = 0;
        generation = 0;
        /* rte_rcu_qsbr_quiescent */
        seen = token;
        quiescent[me] = seen
     :: /* Nothing to do: rest. */
        online[me] = false;
        break
     od
  od
}

init {
  byte i = 0;
  atomic {
    content[0] = 1;
    run Control();
    do
    :: i < WORKERS -> run Worker(i); i++
    :: else -> break
    od
  }
}
