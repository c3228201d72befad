/*
 * The first process of a machine. It takes calls on the listening socket at descriptor 3, gives each to a process that
 * serves it, and reaps; it does nothing itself that could wait, fail or grow.
 *
 *   init                                    is that process
 *
 * On the host it is also what machines begin with, and what begins them:
 *
 *   init VERB words… [VERB words…] -- command args…
 *                                           runs the command after what the verbs say (prepare.c) is done
 *   init spawn                              runs such commands, and others, for the server (spawner.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "child.h"
#include "dial.h"
#include "handover.h"
#include "prepare.h"
#include "runs.h"
#include "spawner.h"

enum {
  LISTENER = 3,
  EVENTS_AT_ONCE = 64,
  /* After this long what does not end by itself is killed. */
  SHUTDOWN_MS = 5000,
  SHUTDOWN_STEP_MS = 20,
  /* How long new callers wait where there is no room for them. */
  FULL_MS = 50,
};

static int events, children, closer = -1;

static void tell_of(int fd, struct epoll_event event) {
  if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) != 0) _exit(1);
}

/* What an event of the kernel is about: a keeper's channel is tagged as runs.c does it, a call is a pointer. */
enum { ABOUT_LISTENER = 1, ABOUT_CHILDREN = 2, ABOUT_CONTROL = 'R' };

static void take(int connection, const struct request *request) {
  int error;
  switch (request->call) {
    case CALL_START: error = run_start(connection, request); break;
    case CALL_ATTACH: case CALL_SIGNAL: case CALL_INPUT: case CALL_CLOSE_INPUT: case CALL_RESIZE:
      error = run_pass(connection, request);
      break;
    case CALL_DIAL: error = dial_pass(connection, request); break;
    case CALL_SHUTDOWN:
      closer = connection;
      return;
    case CALL_RUNS: runs_listen(); /* fallthrough */
    default: error = child_answer(connection, request);
  }
  if (error != 0) answer_error(connection, error, NULL);
  close(connection);
}

/* Whether any process is left. */
static bool reap(void) {
  struct signalfd_siginfo seen;
  while (read(children, &seen, sizeof seen) > 0) continue;
  pid_t pid;
  while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) continue;
  return pid == 0;
}

/* Ends everything, tells so, and ends the machine with itself. */
static _Noreturn void shut_down(void) {
  runs_close();
  kill(-1, SIGTERM);
  kill(-1, SIGCONT);
  int64_t until = now_ms() + SHUTDOWN_MS;
  while (reap() && now_ms() < until) usleep(SHUTDOWN_STEP_MS * 1000);
  while (reap()) {
    kill(-1, SIGKILL);
    usleep(SHUTDOWN_STEP_MS * 1000);
    if (now_ms() >= until + SHUTDOWN_MS) break;
  }
  answer_done(closer);
  _exit(0);
}

static void serve_event(const struct epoll_event *event, bool *is_full) {
  uint64_t about = event->data.u64;
  if (about == ABOUT_LISTENER) *is_full = !calls_accept(LISTENER);
  else if (about == ABOUT_CHILDREN) reap();
  else if (about >> 32 == ABOUT_CONTROL) run_listen((int)(uint32_t)about);
  else call_receive(event->data.ptr, take);
}

/* Where there is no room callers wait in the backlog; the listener is not asked for until there is. */
static void listen_while(bool wanted) {
  static bool is_wanted = true;
  struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.u64 = ABOUT_LISTENER};
  if (wanted != is_wanted) epoll_ctl(events, EPOLL_CTL_MOD, LISTENER, &event);
  is_wanted = wanted;
}

static _Noreturn void serve(void) {
  struct epoll_event seen[EVENTS_AT_ONCE];
  bool is_full = false;
  for (;;) {
    int late = calls_expire();
    listen_while(!is_full);
    int count = epoll_wait(events, seen, EVENTS_AT_ONCE, is_full ? FULL_MS : late);
    is_full = false;
    for (int i = 0; i < count && closer < 0; i++) serve_event(&seen[i], &is_full);
    if (closer >= 0) shut_down();
  }
}

/*
 * What one user of the machine may have, in signals and timers, in bytes of queued messages and of locked memory. The
 * host has lifted these limits for the machine as a whole (host.c), and its memory bounds them.
 */
static void bound_users(void) {
  static const struct { int resource; rlim_t most; } LIMITS[] = {
      {RLIMIT_SIGPENDING, 65536}, {RLIMIT_MSGQUEUE, 819200}, {RLIMIT_MEMLOCK, 8 << 20}};
  struct rlimit limit;
  for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
    if (getrlimit(LIMITS[i].resource, &limit) != 0 || limit.rlim_max <= LIMITS[i].most) continue;
    limit = (struct rlimit){LIMITS[i].most, LIMITS[i].most};
    if (setrlimit(LIMITS[i].resource, &limit) != 0) _exit(1);
  }
}

static int be_init(void) {
  /* At its end it kills every process that it sees: that must never be the host's. */
  if (getpid() != 1) {
    fprintf(stderr, "init: is not the first process of a machine\n");
    return 1;
  }
  int is_listening = 0, none = open("/dev/null", O_RDWR | O_CLOEXEC);
  socklen_t size = sizeof is_listening;
  if (getsockopt(LISTENER, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || !is_listening) {
    fprintf(stderr, "init: descriptor 3 is not a listening socket\n");
    return 1;
  }
  prctl(PR_SET_DUMPABLE, 0);
  bound_users();
  for (int i = 0; i < 3; i++) dup2(none, i);
  syscall(SYS_close_range, LISTENER + 1U, ~0U, 0U);
  fcntl(LISTENER, F_SETFD, FD_CLOEXEC);
  fcntl(LISTENER, F_SETFL, fcntl(LISTENER, F_GETFL) | O_NONBLOCK);
  signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  events = epoll_create1(EPOLL_CLOEXEC);
  children = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
  if (events < 0 || children < 0) return 1;
  calls_open(events);
  runs_open(events);
  tell_of(LISTENER, (struct epoll_event){.events = EPOLLIN, .data.u64 = ABOUT_LISTENER});
  tell_of(children, (struct epoll_event){.events = EPOLLIN, .data.u64 = ABOUT_CHILDREN});
  serve();
}

int main(int count, char **arguments) {
  if (count == 1) return be_init();
  if (count == 2 && strcmp(arguments[1], "spawn") == 0) return spawn_for_server(arguments[0]);
  return prepare(arguments + 1);
}
