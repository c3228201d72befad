#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

/* Headers that are older than the kernel do not have them. */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif

enum { PATH_BYTES = 64, ID_BYTES = 64 };

static const char FRESH[] = "/proc/sys/kernel/random/uuid", SHOWN[] = "/proc/sys/kernel/random/boot_id";
/* Where the file lies for a moment, in mounts that nobody else sees. */
static const char PLACE[] = "/run", FILE_PATH[] = "/run/boot_id";
static const unsigned long FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC;

static int write_fresh(void) {
  char id[ID_BYTES];
  int from = open(FRESH, O_RDONLY | O_CLOEXEC), to = open(FILE_PATH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  ssize_t length = from < 0 ? -1 : read(from, id, sizeof id);
  bool is_written = to >= 0 && length > 0 && write(to, id, (size_t)length) == length;
  int error = errno;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  errno = error;
  return is_written ? 0 : -1;
}

/* A mount of one file, on a file system of its own that tells nothing of where it was made; -1 where there is none. */
static int file_mount(void) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -1;
  if (mount("boot_id", PLACE, "tmpfs", FLAGS, "mode=755,size=4k") != 0 || write_fresh() != 0) return -1;
  if (mount(NULL, PLACE, NULL, MS_REMOUNT | MS_RDONLY | FLAGS, NULL) != 0) return -1;
  return (int)syscall(SYS_open_tree, AT_FDCWD, FILE_PATH, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int own_boot_id(const char *process) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
  int status, space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0) return complain(path), -1;
  /* Its mounts are its own from here on. */
  pid_t child = fork();
  if (child == 0) {
    int file = file_mount();
    if (file < 0) _exit(complain(FILE_PATH));
    if (setns(space, CLONE_NEWNS) != 0) _exit(complain(path));
    if (syscall(SYS_move_mount, file, "", AT_FDCWD, SHOWN, MOVE_MOUNT_F_EMPTY_PATH) != 0) _exit(complain(SHOWN));
    _exit(0);
  }
  close(space);
  if (child < 0) return complain("fork"), -1;
  return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}
