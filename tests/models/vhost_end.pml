/*
 * A virtual machine goes while workers are in its rings (VhostChannel).
 *
 * Its memory is unmapped when End() returns. A worker closes the gate, reads
 * the number of the rings, uses them if there are any, and opens the gate; the
 * library's thread takes the number back and waits for the gate. Two workers
 * may want it at once: one stands in for the other.
 *
 * What holds: nobody is in the rings once the memory is gone, never two are in
 * them at once, and End() comes to its end (ltl), whatever workers do that are
 * not in the rings.
 * Deliberate mistakes, each of which must be found:
 * breaks: NUMBER_FIRST
 * breaks: NO_WAIT
 * breaks: LOOK_THEN_CLOSE
 * In the first the number is read before the gate is closed; in the second
 * nobody waits; in the third the gate is looked at and then closed.
 */
#define WORKERS 2

bool there = true;     /* the number of the rings */
bool mapped = true;    /* the machine's memory */
bool closed = false;   /* the gate */
byte inside = 0;
bool ended = false;

proctype worker() {
  bool has, taken;
  byte calls = 2;
  do
  :: calls > 0 ->
     calls--;
#ifdef NUMBER_FIRST
     has = there;
#endif
#ifdef LOOK_THEN_CLOSE
     taken = !closed;
     if
     :: taken -> closed = true
     :: else
     fi;
#else
     atomic { taken = !closed; closed = true };
#endif
     if
     :: taken ->
#ifndef NUMBER_FIRST
        has = there;
#endif
        if
        :: has ->
           inside++;
           assert(inside == 1);
           assert(mapped);
           inside--
        :: else
        fi;
        closed = false
     :: else
     fi
  :: break
  od
}

proctype library() {
  there = false;
#ifndef NO_WAIT
  !closed;
#endif
  mapped = false;
  ended = true
}

init {
  byte i = 0;
  do
  :: i < WORKERS -> run worker(); i++
  :: else -> break
  od;
  run library()
}

ltl comes_to_an_end { <> ended }
