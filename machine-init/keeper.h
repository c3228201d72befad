/* The process behind one run: it starts the command, keeps its output, serves whoever joins, and ends its tree. */
#ifndef KEEPER_H
#define KEEPER_H

#include <sys/types.h>

#include "frames.h"

/* What a keeper tells pid 1, before it tells any caller. */
struct keeper_news {
  enum { RUN_STARTED = 1, RUN_ENDED } kind;
  pid_t pid;
};

/* In a fresh child of pid 1. `control` is a channel of datagrams to pid 1, `caller` the connection of who starts it. */
_Noreturn void keep_run(int caller, int control, const struct request *request);

#endif
