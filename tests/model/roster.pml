/*
 * The roster: a process that is alone in the folder answers from its cache, and no other process changes the session in
 * between. Any time may pass between two steps, so every process may be stopped at any moment, for any time.
 * run.ts checks this model. -DNO_... leaves out one rule; Spin must then find a stale answer.
 */

/* Ticks of 250 ms. A period of 1 tick may reach into the next tick. A wait of 2 ticks may be little longer than 1. */
#define PERIOD 2
#define WAIT 2
#define END 6
byte now;

/* The entry of a process in the roster's folder: none, a file that it has made, or a file that it has also locked. */
#define NOTHING 0
#define MADE 1
#define HELD 2
byte entry[2];

byte version;         /* how many times the session's file was changed */
byte acknowledged;    /* the last change that was answered */

/* Roster.#look: looks for another process. A file without a lock is one of a dead process, and is removed. */
inline look() {
#ifndef NO_STAMP
  lookedAt = now;
#endif
#ifndef NO_PERIOD
  isKept = false;
#endif
  isAlone = true;
  other = 0;
  do
  :: other < 2 && other != me ->
    d_step {
      if :: entry[other] == MADE -> entry[other] = NOTHING :: entry[other] == HELD -> isAlone = false :: else fi;
      other++
    }
  :: other == me -> other++
  :: other == 2 -> break
  od;
#ifdef NO_STAMP
  lookedAt = now;
#endif
  other = 0
}

/* Roster.join: makes a file and locks it. If another process has removed it before the lock, it begins again. */
inline enter() {
  do
  :: entry[me] = MADE;
    if
    :: d_step { entry[me] == MADE -> entry[me] = HELD }; break
#ifdef NO_OWN
    :: d_step { entry[me] == NOTHING }; break
#else
    :: d_step { entry[me] == NOTHING }
#endif
    fi
  od
}

/* Roster.leave. A process that dies does the same, or leaves a file without a lock. */
inline leave() {
  if :: entry[me] = NOTHING :: entry[me] == HELD -> entry[me] = MADE fi
}

/* Answers requests. A record that it read stays in its cache for the period. */
proctype Reading(byte me) {
  byte lookedAt, other, kept, known;
  bool isAlone, isKept;
  do
  :: enter(); look();
    do
    :: now < END ->
      known = acknowledged;   /* the request comes */
#ifndef NO_EXPIRY
      if :: now - lookedAt >= PERIOD -> look() :: else fi;
#endif
      if
      :: isAlone && isKept -> skip
      :: else ->
        d_step { kept = version; isKept = true }
      fi;
      atomic { assert(kept >= known); known = 0 }
    :: leave(); break
    od;
    atomic { isKept = false; kept = 0; isAlone = false; lookedAt = 0 }
  :: now >= END -> break
  od
}

/* Changes the session. */
proctype Changing(byte me) {
  byte lookedAt, other, joined, mine;
  bool isAlone, isKept;
  do
  :: now < END ->
#ifdef NO_ORDER
    look(); enter(); joined = now;
#else
#ifdef NO_STAMP_AFTER
    joined = now; enter();
#else
    enter(); joined = now;
#endif
    look();
#endif
#ifndef NO_WAIT
    if :: isAlone :: !isAlone && now >= joined + WAIT fi;
#endif
    do
    :: version < 3 -> d_step { version++; mine = version }; acknowledged = (mine > acknowledged -> mine : acknowledged)
    :: version < 3 ->   /* it leaves the roster before it makes the change, and may join again */
      leave(); isAlone = false;
      if :: skip :: enter(); joined = now; look() fi;
      d_step {
        version++; mine = version;
        if :: isAlone || (entry[me] == HELD && now >= joined + WAIT) -> isAlone = true :: else -> joined = now fi
      };
#ifndef NO_WAIT_LEFT
      isAlone || now >= joined + WAIT;
#endif
      acknowledged = (mine > acknowledged -> mine : acknowledged);
      break
    :: break
    od;
    leave();
    atomic { joined = 0; mine = 0; isAlone = false; isKept = false; lookedAt = 0 }
  :: now < END && version < 3 ->   /* it cannot join: waits after the change */
    d_step { version++; mine = version; joined = now };
#ifndef NO_WAIT_AFTER
    now >= joined + WAIT;
#endif
    atomic { acknowledged = (mine > acknowledged -> mine : acknowledged); joined = 0; mine = 0 }
  :: break
  od
}

active proctype Clock() {
  atomic { run Reading(0); run Changing(1) };
  do :: now < END -> now++ :: now == END -> break od
}
