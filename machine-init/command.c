#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handover.h"
#include "users.h"

enum { TTY_GROUP = 5, TERMINAL_MODE = 0620, SIZE_MAX_CELLS = 10000, LAST_SIGNAL = 64 };
static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static const char *const WHERE[] = {NULL, "user", "cwd", "program"};
enum where { ELSEWHERE, AT_USER, AT_CWD, AT_PROGRAM };

/* What the child finds at its descriptors 0, 1 and 2. */
struct streams {
  int child[3];
};

static void close_all(const int *fds, int count) {
  for (int i = 0; i < count; i++)
    if (fds[i] >= 0) close(fds[i]);
}

/* A pipe of the user's own, who may then also open it by name (/dev/stderr). `ours` is the end that never blocks. */
static int make_pipe(const struct user *user, int ends[2], int ours) {
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  if (fchown(ends[0], user->uid, user->gid) != 0) return errno;
  return fcntl(ends[ours], F_SETFL, (ours == 1 ? O_WRONLY : O_RDONLY) | O_NONBLOCK) == 0 ? 0 : errno;
}

static int make_pipes(const struct request *request, const struct user *user, struct command *command,
                      struct streams *streams) {
  int ends[2] = {-1, -1}, error;
  if (!request_is(request, "stdin", "1")) {
    if ((streams->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) return errno;
  } else {
    error = make_pipe(user, ends, 1);
    streams->child[0] = ends[0];
    command->input = ends[1];
    if (error != 0) return error;
  }
  for (int i = 0; i < 2; i++) {
    ends[0] = ends[1] = -1;
    error = make_pipe(user, ends, 0);
    command->outputs[i] = ends[0];
    streams->child[i + 1] = ends[1];
    if (error != 0) return error;
  }
  return 0;
}

static struct winsize size_of(const struct request *request) {
  return (struct winsize){
      .ws_col = (unsigned short)request_number(request, "cols", 1, SIZE_MAX_CELLS, 80),
      .ws_row = (unsigned short)request_number(request, "rows", 1, SIZE_MAX_CELLS, 24),
  };
}

static int make_terminal(const struct request *request, const struct user *user, struct command *command,
                         struct streams *streams) {
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), locked = 0;
  if (master < 0) return errno;
  command->outputs[STREAM_PTY] = master;
  struct winsize size = size_of(request);
  if (ioctl(master, TIOCSPTLCK, &locked) != 0 || ioctl(master, TIOCSWINSZ, &size) != 0) return errno;
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return errno;
  streams->child[0] = slave;
  if (fchown(slave, user->uid, TTY_GROUP) != 0 || fchmod(slave, TERMINAL_MODE) != 0) return errno;
  if ((command->input = fcntl(master, F_DUPFD_CLOEXEC, 0)) < 0) return errno;
  for (int i = 1; i < 3; i++)
    if ((streams->child[i] = fcntl(slave, F_DUPFD_CLOEXEC, 0)) < 0) return errno;
  return 0;
}

int command_resize(const struct command *command, const struct request *request) {
  if (!command->is_terminal) return ENOTTY;
  struct winsize size = size_of(request);
  return ioctl(command->input, TIOCSWINSZ, &size) == 0 ? 0 : errno;
}

static char **strings_of(const struct request *request, const char *wanted) {
  const char *key, *value;
  size_t count = 0;
  for (size_t at = 0; request_next(request, &at, &key, &value);) count += strcmp(key, wanted) == 0;
  char **strings = calloc(count + 1, sizeof *strings);
  if (strings == NULL) return NULL;
  count = 0;
  for (size_t at = 0; request_next(request, &at, &key, &value);)
    if (strcmp(key, wanted) == 0) strings[count++] = (char *)value;
  return strings;
}

