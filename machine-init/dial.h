/* TCP connections to what listens in the machine, all relayed by one process that lives as long as there are some. */
#ifndef DIAL_H
#define DIAL_H

#include "frames.h"

/* In pid 1: hands the connection to the relay, which is forked where there is none; 0 or an errno. */
int dial_pass(int connection, const struct request *request);

#endif
