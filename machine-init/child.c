#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "handover.h"
#include "identity.h"
#include "runs.h"
#include "users.h"

/* A caller that takes and gives nothing for so long is gone, though nobody has told. */
enum { PATIENCE_SECONDS = 15 * 60 };

static int tell_runs(struct answer *answer, const struct request *request) {
  (void)request;
  runs_tell(answer);
  return 0;
}

static int tell_home(struct answer *answer, const struct request *request) {
  struct user user;
  const char *name = request_text(request, "user");
  size_t start;
  if (name == NULL || user_find(name, &user) != 0) return ENOENT;
  frame_begin(answer, &start);
  frame_pair(answer, "home", "%s", user.home);
  frame_pair(answer, "uid", "%u", user.uid);
  frame_pair(answer, "gid", "%u", user.gid);
  frame_pair(answer, "shell", "%s", user.shell);
  frame_end(answer, start, FRAME_DONE);
  return 0;
}

static const struct duty {
  enum call call;
  bool as_user;
  int (*answer)(struct answer *answer, const struct request *request);
} DUTIES[] = {
    {CALL_RUNS, false, tell_runs},   {CALL_HOME, false, tell_home},    {CALL_IDENTIFY, false, identify},
    {CALL_STAT, true, file_stat},    {CALL_LIST, true, file_list},     {CALL_READ, true, file_read},
    {CALL_WRITE, true, file_write},  {CALL_MAKE, true, file_make},     {CALL_MOVE, true, file_move},
    {CALL_REMOVE, true, file_remove}, {CALL_WATCH, true, file_watch},
};

static const struct duty *duty_of(uint8_t call) {
  for (size_t i = 0; i < sizeof DUTIES / sizeof *DUTIES; i++)
    if (DUTIES[i].call == call) return &DUTIES[i];
  return NULL;
}

static void settle_in(int connection) {
  prctl(PR_SET_NAME, "freehold-call");
  umask(022);
  fcntl(connection, F_SETFL, 0);
  struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  be_first_victim();
}

static int become_user_of(const struct request *request) {
  struct user user;
  const char *name = request_text(request, "user");
  if (name == NULL || user_find(name, &user) != 0) return ENOENT;
  return user_become(&user);
}

static _Noreturn void serve(int connection, const struct request *request, const struct duty *duty) {
  static struct answer answer;
  int none = -1;
  keep_only(&connection, &none);
  settle_in(connection);
  answer.fd = connection;
  int error = duty->as_user ? become_user_of(request) : 0;
  if (error != 0) answer_fail(&answer, error, "user");
  error = duty->answer(&answer, request);
  if (error != 0) answer_fail(&answer, error, NULL);
  answer_flush(&answer);
  _exit(0);
}

int child_answer(int connection, const struct request *request) {
  const struct duty *duty = duty_of(request->call);
  if (duty == NULL) return EBADMSG;
  pid_t pid = fork();
  if (pid == 0) serve(connection, request, duty);
  return pid < 0 ? errno : 0;
}