/* Along the PATH that the program is given, not ours; a script without a first line goes to /bin/sh, as in a shell. */
static int run_program(char **arguments, char **environment) {
  char **path = environment;
  while (*path != NULL && strncmp(*path, "PATH=", 5) != 0) path++;
  if (setenv("PATH", *path != NULL ? *path + 5 : DEFAULT_PATH, 1) != 0) return errno;
  execvpe(arguments[0], arguments, environment);
  return errno;
}

static void take_defaults(void) {
  const struct sigaction as_usual = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal <= LAST_SIGNAL; signal++) sigaction(signal, &as_usual, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(022);
  /* The machine's init may have been given a better place in the queue than its commands. */
  if (getpriority(PRIO_PROCESS, 0) < 0) setpriority(PRIO_PROCESS, 0, 0);
  be_first_victim();
}

/* In the child. Returns only with what went wrong. */
static int become_command(const struct request *request, const struct user *user, const struct streams *streams,
                          enum where *where) {
  char **arguments = strings_of(request, "arg"), **environment = strings_of(request, "env");
  const char *cwd = request_text(request, "cwd");
  if (arguments == NULL || environment == NULL) return ENOMEM;
  take_defaults();
  if (setsid() < 0) return errno;
  if (request_text(request, "cols") != NULL && ioctl(streams->child[0], TIOCSCTTY, 0) != 0) return errno;
  /* Descriptors of ours lie above 2: a program that was started without the lower ones is not ours to be. */
  for (int i = 0; i < 3; i++)
    if (dup2(streams->child[i], i) < 0) return errno;
  *where = AT_USER;
  int error = user_become(user);
  if (error != 0) return error;
  *where = AT_CWD;
  if (cwd == NULL || *cwd != '/') return EINVAL;
  if (chdir(cwd) != 0) return errno;
  *where = AT_PROGRAM;
  if (arguments[0] == NULL) return EINVAL;
  syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  return run_program(arguments, environment);
}

struct failure {
  int error;
  enum where where;
};

/* Waits until the program has taken over, which closes the pipe, or the child says why it could not. */
static struct failure failure_of(int notice, pid_t pid) {
  struct failure failure = {0, ELSEWHERE};
  ssize_t length;
  do length = read(notice, &failure, sizeof failure);
  while (length < 0 && errno == EINTR);
  if (length == 0) return (struct failure){0, ELSEWHERE};
  waitpid(pid, NULL, 0);
  return length == sizeof failure ? failure : (struct failure){EIO, ELSEWHERE};
}

static struct failure fork_command(const struct request *request, const struct user *user, struct command *command,
                                   const struct streams *streams) {
  int notice[2];
  if (pipe2(notice, O_CLOEXEC) != 0) return (struct failure){errno, ELSEWHERE};
  command->pid = fork();
  if (command->pid == 0) {
    struct failure failure = {0, ELSEWHERE};
    failure.error = become_command(request, user, streams, &failure.where);
    (void)!write(notice[1], &failure, sizeof failure);
    _exit(127);
  }
  int error = errno;
  close(notice[1]);
  struct failure failure = command->pid < 0 ? (struct failure){error, ELSEWHERE} : failure_of(notice[0], command->pid);
  close(notice[0]);
  return failure;
}

int command_start(const struct request *request, struct command *command, const char **where) {
  *command = (struct command){.input = -1, .outputs = {-1, -1, -1}};
  struct streams streams = {.child = {-1, -1, -1}};
  struct user user;
  const char *name = request_text(request, "user");
  *where = "user";
  int error = name == NULL ? EINVAL : user_find(name, &user);
  if (error != 0) return error;
  *where = NULL;
  command->is_terminal = request_text(request, "cols") != NULL;
  error = command->is_terminal ? make_terminal(request, &user, command, &streams)
                               : make_pipes(request, &user, command, &streams);
  if (error == 0) {
    struct failure failure = fork_command(request, &user, command, &streams);
    error = failure.error;
    *where = WHERE[failure.where];
  }
  close_all(streams.child, 3);
  if (error == 0) return 0;
  close_all(&command->input, 1);
  close_all(command->outputs, STREAMS);
  return error;
}
