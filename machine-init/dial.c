#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"

enum {
  LINES_MAX = 2048,
  CONNECT_MS = 5000,
  /* The relay ends after so long without any connection. */
  IDLE_MS = 2000,
  EVENTS_AT_ONCE = 64,
  TURNS_AT_ONCE = 16,
  CHUNK = 64 * 1024,
};

/* One direction: what `from` said and `to` has not taken yet. */
struct flow {
  int from, to;
  uint8_t *held;
  size_t length, sent;
  bool has_ended, is_shut;
};

/* A caller's connection and the machine's own. */
struct line {
  struct flow out, in;
  int family, port, caller, peer;
  int64_t connect_until;
  bool is_connected;
  size_t place;
  struct line *next_ended;
};

static struct line *lines[LINES_MAX];
static size_t line_count;
/* Ended in this turn, in which the kernel's answer may still name them. */
static struct line *ended;
static int events;

/* Edges only: whatever is told, both directions are moved as far as they go. */
static int watch(int fd, int how, struct line *line) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = line};
  return epoll_ctl(events, how, fd, &event) == 0 ? 0 : errno;
}

static void line_end(struct line *line) {
  /* Pid 1 may not have closed its copy of the connection yet, and the kernel would go on to tell of that. */
  epoll_ctl(events, EPOLL_CTL_DEL, line->caller, NULL);
  close(line->caller);
  if (line->peer >= 0) close(line->peer);
  free(line->out.held);
  free(line->in.held);
  lines[line->place] = lines[--line_count];
  lines[line->place]->place = line->place;
  line->caller = -1;
  line->next_ended = ended;
  ended = line;
}

static void free_ended(void) {
  while (ended != NULL) {
    struct line *line = ended;
    ended = line->next_ended;
    free(line);
  }
}

/* Begins to connect; 0 or an errno. */
static int line_connect(struct line *line, int family) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)line->port)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)line->port)};
  six.sin6_addr = in6addr_loopback;
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  line->family = family;
  line->peer = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (line->peer < 0) return errno;
  setsockopt(line->peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  int failed = family == AF_INET ? connect(line->peer, (struct sockaddr *)&four, sizeof four)
                                 : connect(line->peer, (struct sockaddr *)&six, sizeof six);
  return failed && errno != EINPROGRESS ? errno : watch(line->peer, EPOLL_CTL_ADD, line);
}

/* After IPv4 comes IPv6. What that one says where the machine has none is not what the caller wants to know. */
static void line_retry(struct line *line, int error) {
  if (line->peer >= 0) close(line->peer);
  line->peer = -1;
  if (line->family == AF_INET && line_connect(line, AF_INET6) == 0) return;
  answer_error(line->caller, error == ETIMEDOUT ? ETIMEDOUT : ECONNREFUSED, NULL);
  line_end(line);
}

static void line_open(int connection, const struct request *request) {
  int port = (int)request_number(request, "port", 1, 65535, 0);
  struct line *line = port > 0 && line_count < LINES_MAX ? calloc(1, sizeof *line) : NULL;
  int error = port == 0 ? EINVAL : line == NULL ? EMFILE : watch(connection, EPOLL_CTL_ADD, line);
  if (error != 0) {
    answer_error(connection, error, NULL);
    close(connection);
    free(line);
    return;
  }
  *line = (struct line){.caller = connection, .peer = -1, .port = port, .place = line_count};
  line->connect_until = now_ms() + CONNECT_MS;
  lines[line_count++] = line;
  error = line_connect(line, AF_INET);
  if (error != 0) line_retry(line, error);
}

/* Sends what is held, or `bytes`; whether all of it went. Otherwise the rest is held, or the flow is broken. */
static bool flow_send(struct flow *flow, const uint8_t *bytes, size_t left, bool *is_broken) {
  ssize_t sent = send(flow->to, bytes, left, MSG_NOSIGNAL | MSG_DONTWAIT);
  *is_broken = sent < 0 && errno != EAGAIN && errno != EINTR;
  if (sent < 0) sent = 0;
  if ((size_t)sent == left) {
    free(flow->held);
    flow->held = NULL;
    flow->length = flow->sent = 0;
    return true;
  }
  if (flow->length > 0) {
    flow->sent += (size_t)sent;
    return false;
  }
  flow->length = left - (size_t)sent;
  flow->held = malloc(flow->length);
  if (flow->held == NULL) *is_broken = true;
  else memcpy(flow->held, bytes + sent, flow->length);
  return false;
}

