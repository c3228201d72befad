#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "callers.h"
#include "handover.h"
#include "tree.h"

enum {
  /* After the exit, where something else holds the output open: so long without any means that all has come. */
  QUIET_MS = 100,
  DRAIN_MS = 500,
  LAST_SIGNAL = 64,
  NEVER_MS = -1,
  /*
   * A run's time is the time in which its machine runs: of a pause that nobody here noticed at most this much counts,
   * and while a time is waited for, somebody looks often enough to notice.
   */
  GAP_MAX_MS = 1000,
  LOOK_MS = 500,
};
static const int64_t TIMEOUT_MAX_MS = (int64_t)1 << 40;

struct run {
  int control, signals;
  struct command command;
  struct output outputs[STREAMS];
  struct callers callers;
  /* Who has a frame half in the command's input: frames of several callers are not mixed. */
  struct caller *feeding;
  bool kills_on_leave, has_timed_out, has_exited, is_over;
  int status;
  int64_t clock, now, timeout_at, exited_at, output_at, keep_ms, keep_until;
  /* Bytes that were in each pipe when the command exited. */
  int owed[STREAMS];
  char exit[64];
  size_t exit_length;
};

static void tell_time(struct run *run) {
  int64_t clock = now_ms(), gap = clock - run->clock;
  run->clock = clock;
  run->now += gap < GAP_MAX_MS ? gap : GAP_MAX_MS;
}

static struct news news_of(struct run *run) {
  return (struct news){run->outputs, run->is_over ? run->exit : NULL, run->exit_length};
}

static void tell(struct run *run, int kind) {
  struct keeper_news news = {.kind = kind, .pid = run->command.pid};
  if (run->control >= 0) (void)!send(run->control, &news, sizeof news, MSG_NOSIGNAL);
}

static void reap(struct run *run) {
  struct signalfd_siginfo seen;
  while (read(run->signals, &seen, sizeof seen) > 0) continue;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != run->command.pid || run->has_exited) continue;
    run->has_exited = true;
    run->status = status;
    run->exited_at = run->output_at = run->now;
    for (int i = STREAM_STDOUT; i <= STREAM_STDERR; i++)
      if (run->outputs[i].fd >= 0) ioctl(run->outputs[i].fd, FIONREAD, &run->owed[i]);
  }
}

static void end_tree(struct run *run) {
  tree_kill();
  reap(run);
}

static void close_input(struct run *run) {
  if (run->command.input >= 0) close(run->command.input);
  run->command.input = -1;
}

/* A pipe is closed; to a terminal the end of input is a character. */
static void end_input(struct run *run) {
  struct termios settings;
  if (!run->command.is_terminal) return close_input(run);
  if (run->command.input < 0 || tcgetattr(run->command.input, &settings) != 0) return;
  (void)!write(run->command.input, &settings.c_cc[VEOF], 1);
}

static void leave(struct run *run, struct caller *caller) {
  bool kills = caller->is_starter && run->kills_on_leave && !run->is_over;
  if (run->feeding == caller) run->feeding = NULL;
  caller_drop(caller);
  if (kills) end_tree(run);
}

static void frame_done(struct run *run, struct caller *caller) {
  caller->has_frame = false;
  caller->frame_got = caller->frame_written = 0;
  run->feeding = NULL;
}

/* No input is wanted any more. One who only came to give some is told so; who follows is not interrupted by it. */
static void refuse_frame(struct run *run, struct caller *caller) {
  static const char reason[] = "errno\0EPIPE";
  if (caller->role == FEEDS) caller_say(caller, FRAME_ERROR, reason, sizeof reason), caller->role = IS_DONE;
  frame_done(run, caller);
}

static void take_end(struct run *run, struct caller *caller) {
  if (caller->role == FEEDS) {
    caller_say(caller, FRAME_DONE, NULL, 0);
    caller->role = IS_DONE;
  } else if (caller->role == FOLLOWS) {
    end_input(run);
  }
  frame_done(run, caller);
}

