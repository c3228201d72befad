/* Calls that a child of their own answers: it can become their user, wait, and fail without anybody else noticing. */
#ifndef CHILD_H
#define CHILD_H

#include "frames.h"

/* Forks it; 0 or an errno. */
int child_answer(int connection, const struct request *request);

#endif
