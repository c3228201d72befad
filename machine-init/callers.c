#include "callers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUTPUT_HEAD = FRAME_HEAD + 1 + 8, CHUNK_MAX = 64 * 1024 };

void callers_open(struct callers *callers) {
  for (int i = 0; i < CALLERS_MAX; i++) callers->list[i] = (struct caller){.fd = -1};
}

struct caller *caller_add(struct callers *callers, int fd) {
  for (int i = 0; i < CALLERS_MAX; i++) {
    struct caller *caller = &callers->list[i];
    if (caller->fd >= 0) continue;
    *caller = (struct caller){.fd = fd};
    return caller;
  }
  return NULL;
}

void caller_drop(struct caller *caller) {
  close(caller->fd);
  free(caller->frame);
  *caller = (struct caller){.fd = -1};
}

void caller_say(struct caller *caller, enum frame type, const void *payload, size_t length) {
  if (caller->head_length + FRAME_HEAD + length > sizeof caller->head) return;
  uint8_t *frame = caller->head + caller->head_length;
  put_u32(frame, (uint32_t)length);
  frame[4] = (uint8_t)type;
  if (length > 0) memcpy(frame + FRAME_HEAD, payload, length);
  caller->head_length += FRAME_HEAD + length;
}

static bool is_sending(const struct caller *caller) {
  return caller->head_sent < caller->head_length || caller->body_left > 0;
}

static void begin_output(struct caller *caller, const struct output *output, enum stream stream) {
  uint64_t left = output->end - caller->at[stream];
  caller->body = stream;
  caller->body_left = left < CHUNK_MAX ? (size_t)left : CHUNK_MAX;
  put_u32(caller->head, (uint32_t)(OUTPUT_HEAD - FRAME_HEAD + caller->body_left));
  caller->head[4] = FRAME_OUTPUT;
  caller->head[5] = (uint8_t)stream;
  put_u64(caller->head + 6, caller->at[stream]);
  caller->head_length = OUTPUT_HEAD;
}

/* Takes up the next frame to be sent; false where there is none. */
static bool begin_next(struct caller *caller, const struct news *news) {
  if (is_sending(caller)) return true;
  caller->head_length = caller->head_sent = 0;
  if (caller->role != FOLLOWS || caller->knows_exit) return false;
  for (int stream = 0; stream < STREAMS; stream++)
    if (news->outputs[stream].end > caller->at[stream]) {
      begin_output(caller, &news->outputs[stream], (enum stream)stream);
      return true;
    }
  if (news->exit == NULL) return false;
  caller_say(caller, FRAME_EXIT, news->exit, news->exit_length);
  caller->knows_exit = true;
  return true;
}

bool caller_send(struct caller *caller, const struct news *news) {
  while (begin_next(caller, news)) {
    struct iovec pieces[3];
    size_t head_left = caller->head_length - caller->head_sent;
    pieces[0] = (struct iovec){caller->head + caller->head_sent, head_left};
    int count = 1;
    if (caller->body_left > 0)
      count += output_pieces(&news->outputs[caller->body], caller->at[caller->body], caller->body_left, pieces + 1);
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(caller->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    caller->is_blocked = sent < 0 && errno == EAGAIN;
    if (sent < 0) return caller->is_blocked;
    size_t of_head = (size_t)sent < head_left ? (size_t)sent : head_left;
    caller->head_sent += of_head;
    caller->body_left -= (size_t)sent - of_head;
    if (caller->body_left > 0 || (size_t)sent > of_head) caller->at[caller->body] += (size_t)sent - of_head;
  }
  return true;
}

static size_t frame_length(const struct caller *caller) {
  return caller->frame_got < FRAME_HEAD ? 0 : get_u32(caller->frame_head);
}

static bool frame_is_sound(struct caller *caller) {
  size_t length = frame_length(caller);
  if (caller->frame_head[4] == FRAME_DONE) return length == 0;
  if (caller->frame_head[4] != FRAME_DATA || length > INPUT_MAX) return false;
  if (caller->frame == NULL) caller->frame = malloc(INPUT_MAX);
  return caller->frame != NULL;
}

bool caller_receive(struct caller *caller) {
  while (!caller->has_frame) {
    bool in_head = caller->frame_got < FRAME_HEAD;
    size_t whole = in_head ? FRAME_HEAD : FRAME_HEAD + frame_length(caller);
    uint8_t *to = in_head ? caller->frame_head + caller->frame_got : caller->frame + caller->frame_got - FRAME_HEAD;
    if (caller->frame_got < whole) {
      ssize_t length = recv(caller->fd, to, whole - caller->frame_got, MSG_DONTWAIT);
      if (length < 0 && (errno == EAGAIN || errno == EINTR)) return true;
      if (length <= 0) return false;
      caller->frame_got += (size_t)length;
    }
    if (caller->frame_got < FRAME_HEAD) continue;
    if (in_head && !frame_is_sound(caller)) return false;
    caller->has_frame = caller->frame_got == FRAME_HEAD + frame_length(caller);
  }
  return true;
}

size_t callers_room(const struct callers *callers, const struct output *output, enum stream stream) {
  uint64_t oldest = output->end;
  for (int i = 0; i < CALLERS_MAX; i++) {
    const struct caller *caller = &callers->list[i];
    if (caller->fd >= 0 && caller->role == FOLLOWS && caller->at[stream] < oldest) oldest = caller->at[stream];
  }
  return OUTPUT_KEPT - (size_t)(output->end - oldest);
}
