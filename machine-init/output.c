#include "output.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

bool output_open(struct output *output, int fd) {
  output->fd = fd;
  if (fd < 0) return true;
  void *ring = mmap(NULL, OUTPUT_KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (ring == MAP_FAILED) return false;
  output->ring = ring;
  return true;
}

void output_forget(struct output *output) {
  if (output->ring != NULL) munmap(output->ring, OUTPUT_KEPT);
  output->ring = NULL;
}

uint64_t output_start(const struct output *output) { return output->end > OUTPUT_KEPT ? output->end - OUTPUT_KEPT : 0; }

int output_pieces(const struct output *output, uint64_t offset, size_t length, struct iovec pieces[2]) {
  size_t at = offset % OUTPUT_KEPT, first = OUTPUT_KEPT - at;
  if (first >= length) {
    pieces[0] = (struct iovec){output->ring + at, length};
    return 1;
  }
  pieces[0] = (struct iovec){output->ring + at, first};
  pieces[1] = (struct iovec){output->ring, length - first};
  return 2;
}

size_t output_read(struct output *output, size_t room) {
  struct iovec pieces[2];
  int count = output_pieces(output, output->end, room, pieces);
  ssize_t length = readv(output->fd, pieces, count);
  if (length > 0) {
    output->end += (uint64_t)length;
    return (size_t)length;
  }
  /* A terminal that nobody holds any more answers with EIO. */
  if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
    close(output->fd);
    output->fd = -1;
  }
  return 0;
}
