/* Pid 1's table of runs: which there are, and the channel to the keeper of each. */
#ifndef RUNS_H
#define RUNS_H

#include "frames.h"

/* `events` is the epoll set in which their keepers are listened to. */
void runs_open(int events);
/* Forks a keeper, which answers; 0 or an errno. */
int run_start(int connection, const struct request *request);
/* Hands the call to the keeper of the run that it names; 0 or an errno. */
int run_pass(int connection, const struct request *request);
/* In a child: tells all runs that have not ended. */
void runs_tell(struct answer *answer);
/* A keeper has said something. */
void run_listen(int control);
/* Hears what all keepers have said so far, so that what a caller knows already is known here. */
void runs_listen(void);
/* Lets go of all: what is only kept ends. */
void runs_close(void);

#endif
