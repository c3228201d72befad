#include "frames.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LAST_WORDS_SECONDS = 30 };

bool request_is_sound(const struct request *request) {
  size_t strings = 0;
  for (size_t i = 0; i < request->length; i++) strings += request->text[i] == '\0';
  return strings % 2 == 0 && (request->length == 0 || request->text[request->length - 1] == '\0');
}

bool request_next(const struct request *request, size_t *at, const char **key, const char **value) {
  if (*at >= request->length) return false;
  *key = request->text + *at;
  *value = *key + strlen(*key) + 1;
  *at = (size_t)(*value - request->text) + strlen(*value) + 1;
  return true;
}

const char *request_text(const struct request *request, const char *wanted) {
  const char *key, *value;
  for (size_t at = 0; request_next(request, &at, &key, &value);)
    if (strcmp(key, wanted) == 0) return value;
  return NULL;
}

int64_t request_number(const struct request *request, const char *key, int64_t least, int64_t most, int64_t otherwise) {
  const char *text = request_text(request, key);
  if (text == NULL || *text == '\0') return otherwise;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0' || value < least || value > most) return otherwise;
  return value;
}

bool request_is(const struct request *request, const char *key, const char *value) {
  const char *text = request_text(request, key);
  return text != NULL && strcmp(text, value) == 0;
}

void put_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void put_u64(uint8_t *at, uint64_t value) {
  put_u32(at, (uint32_t)(value >> 32));
  put_u32(at + 4, (uint32_t)value);
}

uint32_t get_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static const char *error_name(int error) {
  const char *name = strerrorname_np(error);
  return name != NULL ? name : "EIO";
}

static size_t error_payload(uint8_t *to, size_t size, int error, const char *where) {
  int used = snprintf((char *)to, size, "errno%c%s%c", 0, error_name(error), 0);
  if (where != NULL) used += snprintf((char *)to + used, size - (size_t)used, "where%c%s%c", 0, where, 0);
  return (size_t)used;
}

void answer_error(int fd, int error, const char *where) {
  uint8_t frame[128];
  size_t length = error_payload(frame + FRAME_HEAD, sizeof frame - FRAME_HEAD, error, where);
  put_u32(frame, (uint32_t)length);
  frame[4] = FRAME_ERROR;
  /* Who does not take these few bytes is gone. */
  (void)!send(fd, frame, FRAME_HEAD + length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void answer_done(int fd) {
  const uint8_t frame[FRAME_HEAD] = {0, 0, 0, 0, FRAME_DONE};
  (void)!send(fd, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool send_all(int fd, struct iovec *parts, int count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
  while (message.msg_iovlen > 0) {
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    while (message.msg_iovlen > 0 && (size_t)sent >= message.msg_iov->iov_len) {
      sent -= (ssize_t)message.msg_iov->iov_len;
      message.msg_iov++;
      message.msg_iovlen--;
    }
    if (message.msg_iovlen == 0) return true;
    message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
    message.msg_iov->iov_len -= (size_t)sent;
  }
  return true;
}

bool answer_send(struct answer *answer) {
  struct iovec part = {answer->bytes, answer->used};
  bool is_sent = answer->used == 0 || send_all(answer->fd, &part, 1);
  answer->used = 0;
  return is_sent;
}

void answer_flush(struct answer *answer) {
  if (!answer_send(answer)) _exit(1);
}

void frame_begin(struct answer *answer, size_t *start) {
  /* Every frame that is put together here fits into half of the buffer, or its writer is wrong and ends. */
  if (answer->used > sizeof answer->bytes / 2) answer_flush(answer);
  *start = answer->used;
  answer->used += FRAME_HEAD;
}

void frame_add(struct answer *answer, const void *bytes, size_t length) {
  if (length > sizeof answer->bytes - answer->used) _exit(1);
  memcpy(answer->bytes + answer->used, bytes, length);
  answer->used += length;
}

void frame_string(struct answer *answer, const char *text) { frame_add(answer, text, strlen(text) + 1); }

void frame_pair(struct answer *answer, const char *key, const char *format, ...) {
  frame_string(answer, key);
  size_t room = sizeof answer->bytes - answer->used;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf((char *)answer->bytes + answer->used, room, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= room) _exit(1);
  answer->used += (size_t)length + 1;
}

void frame_end(struct answer *answer, size_t start, enum frame type) {
  put_u32(answer->bytes + start, (uint32_t)(answer->used - start - FRAME_HEAD));
  answer->bytes[start + 4] = (uint8_t)type;
}

void frame_bare(struct answer *answer, enum frame type) {
  size_t start;
  frame_begin(answer, &start);
  frame_end(answer, start, type);
}

void frame_data_parts(struct answer *answer, enum frame type, const void *first, size_t first_length,
                      const void *second, size_t second_length) {
  answer_flush(answer);
  uint8_t head[FRAME_HEAD];
  put_u32(head, (uint32_t)(first_length + second_length));
  head[4] = (uint8_t)type;
  struct iovec parts[] = {{head, sizeof head}, {(void *)first, first_length}, {(void *)second, second_length}};
  if (!send_all(answer->fd, parts, 3)) _exit(1);
}

void frame_data(struct answer *answer, enum frame type, const void *bytes, size_t length) {
  frame_data_parts(answer, type, bytes, length, NULL, 0);
}

void answer_fail(struct answer *answer, int error, const char *where) {
  size_t start;
  frame_begin(answer, &start);
  answer->used += error_payload(answer->bytes + answer->used, sizeof answer->bytes - answer->used, error, where);
  frame_end(answer, start, FRAME_ERROR);
  answer_flush(answer);
  struct timeval patience = {.tv_sec = LAST_WORDS_SECONDS};
  setsockopt(answer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (recv(answer->fd, answer->bytes, sizeof answer->bytes, 0) > 0) continue;
  _exit(0);
}

bool read_all(int fd, void *to, size_t length) {
  for (size_t got = 0; got < length;) {
    ssize_t count = recv(fd, (char *)to + got, length - got, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    got += (size_t)count;
  }
  return true;
}

int frame_read(int fd, void *bytes, size_t size, size_t *length) {
  uint8_t head[FRAME_HEAD];
  if (!read_all(fd, head, sizeof head)) return -1;
  *length = get_u32(head);
  if (*length > size || !read_all(fd, bytes, *length)) return -1;
  return head[4];
}
