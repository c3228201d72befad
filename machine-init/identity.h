/* Who this machine is. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "frames.h"

/* Writes the machine's name and number into its /etc; 0 or an errno. */
int identify(struct answer *answer, const struct request *request);

#endif
