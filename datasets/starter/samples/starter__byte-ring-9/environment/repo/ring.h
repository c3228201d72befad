#ifndef RING_H
#define RING_H

#include <stddef.h>

/* Bytes on their way from a producer to a consumer, first in, first out. */
struct ring {
  unsigned char *bytes;
  size_t size;
  size_t head;
  size_t tail;
};

/* A ring for so many bytes. */
struct ring *ring_open(size_t size);
void ring_close(struct ring *ring);

/* How many bytes can be read, and how many can be written. */
size_t ring_used(const struct ring *ring);
size_t ring_free(const struct ring *ring);

/* Writes as many bytes as there is room for; answers how many. */
size_t ring_write(struct ring *ring, const void *from, size_t count);
/* Reads as many bytes as there are; answers how many. */
size_t ring_read(struct ring *ring, void *into, size_t count);
/* Copies bytes from `offset` bytes after the next one on without taking them; answers how many. */
size_t ring_peek(const struct ring *ring, size_t offset, void *into, size_t count);
/* Gives the ring room for so many bytes in all; answers 0, or -1 where that cannot be. Then nothing has changed. */
int ring_grow(struct ring *ring, size_t size);

#endif
