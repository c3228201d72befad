/* The command of a run, up to the moment in which its program has taken over. */
#ifndef COMMAND_H
#define COMMAND_H

#include <sys/types.h>

#include "frames.h"

enum stream { STREAM_STDOUT, STREAM_STDERR, STREAM_PTY, STREAMS };

struct command {
  pid_t pid;
  bool is_terminal;
  /* Where its input goes, or -1; where its output comes from, or -1 each. None of them ever blocks. */
  int input;
  int outputs[STREAMS];
};

/* Starts it; 0, or an errno and in `where` what it is about ("user", "cwd", "program") or NULL. */
int command_start(const struct request *request, struct command *command, const char **where);
int command_resize(const struct command *command, const struct request *request);

#endif
