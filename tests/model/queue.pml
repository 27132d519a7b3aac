/*
 * The queue for a session's lock: processes change the session again and again, and a process that waits has a ticket.
 * One process may die at any step. run.ts checks this model. -DNO_... leaves out one rule; Spin must then find a fault:
 * a process that waits is overtaken again and again, or waits for ever.
 */
#define PROCESSES 3
/* Process 0 makes most changes, and its ticket goes first if two have the same number. */
#define CHANGES (me == 0 -> 4 : 1)

byte ticket[PROCESSES];              /* its number; 0 for none */
bool isDead[PROCESSES];
byte holder = PROCESSES;             /* of the lock; PROCESSES for none */
byte overtaken[9];                   /* how many times a waiting process was overtaken, by each other one */
byte left = PROCESSES;               /* the number of processes that are not done */
byte killed = PROCESSES;

#define wins(i) (first == PROCESSES || ticket[i] < ticket[first])
#ifndef NO_DIES
#define lives(i) (!isDead[i])
#else
#define lives(i) true
#endif
/* firstIn: the first ticket of a living process */
inline find() {
  d_step {
    first = PROCESSES; i = 0;
    do
    :: i < PROCESSES -> if :: ticket[i] != 0 && lives(i) && wins(i) -> first = i :: else fi; i++
    :: else -> break
    od;
    i = 0
  }
}

#ifndef NO_TICKET_FIRST
#define isMyTurn (first == me || (ticket[me] == 0 && first == PROCESSES))
#define ahead(i) (i != me && ticket[i] != 0 && lives(i) && (ticket[i] < ticket[me] || (ticket[i] == ticket[me] && i < me)))
#else
#define isMyTurn true
#define ahead(i) false
#endif

/* enter: takes a number above the highest one, which it looked up one step before */
inline enter() {
  d_step {
    high = 0; i = 0;
    do
    :: i < PROCESSES -> if :: ticket[i] > high -> high = ticket[i] :: else fi; i++
    :: else -> break
    od;
    i = 0
  };
#ifndef NO_NUMBER
  ticket[me] = high + 1
#else
  ticket[me] = 1
#endif
}

/* A newcomer may have looked before the ticket was there, and may then get the same number. So it overtakes at most
 * twice. */
inline count() {
  i = 0;
  do
  :: i < PROCESSES ->
    if :: i != me && ticket[i] != 0 && !isDead[i] -> overtaken[i * PROCESSES + me]++; assert(overtaken[i * PROCESSES + me] <= 2) :: else fi;
    overtaken[me * PROCESSES + i] = 0;
    i++
  :: else -> break
  od;
  i = 0
}

proctype Process(byte me) {
  byte first, high, i, change;
  {
    do
    :: change < CHANGES ->
      do
      :: true ->
#ifndef NO_LOOK
        find();
#else
        first = PROCESSES;
        if :: ticket[me] != 0 -> find() :: else fi;
#endif
        if
        :: isMyTurn ->
          if
          :: d_step { holder == PROCESSES -> holder = me; count() }; break
          :: d_step { holder != PROCESSES }
          fi
        :: else
        fi;
        if :: ticket[me] == 0 -> enter() :: else fi;
        /* Before this is true, another look would change nothing. */
        (holder == PROCESSES && !(ahead(0) || ahead(1) || ahead(2)))
      od;
      holder = PROCESSES;
      ticket[me] = 0;
      change++
    :: else -> break
    od;
    left--
  } unless {
    killed == me -> d_step {
      killed = PROCESSES; isDead[me] = true; left--;
      if :: holder == me -> holder = PROCESSES :: else fi
    }
  }
}

init {
  atomic { run Process(0); run Process(1); run Process(2) };
  if :: killed = 0 :: killed = 1 :: skip fi;
  timeout;
  /* No process waits for a dead one. The process that was to die may have been done before. */
  assert(left == 0)
}
