#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.h"
#include "host.h"
#include "prepare.h"

enum {
  CHANNEL = 3,
  COMMANDS_MAX = 256,
  STRINGS_MAX = 256,
  OUTPUT_KEPT = 16 * 1024,
  NUMBER_BYTES = 4,
  ANSWER_HEAD = 3 * NUMBER_BYTES,
  COULD_NOT_RUN = 127,
};

static struct command {
  /* 0 where there is none. */
  pid_t pid;
  uint32_t number;
  /* What it says, or -1 where nobody can say anything any more. */
  int output;
  size_t length;
  char kept[OUTPUT_KEPT];
} commands[COMMANDS_MAX];

static const char *own;
static int ends;

static void answer(uint32_t number, int code, const char *said, size_t length) {
  uint8_t head[ANSWER_HEAD];
  put_u32(head, (uint32_t)(2 * NUMBER_BYTES + length));
  put_u32(head + NUMBER_BYTES, number);
  put_u32(head + 2 * NUMBER_BYTES, (uint32_t)code);
  struct iovec parts[] = {{head, sizeof head}, {(void *)said, length}};
  /* Where nobody takes it the next request tells. */
  (void)send_all(CHANNEL, parts, 2);
}

/* In the child, which dies with us: a process group of its own, and a pipe at each of its standard streams. */
static _Noreturn void become(char **strings, pid_t spawner, int output) {
  int input[2];
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != spawner) _exit(1);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  /*
   * A container runtime gives its standard streams to the machine's root, who must not become the owner of the host's
   * /dev/null.
   */
  if (pipe(input) != 0 || dup2(input[0], 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(1);
  syscall(SYS_close_range, 3U, ~0U, 0U);
  if (strcmp(strings[0], own) == 0) _exit(prepare(strings + 1));
  execvp(strings[0], strings);
  complain(strings[0]);
  _exit(COULD_NOT_RUN);
}

static void refuse(uint32_t number, int error) {
  const char *why = strerror(error);
  answer(number, COULD_NOT_RUN, why, strlen(why));
}

static int start(struct command *command, uint32_t number, char **strings) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return errno;
  pid_t spawner = getpid(), pid = fork();
  if (pid == 0) become(strings, spawner, output[1]);
  int error = pid < 0 ? errno : 0;
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  close(output[1]);
  if (pid < 0) {
    close(output[0]);
    return error;
  }
  /* Whoever of us is first: it must be possible to end the group at once. */
  setpgid(pid, pid);
  *command = (struct command){.pid = pid, .number = number, .output = output[0]};
  return 0;
}

static struct command *free_place(void) {
  for (size_t i = 0; i < COMMANDS_MAX; i++)
    if (commands[i].pid == 0) return &commands[i];
  return NULL;
}

static void end(uint32_t number) {
  for (size_t i = 0; i < COMMANDS_MAX; i++)
    if (commands[i].pid != 0 && commands[i].number == number) kill(-commands[i].pid, SIGKILL);
}

static void begin(uint32_t number, char *text, size_t length) {
  char *strings[STRINGS_MAX + 1] = {NULL};
  size_t count = 0;
  for (char *at = text; at < text + length; at += strlen(at) + 1) {
    if (count == STRINGS_MAX) return refuse(number, E2BIG);
    strings[count++] = at;
  }
  struct command *command = free_place();
  int error = command == NULL ? EAGAIN : start(command, number, strings);
  if (error != 0) refuse(number, error);
}

/* False at the end of the channel, and for nonsense. */
static bool take_request(void) {
  static char text[REQUEST_MAX + 1];
  uint8_t head[2 * NUMBER_BYTES];
  if (!read_all(CHANNEL, head, sizeof head)) return false;
  size_t length = get_u32(head) - NUMBER_BYTES;
  if (length > REQUEST_MAX || !read_all(CHANNEL, text, length)) return false;
  if (length > 0 && text[length - 1] != '\0') return false;
  if (length == 0) end(get_u32(head + NUMBER_BYTES));
  else begin(get_u32(head + NUMBER_BYTES), text, length);
  return true;
}

static void take_output(struct command *command) {
  static char dropped[OUTPUT_KEPT];
  while (command->output >= 0) {
    size_t room = OUTPUT_KEPT - command->length;
    char *to = room > 0 ? command->kept + command->length : dropped;
    ssize_t count = read(command->output, to, room > 0 ? room : sizeof dropped);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count > 0 && room > 0) command->length += (size_t)count;
    if (count > 0) continue;
    close(command->output);
    command->output = -1;
  }
}

/* What a command left running may hold its output open for ever; what was said before its end is there by now. */
static void reap(void) {
  struct signalfd_siginfo seen;
  int status;
  while (read(ends, &seen, sizeof seen) > 0) continue;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (size_t i = 0; i < COMMANDS_MAX; i++) {
      struct command *command = &commands[i];
      if (command->pid != pid) continue;
      take_output(command);
      if (command->output >= 0) close(command->output);
      command->pid = 0;
      answer(command->number, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), command->kept,
             command->length);
    }
  }
}

enum { AT_CHANNEL, AT_ENDS, AT_OUTPUTS };

static bool serve_once(void) {
  static struct pollfd watched[AT_OUTPUTS + COMMANDS_MAX];
  watched[AT_CHANNEL] = (struct pollfd){CHANNEL, POLLIN, 0};
  watched[AT_ENDS] = (struct pollfd){ends, POLLIN, 0};
  for (size_t i = 0; i < COMMANDS_MAX; i++)
    watched[AT_OUTPUTS + i] = (struct pollfd){commands[i].pid == 0 ? -1 : commands[i].output, POLLIN, 0};
  if (poll(watched, AT_OUTPUTS + COMMANDS_MAX, -1) < 0) return errno == EINTR;
  for (size_t i = 0; i < COMMANDS_MAX; i++)
    if (watched[AT_OUTPUTS + i].revents != 0) take_output(&commands[i]);
  if (watched[AT_ENDS].revents != 0) reap();
  return watched[AT_CHANNEL].revents == 0 || take_request();
}

int spawn_for_server(const char *own_name) {
  own = own_name;
  prctl(PR_SET_NAME, "freehold-spawn");
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  ends = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  /* Node makes it non-blocking. */
  if (ends < 0 || fcntl(CHANNEL, F_SETFD, FD_CLOEXEC) != 0) return complain("descriptor 3");
  if (fcntl(CHANNEL, F_SETFL, fcntl(CHANNEL, F_GETFL) & ~O_NONBLOCK) != 0) return complain("descriptor 3");
  while (serve_once()) continue;
  for (size_t i = 0; i < COMMANDS_MAX; i++)
    if (commands[i].pid != 0) kill(-commands[i].pid, SIGKILL);
  return 0;
}
