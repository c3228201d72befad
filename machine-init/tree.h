/* The processes below one process, however they detach themselves: that one is their subreaper. */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <sys/types.h>

/* Sends a signal to everything below `root`. False where there was nothing. */
bool tree_signal(pid_t root, int signal);
/* Ends everything below the caller: stopped first, so that nothing multiplies meanwhile, then killed. */
void tree_kill(void);

#endif
