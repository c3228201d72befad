/* Connections whose request has not fully come yet. Nobody who is slow or talks nonsense can hold pid 1 up. */
#ifndef CALLS_H
#define CALLS_H

#include "frames.h"

struct pending;

/* `events` is the epoll set in which they are waited for. */
void calls_open(int events);
/* Takes up connections as long as there is room for them; false where there is none. */
bool calls_accept(int listener);
/* Receives what has come. A whole request is given away with its connection, which `take` owns from then on. */
void call_receive(struct pending *pending, void (*take)(int connection, const struct request *request));
/* Ends those that have been late; milliseconds until the next will be, or -1. */
int calls_expire(void);

#endif
