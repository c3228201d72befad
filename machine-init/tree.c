#include "tree.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  PROCESSES_MAX = 1 << 16,
  STOP_PASSES = 200,
  KILL_PASSES = 1000,
  FIRST_PAUSE_US = 200,
  LAST_PAUSE_US = 10000,
};

struct process {
  pid_t pid, parent;
  /* Dead: only waits to be reaped. Still: cannot run before it is told to go on. */
  bool is_dead, is_still;
};

struct processes {
  size_t count;
  struct process *list;
};

static bool read_process(const char *pid, struct process *process) {
  char path[64], text[512], state;
  int fd, parent, threads;
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return false;
  text[length] = '\0';
  /* A process names itself, and may do so with brackets. */
  const char *rest = strrchr(text, ')');
  const char *format = ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d";
  if (rest == NULL || sscanf(rest, format, &state, &parent, &threads) != 3) return false;
  process->pid = atoi(pid);
  process->parent = parent;
  /* A first thread that has ended looks like a zombie while the others go on. */
  process->is_dead = (state == 'Z' && threads <= 1) || state == 'X';
  process->is_still = state == 'T' || state == 't';
  return true;
}

/* All processes, in the order of their numbers. */
static struct processes read_all(void) {
  static struct process list[PROCESSES_MAX];
  struct processes all = {.list = list};
  DIR *directory = opendir("/proc");
  if (directory == NULL) return all;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL && all.count < PROCESSES_MAX;)
    if (isdigit((unsigned char)entry->d_name[0]) && read_process(entry->d_name, &list[all.count])) all.count++;
  closedir(directory);
  return all;
}

static const struct process *find(const struct processes *all, pid_t pid) {
  size_t low = 0, high = all->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (all->list[middle].pid < pid) low = middle + 1;
    else high = middle;
  }
  return low < all->count && all->list[low].pid == pid ? &all->list[low] : NULL;
}

static bool is_below(const struct processes *all, const struct process *process, pid_t root) {
  for (size_t steps = 0; process != NULL && steps <= all->count; steps++) {
    if (process->parent == root) return true;
    process = find(all, process->parent);
  }
  return false;
}

struct pass {
  size_t alive, moving;
};

/* One look at everything below; what is not `still` yet, or with SIGKILL all of it, gets the signal. */
static struct pass pass(pid_t root, int signal) {
  struct processes all = read_all();
  struct pass seen = {0, 0};
  for (size_t i = 0; i < all.count; i++) {
    const struct process *process = &all.list[i];
    if (process->is_dead || !is_below(&all, process, root)) continue;
    seen.alive++;
    seen.moving += !process->is_still;
    if (signal != SIGSTOP || !process->is_still) kill(process->pid, signal);
  }
  return seen;
}

static void rest(int *pause_us) {
  nanosleep(&(struct timespec){.tv_nsec = *pause_us * 1000L}, NULL);
  if (*pause_us < LAST_PAUSE_US) *pause_us *= 2;
}

bool tree_signal(pid_t root, int signal) { return pass(root, signal).alive > 0; }

void tree_kill(void) {
  pid_t root = getpid();
  int pause_us = FIRST_PAUSE_US;
  /* What was born behind the back of one look is seen by the next: after two quiet ones in a row all stand still. */
  for (int passes = 0, quiet = 0; passes < STOP_PASSES && quiet < 2; passes++) {
    struct pass seen = pass(root, SIGSTOP);
    if (seen.alive == 0) return;
    quiet = seen.moving == 0 ? quiet + 1 : 0;
    if (seen.moving > 0) rest(&pause_us);
  }
  pause_us = FIRST_PAUSE_US;
  for (int passes = 0; passes < KILL_PASSES && pass(root, SIGKILL).alive > 0; passes++) rest(&pause_us);
}