/* Passes on as much of the caller's frame as the command takes. */
static void take_frame(struct run *run, struct caller *caller) {
  if (caller->frame_head[4] == FRAME_DONE) return take_end(run, caller);
  if (run->command.input < 0 || caller->role == IS_DONE) return refuse_frame(run, caller);
  size_t length = get_u32(caller->frame_head);
  while (caller->frame_written < length) {
    ssize_t written = write(run->command.input, caller->frame + caller->frame_written, length - caller->frame_written);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      run->feeding = caller;
      return;
    }
    if (written < 0) {
      close_input(run);
      return refuse_frame(run, caller);
    }
    caller->frame_written += (size_t)written;
  }
  frame_done(run, caller);
}

static void feed(struct run *run) {
  if (run->feeding != NULL) take_frame(run, run->feeding);
  for (int i = 0; i < CALLERS_MAX && run->feeding == NULL; i++)
    if (run->callers.list[i].fd >= 0 && run->callers.list[i].has_frame) take_frame(run, &run->callers.list[i]);
}

static int say_started(struct run *run, struct caller *caller) {
  char payload[32];
  int length = snprintf(payload, sizeof payload, "pid%c%d%c", 0, run->command.pid, 0);
  caller_say(caller, FRAME_DONE, payload, (size_t)length);
  return 0;
}

static int attach(struct run *run, int fd, const struct request *request) {
  static const char *const names[STREAMS] = {"stdout", "stderr", "pty"};
  struct caller *caller = caller_add(&run->callers, fd);
  if (caller == NULL) return EMFILE;
  for (int i = 0; i < STREAMS; i++) {
    uint64_t end = run->outputs[i].end, start = output_start(&run->outputs[i]);
    uint64_t from = (uint64_t)request_number(request, names[i], 0, INT64_MAX, INT64_MAX);
    caller->at[i] = from > end ? end : from < start ? start : from;
  }
  return say_started(run, caller);
}

static int accept_input(struct run *run, int fd) {
  if (run->command.input < 0) return EPIPE;
  struct caller *caller = caller_add(&run->callers, fd);
  if (caller == NULL) return EMFILE;
  caller->role = FEEDS;
  caller_say(caller, FRAME_READY, NULL, 0);
  return 0;
}

static int send_signal(struct run *run, const struct request *request) {
  int number = (int)request_number(request, "signal", 1, LAST_SIGNAL, 0);
  if (number == 0) return EINVAL;
  if (!request_is(request, "scope", "tree")) {
    if (run->has_exited) return ESRCH;
    return kill(run->command.pid, number) == 0 ? 0 : errno;
  }
  if (number == SIGKILL) end_tree(run);
  else if (!tree_signal(getpid(), number)) return ESRCH;
  return 0;
}

/* Calls that are done at once; 0 or an errno. */
static int do_call(struct run *run, const struct request *request) {
  switch (request->call) {
    case CALL_SIGNAL: return send_signal(run, request);
    case CALL_RESIZE: return command_resize(&run->command, request);
    case CALL_CLOSE_INPUT:
      if (run->command.input < 0) return EPIPE;
      end_input(run);
      return 0;
    default: return EBADMSG;
  }
}

static void take_call(struct run *run, int fd, const struct request *request) {
  int error = ESRCH;
  if (request->call == CALL_ATTACH) {
    if ((error = attach(run, fd, request)) == 0) return;
  } else if (!run->is_over) {
    if (request->call == CALL_INPUT && (error = accept_input(run, fd)) == 0) return;
    if (request->call != CALL_INPUT && (error = do_call(run, request)) == 0) answer_done(fd);
  }
  if (error != 0) answer_error(fd, error, NULL);
  close(fd);
}

static void take_calls(struct run *run) {
  char text[SMALL_REQUEST_MAX + 1];
  struct request request;
  for (int fd; run->control >= 0 && (fd = take_over(run->control, &request, text)) != -1;) {
    if (fd >= 0) {
      take_call(run, fd, &request);
      continue;
    }
    /* Pid 1 does not want the run to be kept any longer. */
    close(run->control);
    run->control = -1;
    run->keep_ms = run->keep_until = 0;
  }
}

/* What pid 1 hands over in this very moment finds no run any more; later it finds the channel closed, and says so. */
static void close_control(struct run *run) {
  char text[SMALL_REQUEST_MAX + 1];
  struct request request;
  if (run->control < 0) return;
  shutdown(run->control, SHUT_RD);
  for (int fd; (fd = take_over(run->control, &request, text)) >= 0; close(fd)) answer_error(fd, ESRCH, NULL);
  close(run->control);
  run->control = -1;
}