/* Moves what can be moved; false where the flow is broken. */
static bool flow_move(struct flow *flow, struct line *line) {
  static uint8_t chunk[CHUNK];
  bool is_broken = false;
  for (int turns = 0; flow->length > 0 || !flow->has_ended; turns++) {
    if (flow->length > 0) {
      if (!flow_send(flow, flow->held + flow->sent, flow->length - flow->sent, &is_broken)) return !is_broken;
      continue;
    }
    /* The others want their turn; the kernel is asked to tell again. */
    if (turns >= TURNS_AT_ONCE) return watch(flow->from, EPOLL_CTL_MOD, line) == 0;
    ssize_t got = recv(flow->from, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    flow->has_ended = got == 0;
    if (got > 0 && !flow_send(flow, chunk, (size_t)got, &is_broken)) return !is_broken;
  }
  if (!flow->is_shut) shutdown(flow->to, SHUT_WR);
  flow->is_shut = true;
  return true;
}

static void line_check_connected(struct line *line) {
  int error = 0;
  socklen_t size = sizeof error, peer_size = sizeof(struct sockaddr_storage), own_size = peer_size;
  struct sockaddr_storage peer, own;
  getsockopt(line->peer, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0 && getpeername(line->peer, (struct sockaddr *)&peer, &peer_size) != 0) return;
  getsockname(line->peer, (struct sockaddr *)&own, &own_size);
  /* Where nothing listens the kernel may have given us the very port that we connect to. */
  if (error == 0 && own_size == peer_size && memcmp(&own, &peer, own_size) == 0) error = ECONNREFUSED;
  if (error != 0) return line_retry(line, error);
  line->is_connected = true;
  line->out = (struct flow){.from = line->caller, .to = line->peer};
  line->in = (struct flow){.from = line->peer, .to = line->caller};
  answer_done(line->caller);
}

/* A caller that only says no more may still listen; one that has closed does not. */
static bool is_gone(int fd) {
  struct pollfd watched = {.fd = fd};
  return poll(&watched, 1, 0) > 0 && (watched.revents & (POLLHUP | POLLERR));
}

static void line_serve(struct line *line) {
  if (line->caller >= 0 && !line->is_connected) line_check_connected(line);
  if (line->caller < 0) return;
  if (!line->is_connected) {
    if (is_gone(line->caller)) line_end(line);
    return;
  }
  bool is_whole = flow_move(&line->out, line) && flow_move(&line->in, line);
  bool is_over = line->out.is_shut && (line->in.is_shut || is_gone(line->caller));
  if (!is_whole || is_over) line_end(line);
}

static void check_connecting(void) {
  int64_t now = now_ms();
  for (size_t i = line_count; i-- > 0;) {
    struct line *line = lines[i];
    if (line->is_connected || now < line->connect_until) continue;
    line->family = AF_INET6;
    line_retry(line, ETIMEDOUT);
  }
}

/* False at the end of the channel. */
static bool take_calls(int channel) {
  char text[SMALL_REQUEST_MAX + 1];
  struct request request;
  for (int fd; (fd = take_over(channel, &request, text)) != -1;) {
    if (fd == -2) return false;
    line_open(fd, &request);
  }
  return true;
}

static _Noreturn void relay(int channel) {
  struct epoll_event seen[EVENTS_AT_ONCE], event = {.events = EPOLLIN, .data.ptr = NULL};
  prctl(PR_SET_NAME, "freehold-dial");
  events = epoll_create1(EPOLL_CLOEXEC);
  if (events < 0 || epoll_ctl(events, EPOLL_CTL_ADD, channel, &event) != 0) _exit(1);
  for (bool is_open = true;;) {
    int count = epoll_wait(events, seen, EVENTS_AT_ONCE, IDLE_MS);
    for (int i = 0; i < count; i++)
      if (seen[i].data.ptr != NULL) line_serve(seen[i].data.ptr);
    free_ended();
    if (is_open) is_open = take_calls(channel);
    check_connecting();
    free_ended();
    if (count != 0 || line_count > 0) continue;
    /* What pid 1 has handed over in this very moment is still served; what comes now finds the channel closed. */
    if (!is_open) _exit(0);
    shutdown(channel, SHUT_RD);
    take_calls(channel);
    epoll_ctl(events, EPOLL_CTL_DEL, channel, NULL);
    is_open = false;
    if (line_count == 0) _exit(0);
  }
}

static int fork_relay(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    int none = -1;
    keep_only(&ends[1], &none);
    relay(ends[1]);
  }
  int error = errno;
  close(ends[1]);
  if (pid > 0) return ends[0];
  close(ends[0]);
  errno = error;
  return -1;
}

int dial_pass(int connection, const struct request *request) {
  static int channel = -1;
  for (int attempt = 0; attempt < 2; attempt++) {
    if (channel < 0 && (channel = fork_relay()) < 0) return errno;
    int error = hand_over(channel, connection, request);
    if (error != EPIPE && error != ECONNRESET) return error;
    close(channel);
    channel = -1;
  }
  return EAGAIN;
}
