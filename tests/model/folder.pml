/*
 * The folder's secret: one of the processes that start first makes it, and all know the folder by it from then on.
 * Later the folder goes away, as a disk that is unmounted, and comes back. Any step may be the last of one process.
 * Checked by run.ts; with -DNO_... one line is left out, and a fault must be found.
 */

/* What the path stands for: the folder, or the empty one below its mount point. */
#define FOLDER 0
#define BELOW 1
byte place;
byte secret[2];      /* who made it; 0 for none */
bool onDisk;         /* the folder's secret, so that a power cut leaves it */
bool hasSession;     /* in the folder */
byte used;           /* the secret by which sessions were made */
byte known[3];       /* which secret a process knows */
bool hasMade[3];     /* a session, so that it has seen the secret on the disk */
byte mounts;         /* how often the folder went away or came back */
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
    /* Sessions without a secret are refused. */
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
    /* read: the session is there, whatever the path stands for now */
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

/* Once the processes have made a session, their folder may go and come back. */
proctype Mounts() {
  (hasMade[1] || killed == 1) && (hasMade[2] || killed == 2);
  d_step { place = BELOW; mounts++ };
  d_step { place = FOLDER; mounts++ }
}

init {
  atomic { run Process(1); run Process(2); run Mounts() };
  if :: killed = 1 :: killed = 2 :: skip fi
}
