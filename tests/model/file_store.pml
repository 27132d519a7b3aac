/*
 * The file store's protocol: several processes work on one session's file at the same time, and one of them dies at any
 * step. A step is one call of the file system, or several if a lock keeps all other processes from acting in between.
 * run.ts checks this model. -DNO_... leaves out one rule of the protocol; Spin must then find a fault.
 */

/* The names: the session's id, and the one that a renewal gives it. */
#define OLD 0
#define NEW 1

/* Times, in minutes: the end of the session unless it is used, its end after a use, and the age from which an
 * unfinished file counts as one of a dead process. */
#define SOON 1
#define LATER 9
#define LEFTOVER 1

/* The file system: the files by number, the file of each name, and the process that has the lock of a file; 0: none. */
typedef File {
  bool whole;     /* it is written completely */
  byte changes;   /* the changes of the session, as bits */
  byte expires;
  byte mtime;
  byte holder
}
File file[5];
byte name[2];
byte beside;      /* the temporary file beside OLD */
byte now;

/* The answers, which are compared with the files. */
byte acknowledged;       /* changes */
byte promised = SOON;    /* the session lives at least until then */
bool gone;               /* a caller was told that the session is gone */
bool ended;              /* a caller was told that it ended the session */
bool moved;              /* a caller was told the session's new id */
bool removed;            /* a log-out, or a sweep after the end, removed OLD's name */
bool taken;              /* a renewal removed OLD's name */

byte working;            /* the processes that are not done, as bits */
byte killed;             /* the process that dies */

#define end(f) (file[f].mtime > file[f].expires -> file[f].mtime : file[f].expires)
#define isOver(f) (end(f) <= now)
#define bit(n) (1 << (n - 1))

inline make(number, where) { file[number].whole = false; file[number].mtime = now; where = number }
/* A whole file's mtime lies before its end, until it is touched; how long before makes no difference. */
inline finish(number, content) {
  d_step {
    file[number].changes = content; file[number].expires = LATER; file[number].mtime = 0; file[number].whole = true
  }
}

/*
 * tryLocked: opens the file, locks it, and checks that the name still stands for it; begins again if not. f is 0 if
 * there is no file. A request is late if it comes after a caller was told that the session is gone.
 */
#ifndef NO_RECHECK
#define isSame(n) (name[n] == f)
#else
#define isSame(n) true
#endif
inline tryLocked(n, locks) {
  do
  :: d_step { f = name[n]; late = gone };
    if :: f == 0 || !locks -> break :: else fi;
    d_step { file[f].holder == 0 -> if :: isSame(n) -> file[f].holder = me :: else -> f = 0 fi };
    if :: f != 0 -> break :: else fi
  od
}
/* With -DNO_..._LOCK one verb takes no lock. */
#ifndef NO_WRITE_LOCK
#define WRITE_LOCK true
#else
#define WRITE_LOCK false
#endif
#ifndef NO_TOUCH_LOCK
#define TOUCH_LOCK true
#else
#define TOUCH_LOCK false
#endif
#ifndef NO_DELETE_LOCK
#define DELETE_LOCK true
#else
#define DELETE_LOCK false
#endif
#ifndef NO_MOVE_LOCK
#define MOVE_LOCK true
#else
#define MOVE_LOCK false
#endif

inline unlock(number) { if :: file[number].holder == me -> file[number].holder = 0 :: else fi }
/* The end counts as told only if no other process has the lock: that process may have checked before the end. */
inline tellOver() { gone = gone || file[f].holder == 0 || file[f].holder == me }
inline leave() { unlock(f); working = working & ~bit(me); f = 0; late = false }

/* A process that dies releases its locks. */
inline die() {
  d_step {
#ifndef NO_LOCK_DIES
    f = 1;
    do :: f < 5 -> unlock(f); f++ :: else -> break od;
#endif
    killed = 0; working = working & ~bit(me); f = 0; late = false
  }
}

/* update */
proctype Writer(byte me, change) {
  byte f;
  bool late;
  {
    tryLocked(OLD, WRITE_LOCK);
    if :: d_step { f == 0 -> assert(removed || taken); leave() }; goto done :: else fi;
    /* #live: a session that is over does not count. Files.replace: the changed record is written to the temporary file,
     * which is renamed over the first. */
    if
#ifndef NO_LIVE
    :: d_step { isOver(f) -> tellOver(); leave() }; goto done
    :: !isOver(f)
#else
    :: true
#endif
    fi;
#ifndef NO_RENAME
    d_step {
#ifndef NO_LEFTOVER
      beside = 0;
#endif
      assert(beside == 0);
      make(change + 1, beside);
      file[beside].changes = file[name[OLD]].changes | change; file[beside].expires = LATER; file[beside].whole = true;
      file[beside].mtime = 0
    };
    d_step { name[OLD] = change + 1; beside = 0 };
#else
    file[f].whole = false;
    finish(f, file[f].changes | change);
#endif
    d_step { assert(!late); acknowledged = acknowledged | change; promised = LATER; leave() };
done:
    skip
  } unless { killed == me -> die() }
}

