#include "runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "handover.h"
#include "keeper.h"

enum {
  RUNS_MAX = 4096,
  /* Ended runs whose output and exit can still be asked for. */
  ENDED_MAX = 128,
  /* What runs say of themselves, all together and each once that is spent. */
  TEXT_TOTAL = 4 << 20,
  TEXT_SHORT = 1024,
};

struct run {
  struct run *next;
  int control;
  pid_t pid; /* 0 until its command has started */
  bool has_ended;
  int64_t started_at_ms;
  size_t length;
  char text[]; /* pairs of the request; the tag first */
};

/* The newest first. */
static struct run *runs;
static size_t run_count, ended_count, text_total;
static int events;

static bool is_told(const char *key) {
  static const char *const told[] = {"tag", "arg", "cwd", "user", "cols", "env"};
  for (size_t i = 0; i < sizeof told / sizeof *told; i++)
    if (strcmp(key, told[i]) == 0) return true;
  return false;
}

/* Copies pairs as long as they fit; whether only the tag. */
static size_t copy_pairs(char *to, size_t room, const struct request *request, bool tag) {
  const char *key, *value;
  size_t used = 0;
  for (size_t at = 0; request_next(request, &at, &key, &value);) {
    size_t key_length = strlen(key) + 1, value_length = strlen(value) + 1;
    if (!is_told(key) || (strcmp(key, "tag") == 0) != tag || key_length + value_length > room - used) continue;
    memcpy(to + used, key, key_length);
    memcpy(to + used + key_length, value, value_length);
    used += key_length + value_length;
  }
  return used;
}

static struct run *run_make(const struct request *request) {
  size_t room = request->length;
  if (text_total + room > TEXT_TOTAL && room > TEXT_SHORT) room = TEXT_SHORT;
  struct run *run = malloc(sizeof *run + room + 1);
  if (run == NULL) return NULL;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *run = (struct run){.control = -1, .started_at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
  run->length = copy_pairs(run->text, room, request, true);
  run->length += copy_pairs(run->text + run->length, room - run->length, request, false);
  run->text[run->length] = '\0';
  text_total += run->length;
  return run;
}

static void run_forget(struct run *run) {
  for (struct run **at = &runs; *at != NULL; at = &(*at)->next)
    if (*at == run) {
      *at = run->next;
      break;
    }
  run_count--;
  ended_count -= run->has_ended;
  text_total -= run->length;
  epoll_ctl(events, EPOLL_CTL_DEL, run->control, NULL);
  close(run->control);
  free(run);
}

void runs_open(int events_of_all) { events = events_of_all; }

void runs_close(void) {
  while (runs != NULL) run_forget(runs);
}

int run_start(int connection, const struct request *request) {
  if (run_count >= RUNS_MAX) return EAGAIN;
  int channel[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) return errno;
  struct run *run = run_make(request);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)'R' << 32 | (uint32_t)channel[0]};
  int error = run == NULL ? ENOMEM : epoll_ctl(events, EPOLL_CTL_ADD, channel[0], &event) != 0 ? errno : 0;
  pid_t keeper = error == 0 ? fork() : -1;
  if (keeper == 0) {
    keep_only(&connection, &channel[1]);
    keep_run(connection, channel[1], request);
  }
  if (error == 0 && keeper < 0) error = errno;
  close(channel[1]);
  if (error != 0) {
    close(channel[0]);
    if (run != NULL) text_total -= run->length;
    free(run);
    return error;
  }
  run->control = channel[0];
  run->next = runs;
  runs = run;
  run_count++;
  return 0;
}

/* The oldest of those that have ended makes room. Its keeper notices that nobody wants it any more. */
static void let_oldest_go(void) {
  struct run *oldest = NULL;
  for (struct run *run = runs; run != NULL; run = run->next)
    if (run->has_ended) oldest = run;
  if (oldest != NULL) run_forget(oldest);
}

/* False where the run is no more. */
static bool listen_to(struct run *run) {
  for (struct keeper_news news;;) {
    ssize_t length = recv(run->control, &news, sizeof news, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (length != sizeof news) {
      run_forget(run);
      return false;
    }
    if (news.kind == RUN_STARTED) run->pid = news.pid;
    if (news.kind != RUN_ENDED || run->has_ended) continue;
    run->has_ended = true;
    ended_count++;
  }
}

void run_listen(int control) {
  for (struct run *run = runs; run != NULL; run = run->next)
    if (run->control == control) {
      listen_to(run);
      break;
    }
  while (ended_count > ENDED_MAX) let_oldest_go();
}

void runs_listen(void) {
  for (struct run *run = runs, *next; run != NULL; run = next) {
    next = run->next;
    listen_to(run);
  }
  while (ended_count > ENDED_MAX) let_oldest_go();
}

static bool is_named(const struct run *run, int64_t pid, const char *tag) {
  if (tag == NULL) return run->pid != 0 && run->pid == pid;
  return run->length > 4 && strcmp(run->text, "tag") == 0 && strcmp(run->text + 4, tag) == 0;
}

static struct run *run_find(const struct request *request) {
  int64_t pid = request_number(request, "pid", 1, INT32_MAX, -1);
  const char *tag = request_text(request, "tag");
  struct run *ended = NULL;
  for (struct run *run = runs; run != NULL; run = run->next) {
    if (!is_named(run, pid, tag)) continue;
    if (!run->has_ended) return run;
    if (ended == NULL) ended = run;
  }
  return ended;
}

int run_pass(int connection, const struct request *request) {
  runs_listen();
  struct run *run = run_find(request);
  if (run == NULL) return ESRCH;
  int error = hand_over(run->control, connection, request);
  return error == EPIPE || error == ECONNRESET ? ESRCH : error;
}

void runs_tell(struct answer *answer) {
  for (const struct run *run = runs; run != NULL; run = run->next) {
    if (run->has_ended || run->pid == 0) continue;
    char head[96];
    long long started_at = run->started_at_ms;
    int length = snprintf(head, sizeof head, "pid%c%d%cstartedAt%c%lld%c", 0, run->pid, 0, 0, started_at, 0);
    frame_data_parts(answer, FRAME_RUN, head, (size_t)length, run->text, run->length);
  }
  frame_bare(answer, FRAME_DONE);
  answer_flush(answer);
}
