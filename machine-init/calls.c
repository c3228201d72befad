#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"

enum {
  PENDING_MAX = 1024,
  /* Memory for requests that are on their way, all together. */
  BYTES_MAX = 8 << 20,
  LATE_MS = 10000,
};

struct pending {
  struct pending *next, *previous;
  int fd;
  int64_t late_at;
  size_t got;
  uint8_t head[FRAME_HEAD];
  struct request request;
};

/* The oldest first, which is the first to be late. */
static struct pending *first, *last;
static size_t count, bytes;
static int events;

/* Its connection lives on in the process that serves it: the kernel must not tell of it here any more. */
static void forget(struct pending *pending) {
  epoll_ctl(events, EPOLL_CTL_DEL, pending->fd, NULL);
  *(pending->previous != NULL ? &pending->previous->next : &first) = pending->next;
  *(pending->next != NULL ? &pending->next->previous : &last) = pending->previous;
  if (pending->request.text != NULL) bytes -= pending->request.length;
  free(pending->request.text);
  free(pending);
  count--;
}

static bool add(int fd) {
  struct pending *pending = calloc(1, sizeof *pending);
  if (pending == NULL) return false;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = pending};
  if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) != 0) {
    free(pending);
    return false;
  }
  pending->fd = fd;
  pending->late_at = now_ms() + LATE_MS;
  pending->previous = last;
  *(last != NULL ? &last->next : &first) = pending;
  last = pending;
  count++;
  return true;
}

void calls_open(int events_of_all) { events = events_of_all; }

bool calls_accept(int listener) {
  while (count < PENDING_MAX) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
    if (add(fd)) continue;
    answer_error(fd, EAGAIN, NULL);
    close(fd);
  }
  return false;
}

static void refuse(struct pending *pending, int error) {
  int fd = pending->fd;
  forget(pending);
  answer_error(fd, error, NULL);
  close(fd);
}

/* 0, or why this request cannot be taken. */
static int make_room(struct request *request, const uint8_t head[FRAME_HEAD]) {
  size_t length = get_u32(head);
  if (length > REQUEST_MAX) return EMSGSIZE;
  if (length > BYTES_MAX - bytes) return EAGAIN;
  request->text = malloc(length + 1);
  if (request->text == NULL) return ENOMEM;
  request->length = length;
  request->call = head[4];
  request->text[length] = '\0';
  bytes += length;
  return 0;
}

/* Whether the request is whole; otherwise `error` is set where it never will be, -1 where the caller is gone. */
static bool receive(struct pending *pending, int *error) {
  for (;;) {
    bool in_head = pending->got < FRAME_HEAD;
    size_t whole = in_head ? FRAME_HEAD : FRAME_HEAD + pending->request.length;
    if (pending->got == whole) return true;
    void *to = in_head ? (void *)(pending->head + pending->got) : pending->request.text + pending->got - FRAME_HEAD;
    ssize_t length = recv(pending->fd, to, whole - pending->got, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (length <= 0) *error = -1;
    if (length <= 0) return false;
    pending->got += (size_t)length;
    if (!in_head || pending->got < FRAME_HEAD) continue;
    *error = make_room(&pending->request, pending->head);
    if (*error != 0) return false;
  }
}

void call_receive(struct pending *pending, void (*take)(int connection, const struct request *request)) {
  int error = 0;
  if (!receive(pending, &error)) {
    if (error > 0) refuse(pending, error);
    if (error >= 0) return;
    int fd = pending->fd;
    forget(pending);
    close(fd);
    return;
  }
  if (!request_is_sound(&pending->request)) return refuse(pending, EBADMSG);
  struct request request = pending->request;
  int fd = pending->fd;
  pending->request.text = NULL;
  bytes -= request.length;
  forget(pending);
  take(fd, &request);
  free(request.text);
}

int calls_expire(void) {
  int64_t now = now_ms();
  while (first != NULL && now >= first->late_at) refuse(first, ETIMEDOUT);
  return first == NULL ? -1 : (int)(first->late_at - now);
}
