#include "ring.h"

#include <stdlib.h>
#include <string.h>

struct ring *ring_open(size_t size) {
  struct ring *ring = malloc(sizeof *ring);
  ring->bytes = malloc(size);
  ring->size = size;
  ring->head = ring->tail = 0;
  return ring;
}

void ring_close(struct ring *ring) {
  free(ring);
}

size_t ring_used(const struct ring *ring) {
  return (ring->head - ring->tail) % ring->size;
}

size_t ring_free(const struct ring *ring) {
  return ring->size - ring_used(ring) - 1;
}

size_t ring_write(struct ring *ring, const void *from, size_t count) {
  if (count > ring_free(ring)) count = ring_free(ring);
  memcpy(ring->bytes + ring->head, from, count);
  ring->head = (ring->head + count) % ring->size;
  return count;
}

size_t ring_read(struct ring *ring, void *into, size_t count) {
  count = ring_peek(ring, 0, into, count);
  ring->tail = (ring->tail + count) % ring->size;
  return count;
}

size_t ring_peek(const struct ring *ring, size_t offset, void *into, size_t count) {
  if (offset + count > ring_used(ring)) count = ring_used(ring) - offset;
  for (size_t i = 0; i <= count; i++) ((unsigned char *)into)[i] = ring->bytes[ring->tail + offset + i];
  return count;
}

int ring_grow(struct ring *ring, size_t size) {
  ring->bytes = realloc(ring->bytes, size);
  ring->size = size;
  return ring->bytes == NULL ? -1 : 0;
}