static size_t room_of(const struct run *run, int stream) {
  return callers_room(&run->callers, &run->outputs[stream], (enum stream)stream);
}

static void take_output(struct run *run, int stream) {
  struct output *output = &run->outputs[stream];
  /* A command that writes faster than it is read leaves the others their turn. */
  for (size_t taken = 0, length; output->fd >= 0 && taken < OUTPUT_KEPT; taken += length) {
    size_t room = room_of(run, stream);
    if (room == 0) return;
    length = output_read(output, room);
    /* Of an empty pipe nothing is owed any more: what the command left behind may have read from it too. */
    run->owed[stream] = length > 0 && run->owed[stream] > (int)length ? run->owed[stream] - (int)length : 0;
    if (length == 0) return;
    run->output_at = run->now;
  }
}

static bool is_settled(const struct run *run, int stream) {
  if (run->outputs[stream].fd < 0) return true;
  if (run->owed[stream] > 0 || room_of(run, stream) == 0) return false;
  return run->now - run->output_at >= QUIET_MS || run->now - run->exited_at >= DRAIN_MS;
}

static void finish(struct run *run) {
  bool by_signal = WIFSIGNALED(run->status);
  const char *key = by_signal ? "signal" : "code";
  int value = by_signal ? WTERMSIG(run->status) : WEXITSTATUS(run->status);
  const char *format = "%s%c%d%ctimedOut%c%d%c";
  run->exit_length = (size_t)snprintf(run->exit, sizeof run->exit, format, key, 0, value, 0, 0, run->has_timed_out, 0);
  run->is_over = true;
  run->keep_until = run->now + run->keep_ms;
  close_input(run);
  tell(run, RUN_ENDED);
}

static void check_time(struct run *run) {
  bool is_due = run->timeout_at != NEVER_MS && run->now >= run->timeout_at;
  if (is_due) reap(run);
  if (is_due && !run->has_exited) {
    run->has_timed_out = true;
    end_tree(run);
    run->timeout_at = NEVER_MS;
  }
  if (!run->has_exited || run->is_over) return;
  for (int i = 0; i < STREAMS; i++)
    if (!is_settled(run, i)) return;
  finish(run);
}

/* Milliseconds until something has to be looked at that no descriptor tells of. */
static int patience(const struct run *run) {
  int64_t until = NEVER_MS;
  if (run->is_over) until = run->keep_until > run->now ? run->keep_until : NEVER_MS;
  else if (run->has_exited) until = run->now + QUIET_MS / 10;
  else until = run->timeout_at;
  if (until == NEVER_MS) return -1;
  return until <= run->now ? 0 : until - run->now > LOOK_MS ? LOOK_MS : (int)(until - run->now);
}

static bool has_callers(const struct run *run) {
  for (int i = 0; i < CALLERS_MAX; i++)
    if (run->callers.list[i].fd >= 0) return true;
  return false;
}

enum { AT_CONTROL, AT_SIGNALS, AT_INPUT, AT_OUTPUTS, AT_CALLERS = AT_OUTPUTS + STREAMS };
enum { WATCHED = AT_CALLERS + CALLERS_MAX };

static void watch(const struct run *run, struct pollfd watched[WATCHED]) {
  watched[AT_CONTROL] = (struct pollfd){run->control, POLLIN, 0};
  watched[AT_SIGNALS] = (struct pollfd){run->signals, POLLIN, 0};
  watched[AT_INPUT] = (struct pollfd){run->feeding != NULL ? run->command.input : -1, POLLOUT, 0};
  for (int i = 0; i < STREAMS; i++) {
    bool wanted = run->outputs[i].fd >= 0 && !run->is_over && room_of(run, i) > 0;
    watched[AT_OUTPUTS + i] = (struct pollfd){wanted ? run->outputs[i].fd : -1, POLLIN, 0};
  }
  for (int i = 0; i < CALLERS_MAX; i++) {
    const struct caller *caller = &run->callers.list[i];
    short events = (caller->has_frame ? 0 : POLLIN) | (caller->is_blocked ? POLLOUT : 0);
    watched[AT_CALLERS + i] = (struct pollfd){caller->fd, events, 0};
  }
}