/* touch */
proctype Toucher(byte me) {
  byte f;
  bool late;
  {
    tryLocked(OLD, TOUCH_LOCK);
    if :: d_step { f == 0 -> assert(removed || taken); leave() }; goto done :: else fi;
    if :: d_step { isOver(f) -> tellOver(); leave() }; goto done :: else fi;
    file[f].mtime = LATER;
    d_step { assert(!late && name[OLD] != 0); promised = LATER; leave() };
done:
    skip
  } unless { killed == me -> die() }
}

/* delete */
proctype Remover(byte me) {
  byte f;
  bool late;
  {
    tryLocked(OLD, DELETE_LOCK);
    if :: d_step { f == 0 -> assert(removed || taken); leave() }; goto done :: else fi;
    d_step { name[OLD] = 0; removed = true };
    d_step { ended = true; gone = true; leave() };
done:
    skip
  } unless { killed == me -> die() }
}

/* move: under the lock of the old file, the new one is written in its place. Then the old one is removed. */
proctype Mover(byte me) {
  byte f, start;
  bool late;
  {
    tryLocked(OLD, MOVE_LOCK);
    if :: d_step { f == 0 -> assert(removed || taken); leave() }; goto done :: else fi;
    if :: d_step { isOver(f) -> tellOver(); leave() }; goto done :: else fi;
#ifdef NO_ORDER
    d_step { name[OLD] = 0; taken = true };
#endif
    d_step { start = now; make(4, name[NEW]) };
    finish(4, file[f].changes);
#ifndef NO_LATE
    /* Files.make: a sweep may have taken it for the file of a dead process */
    if :: d_step { now >= start + LEFTOVER -> name[NEW] = 0; leave() }; goto done :: else fi;
#endif
#ifndef NO_ORDER
    d_step { name[OLD] = 0; taken = true };
#endif
    d_step { moved = true; gone = true; leave() };
done:
    skip
  } unless { killed == me -> die() }
}

/* Sweep.#look: checks without a lock, then again under the lock. An unfinished file stays for a minute. */
#define mayGo(f) (file[f].whole -> isOver(f) : file[f].mtime + LEFTOVER <= now)
#ifndef NO_LOOK_AGAIN
#define mayStillGo(f) mayGo(f)
#else
#define mayStillGo(f) true
#endif
proctype Sweeper(byte me, n) {
  byte f;
  bool late;
  {
    if :: d_step { name[n] != 0 && mayGo(name[n]) -> f = name[n] } :: else -> goto done fi;
    if :: d_step { file[f].holder == 0 && isSame(n) -> file[f].holder = me } :: else -> goto done fi;
    if
    :: d_step { mayStillGo(f) ->
        if :: n == OLD && name[n] != 0 -> assert(promised <= now); removed = true :: else fi;
        name[n] = 0
      }
    :: else
    fi;
done:
    skip;
    d_step { leave() }
  } unless { killed == me -> die() }
}

/* read: takes no lock. */
proctype Reader(byte me) {
  byte f, known;
  bool late;
  {
    d_step { late = gone; known = acknowledged };
    d_step {
      f = name[OLD];
      if
      :: f == 0 -> assert(removed || taken)
      :: f != 0 && isOver(f) -> tellOver()
      :: else -> assert(!late && file[f].whole && (file[f].changes & known) == known)
      fi;
      known = 0; leave()
    }
  } unless { killed == me -> die() }
}

proctype Clock() { do :: now < LAST -> now++ :: else -> break od }

/* Both writers do the same, so the death of one is enough. */
#define kill(n) atomic { (working & bit(n)) != 0 -> killed = n }
proctype Killer() {
  if :: kill(1) :: kill(3) :: kill(4) :: kill(5) :: kill(6) :: kill(7) :: kill(8) :: skip fi
}

init {
  d_step { make(1, name[OLD]); file[1].expires = SOON; file[1].whole = true };
  atomic {
    if :: CAST & bit(1) -> run Writer(1, 1) :: else fi;
    if :: CAST & bit(2) -> run Writer(2, 2) :: else fi;
    if :: CAST & bit(3) -> run Remover(3) :: else fi;
    if :: CAST & bit(4) -> run Mover(4) :: else fi;
    if :: CAST & bit(5) -> run Sweeper(5, OLD) :: else fi;
    if :: CAST & bit(6) -> run Sweeper(6, NEW) :: else fi;
    if :: CAST & bit(7) -> run Toucher(7) :: else fi;
    if :: CAST & bit(8) -> run Reader(8) :: else fi;
    working = CAST;
    run Clock(); run Killer()
  };
  timeout;
  /* All processes are done. None waits for a lock, and the files agree with the answers. */
  assert(working == 0);
  assert(!(ended && (name[OLD] != 0 || moved)));
  assert(!(moved && name[OLD] != 0));
#define keeps(f) (f != 0 && file[f].whole && (file[f].changes & acknowledged) == acknowledged)
  assert(keeps(name[OLD]) || removed || (taken && keeps(name[NEW])));
  assert(name[OLD] == 0 || keeps(name[OLD]));
  assert(!moved || keeps(name[NEW]))
}
