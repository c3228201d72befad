/* Handing a caller's connection, with its small request, from pid 1 to the process that serves it. */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "frames.h"

/* 0 or an errno; the caller's own copy of the connection stays open. */
int hand_over(int channel, int connection, const struct request *request);

/* `text` holds SMALL_REQUEST_MAX + 1. The connection, -1 where nothing has come, -2 at the end of the channel. */
int take_over(int channel, struct request *request, char *text);

/* In a fresh child: the kept descriptors become 3, 4 …, everything else of pid 1's is closed. */
void keep_only(int *first, int *second);

/* Where memory runs out, this process goes before what keeps the machine itself going. */
void be_first_victim(void);

int64_t now_ms(void);

#endif