static void serve_callers(struct run *run, const struct pollfd watched[WATCHED]) {
  for (int i = 0; i < CALLERS_MAX; i++) {
    struct caller *caller = &run->callers.list[i];
    /* Whoever joined in this turn is in a place that was not watched. */
    if (caller->fd < 0 || watched[AT_CALLERS + i].fd != caller->fd) continue;
    short seen = watched[AT_CALLERS + i].revents;
    if (seen & POLLOUT) caller->is_blocked = false;
    if ((seen & (POLLHUP | POLLERR)) || ((seen & POLLIN) && !caller_receive(caller))) leave(run, caller);
  }
}

static void send_news(struct run *run) {
  struct news news = news_of(run);
  for (int i = 0; i < CALLERS_MAX; i++) {
    struct caller *caller = &run->callers.list[i];
    if (caller->fd >= 0 && !caller->is_blocked && !caller_send(caller, &news)) leave(run, caller);
  }
}

static void serve(struct run *run) {
  struct pollfd watched[WATCHED];
  while (!run->is_over || has_callers(run) || run->now < run->keep_until) {
    watch(run, watched);
    poll(watched, WATCHED, patience(run));
    tell_time(run);
    if (watched[AT_CONTROL].revents) take_calls(run);
    if (watched[AT_SIGNALS].revents) reap(run);
    for (int i = 0; i < STREAMS; i++)
      if (watched[AT_OUTPUTS + i].revents || (run->has_exited && !run->is_over)) take_output(run, i);
    serve_callers(run, watched);
    feed(run);
    check_time(run);
    send_news(run);
  }
}

/* What the command left in the background may still write: it is read and dropped, so that it does not die of it. */
static void listen_on(struct run *run) {
  static char dropped[64 * 1024];
  for (;;) {
    struct pollfd watched[3] = {{run->signals, POLLIN, 0}};
    for (int i = 0; i < 2; i++) watched[i + 1] = (struct pollfd){run->outputs[i].fd, POLLIN, 0};
    if (run->outputs[0].fd < 0 && run->outputs[1].fd < 0) return;
    poll(watched, 3, -1);
    reap(run);
    for (int i = 0; i < 2; i++) {
      ssize_t length = run->outputs[i].fd < 0 ? 0 : read(run->outputs[i].fd, dropped, sizeof dropped);
      if (run->outputs[i].fd < 0 || length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR))) continue;
      close(run->outputs[i].fd);
      run->outputs[i].fd = -1;
    }
  }
}

static void become_keeper(struct run *run) {
  prctl(PR_SET_NAME, "freehold-run");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  /* What ends everything at shutdown must leave it time to tell how the command ended. */
  const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  run->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

void keep_run(int fd, int control, const struct request *request) {
  static struct run run;
  run.control = control;
  become_keeper(&run);
  callers_open(&run.callers);
  const char *where = NULL;
  int error = run.signals < 0 ? errno : command_start(request, &run.command, &where);
  if (error != 0) {
    answer_error(fd, error, where);
    close_control(&run);
    _exit(0);
  }
  run.clock = now_ms();
  int64_t timeout_ms = request_number(request, "timeoutMs", 0, TIMEOUT_MAX_MS, NEVER_MS);
  run.timeout_at = timeout_ms == NEVER_MS ? NEVER_MS : run.now + timeout_ms;
  run.keep_ms = request_number(request, "keepMs", 0, TIMEOUT_MAX_MS, 0);
  run.kills_on_leave = request_is(request, "onDisconnect", "kill");
  for (int i = 0; i < STREAMS; i++)
    if (!output_open(&run.outputs[i], run.command.outputs[i])) {
      end_tree(&run);
      answer_error(fd, ENOMEM, NULL);
      _exit(0);
    }
  tell(&run, RUN_STARTED);
  struct caller *starter = caller_add(&run.callers, fd);
  starter->is_starter = true;
  say_started(&run, starter);
  send_news(&run);
  serve(&run);
  close_control(&run);
  for (int i = 0; i < STREAMS; i++) output_forget(&run.outputs[i]);
  if (!run.command.is_terminal) listen_on(&run);
  _exit(0);
}
