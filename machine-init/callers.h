/* Who has joined a run: each follows the output at a pace of its own, and may send input. */
#ifndef CALLERS_H
#define CALLERS_H

#include "command.h"
#include "output.h"

enum { CALLERS_MAX = 64, CALLER_HEAD = 128 };

struct caller {
  int fd; /* -1: nobody */
  enum { FOLLOWS, FEEDS, IS_DONE } role;
  bool is_starter, is_blocked, knows_exit;
  /* The next byte of each stream that it has not been sent. */
  uint64_t at[STREAMS];
  /* The frame that is being sent: its head, then `body_left` bytes of a stream. */
  uint8_t head[CALLER_HEAD];
  size_t head_length, head_sent, body_left;
  enum stream body;
  /* The frame that is being received. A whole one waits until the command takes it. */
  uint8_t frame_head[FRAME_HEAD], *frame;
  size_t frame_got, frame_written;
  bool has_frame;
};

struct callers {
  struct caller list[CALLERS_MAX];
};

/* What they are sent. `exit` is the payload of the last frame, NULL while the run goes on. */
struct news {
  struct output *outputs;
  const char *exit;
  size_t exit_length;
};

void callers_open(struct callers *callers);
/* NULL where there is no room. */
struct caller *caller_add(struct callers *callers, int fd);
void caller_drop(struct caller *caller);
/* Puts a frame after what the caller is being sent already. */
void caller_say(struct caller *caller, enum frame type, const void *payload, size_t length);
/* Sends what there is, unless the caller takes no more for now (`is_blocked`); false where it is gone. */
bool caller_send(struct caller *caller, const struct news *news);
/* Receives up to one whole frame; false where it is gone or talks nonsense. */
bool caller_receive(struct caller *caller);
/* Bytes that a stream may grow by before somebody who follows would lose some. */
size_t callers_room(const struct callers *callers, const struct output *output, enum stream stream);

#endif
