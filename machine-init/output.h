/* The last bytes of one output stream, and how many there have been: a ring whose pages come into being as used. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { OUTPUT_KEPT = 1 << 20 };

struct output {
  int fd; /* -1 once it has ended */
  uint8_t *ring;
  uint64_t end; /* bytes so far */
};

bool output_open(struct output *output, int fd);
/* Forgets all that is kept. */
void output_forget(struct output *output);
/* Reads what is there, at most `room` bytes; the count, 0 when nothing is there now. Closes at the end. */
size_t output_read(struct output *output, size_t room);
/* The offset of the oldest byte that is kept. */
uint64_t output_start(const struct output *output);
/* The pieces that hold `length` bytes from an offset; their count. */
int output_pieces(const struct output *output, uint64_t offset, size_t length, struct iovec pieces[2]);

#endif
