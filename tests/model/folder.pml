/*
 * The folder's secret: one of the first processes makes it, and from then on all processes recognize the folder by it.
 * Later the folder goes away, as when its disk is unmounted, and comes back. One process may die at any step.
 * run.ts checks this model. -DNO_... leaves out one rule; Spin must then find a fault.
 */

/* The folder at the path: the store's, or the empty one at the mount point. */
#define FOLDER 0
#define BELOW 1
byte place;
byte secret[2];      /* the process that made it; 0: none */
bool onDisk;         /* the folder's secret is on the disk, and survives a power cut */
bool hasSession;     /* a session is in the folder */
byte used;           /* the secret with which sessions were made */
byte known[3];       /* the secret that a process knows */
bool hasMade[3];     /* the process has made a session, so the secret was on the disk */
byte mounts;         /* how many times the folder went away or came back */
byte killed;

/* Folder.check */
inline check() {
  isRefused = false;
  found = secret[place];
  if
  :: found != 0 && known[me] == 0 -> known[me] = found
  :: found != 0 && known[me] != 0 -> isRefused = (found != known[me])
#ifndef NO_RUNNING
  :: found == 0 && known[me] != 0 -> isRefused = true
  :: found == 0 && known[me] == 0 ->
#else
  :: found == 0 -> known[me] = 0;
#endif
    /* A folder with sessions and without a secret is refused. */
    if
    :: place == FOLDER && hasSession ->
#ifndef NO_LOOK_AGAIN
      isRefused = (secret[place] == 0)
#else
      isRefused = true
#endif
    :: else
    fi
  fi;
  found = 0
}

inline flush() { if :: place == FOLDER && secret[FOLDER] != 0 -> onDisk = true :: else fi }

/* create: Folder.ensureSecret, then the session's file */
inline create() {
  check();
  assert(!isRefused || mounts > 0);
  if
  :: !isRefused && known[me] == 0 ->
    /* makeOnce: only the first link counts */
    assert(place == FOLDER);
#ifndef NO_LINK
    d_step { if :: secret[place] == 0 -> secret[place] = me :: else fi };
#else
    secret[place] = me;
#endif
#ifndef NO_FLUSH
    flush();
#endif
    check()
#ifndef NO_FLUSH_FOUND
  :: !isRefused && known[me] != 0 && !hasMade[me] -> flush()
  :: !isRefused && known[me] != 0 && hasMade[me]
#else
  :: !isRefused && known[me] != 0
#endif
  :: isRefused
  fi;
  if
  :: !isRefused ->
    hasMade[me] = true;
    if
    :: d_step { place == FOLDER ->
        assert(onDisk && known[me] == secret[FOLDER] && (used == 0 || used == known[me]));
        used = known[me]; hasSession = true
      }
    :: place == BELOW
    fi
  :: else
  fi
}

proctype Process(byte me) {
  byte found;
  bool isRefused;
  {
    create();
    create();
    /* read: the session exists, whichever folder is at the path now */
    if
    :: place == FOLDER
    :: place == BELOW ->
#ifndef NO_CHECK
      check();
#endif
      if
#ifndef NO_SECOND_LOOK
      :: !isRefused -> assert(place == FOLDER)
#else
      :: !isRefused -> assert(false)
#endif
      :: isRefused
      fi
    fi
  } unless { killed == me }
}

/* After the processes have made a session, their folder may go away and come back. */
proctype Mounts() {
  (hasMade[1] || killed == 1) && (hasMade[2] || killed == 2);
  d_step { place = BELOW; mounts++ };
  d_step { place = FOLDER; mounts++ }
}

init {
  atomic { run Process(1); run Process(2); run Mounts() };
  if :: killed = 1 :: killed = 2 :: skip fi
}
