/*
 * Stopping workers that hand packets to each other, without losing one.
 *
 * A worker takes packets from its port, hands those whose flow another worker
 * owns to that worker's ring, and, once judged, those whose port it cannot
 * transmit on to the transmit ring of one that can. To stop, the control lcore
 * first asks all to take nothing more from ports. Each says when it has begun
 * a round without receiving. From then on the number of packets received is
 * fixed, and when as many have been accounted for (sent on or dropped), none
 * is in a ring or in a worker's hands: the workers may end.
 *
 * A packet may also be held, while a restore is awaited. A worker that has been
 * asked to take nothing more drops what it holds, which accounts for it.
 *
 * What holds: when the workers have ended, every packet is accounted for.
 * Deliberate mistakes, each of which must be found:
 * breaks: NO_ACKNOWLEDGEMENT
 * breaks: IDLE_FLAGS
 * breaks: HELD_COUNTED
 * The last counts a packet when it is held. The second is the obvious way: each worker raises a flag when its rounds
 * find nothing, and lowers it when they do. A flag that is still up when the
 * other one's packets are on their way is believed.
 */
#define WORKERS 2
#define PACKETS 2    /* that come at each port */
#define ROUNDS 2     /* idle rounds before the flag goes up */

mtype = { RUN, DRAIN, STOP };
mtype order = RUN;

byte received[WORKERS];      /* each written by its worker only */
byte accounted[WORKERS];
bool not_receiving[WORKERS];
bool idle_flag[WORKERS];
byte handed[WORKERS];        /* packets in the ring to each worker */
byte to_transmit[WORKERS];
byte held[WORKERS];
byte ended = 0;

#define other(w) (1 - (w))

/* A packet came to `me`: it leaves here, or by the other one, or waits. */
inline act(me) {
  if
  :: accounted[me]++
  :: to_transmit[other(me)]++
  :: held[me]++
#ifdef HELD_COUNTED
     ; accounted[me]++
#endif
  fi
}

proctype Worker(byte me) {
  byte left = PACKETS;
  byte idle = 0;
  bool busy;
  mtype now;

  do
  :: now = order;
     if
     :: now == STOP -> break
     :: else -> skip
     fi;
     busy = false;
     if
     :: now == DRAIN -> not_receiving[me] = true
     :: now == RUN && left > 0 ->
        left--;
        received[me]++;
        busy = true;
        if
        :: handed[other(me)]++
        :: act(me)
        fi
     :: now == RUN -> skip
     fi;
     if
     :: held[me] > 0 ->   /* dropped, or the restore has ended */
        held[me]--; busy = true;
#ifndef HELD_COUNTED
        accounted[me]++
#endif
     :: held[me] > 0 && now == RUN -> skip
     :: held[me] == 0 -> skip
     fi;
     if
     :: handed[me] > 0 -> handed[me]--; busy = true; act(me)
     :: handed[me] == 0 -> skip
     fi;
     if
     :: to_transmit[me] > 0 ->
        to_transmit[me]--; busy = true; accounted[me]++
     :: to_transmit[me] == 0 -> skip
     fi;
     if
     :: busy -> idle = 0; idle_flag[me] = false
     :: else ->
        if
        :: idle < ROUNDS -> idle++
        :: else -> skip
        fi;
        if
        :: idle == ROUNDS && now == DRAIN -> idle_flag[me] = true
        :: else -> skip
        fi
     fi
  od;
  ended++
}

proctype Control() {
  byte in, out;

  order = DRAIN;
#ifdef IDLE_FLAGS
  idle_flag[0];
  idle_flag[1];
#else
#ifndef NO_ACKNOWLEDGEMENT
  not_receiving[0];
  not_receiving[1];
#endif
  do
  :: /* Read one after the other while the workers go on. */
     in = received[0];
     in = in + received[1];
     out = accounted[0];
     out = out + accounted[1];
     if
     :: in == out -> break
     :: else -> skip
     fi
  od;
#endif
  order = STOP;
  ended == WORKERS;
  assert(received[0] + received[1] == accounted[0] + accounted[1]);
  assert(handed[0] + handed[1] + to_transmit[0] + to_transmit[1] +
         held[0] + held[1] == 0)
}

init {
  atomic { run Worker(0); run Worker(1); run Control() }
}
