#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOP_NAME_BYTES = 32, PATH_BYTES = 64 };

static const char WATCHERS[] = "1024", WATCHES[] = "131072";
static const char OVERLAY[] = "lowerdir=init:lower,upperdir=disk/upper,workdir=disk/work";
/* Where a machine may have left something in the place of its own first process. */
static char OWN_INIT[] = "disk/upper/.freehold";

int complain(const char *about) {
  fprintf(stderr, "init: %s: %s\n", about, strerror(errno));
  return 1;
}

static int fail(const char *about) {
  complain(about);
  return -1;
}

/*
 * The loop device of a file, open, with its name in `name`; -1 where there is none. The kernel frees it at last use. What
 * else is open of it ends with this program.
 */
static int loop_of(int image, const char *file, char name[LOOP_NAME_BYTES]) {
  struct loop_config config = {.fd = (uint32_t)image, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
  strncpy((char *)config.info.lo_file_name, file, LO_NAME_SIZE - 1);
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number;
  while (control >= 0 && (number = ioctl(control, LOOP_CTL_GET_FREE)) >= 0) {
    snprintf(name, LOOP_NAME_BYTES, "/dev/loop%d", number);
    int device = open(name, O_RDWR | O_CLOEXEC);
    if (device < 0 || ioctl(device, LOOP_CONFIGURE, &config) == 0) return device;
    /* Another machine that begins now may have been given the same one. */
    if (errno != EBUSY) break;
    close(device);
  }
  return -1;
}

/*
 * Blocks are found when they are written, by who writes them: found later, they cost a full disk's neighbours the time
 * of the kernel's own threads, which no machine's share of the processors holds back.
 */
#define DISK_OPTIONS "nodelalloc"

static int mount_disk(const char *disk) {
  char name[LOOP_NAME_BYTES];
  int image = open(disk, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (image < 0) return fail(disk);
  int device = loop_of(image, disk, name);
  int mounted = device < 0 ? -1 : mount(name, "disk", "ext4", MS_NODEV | MS_NOATIME, DISK_OPTIONS);
  if (mounted != 0) fail(disk);
  if (device >= 0) close(device);
  close(image);
  return mounted;
}

/* What is below `upper` is the machine's, and nothing of it is followed. */
static int remove_own_init(void) {
  struct stat found;
  if (lstat(OWN_INIT, &found) != 0) return errno == ENOENT ? 0 : fail(OWN_INIT);
  char *command[] = {"rm", "-rf", OWN_INIT, NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
  pid_t child;
  int status;
  if ((errno = posix_spawnp(&child, command[0], NULL, NULL, command, environment)) != 0) return fail(command[0]);
  if (waitpid(child, &status, 0) != child || status != 0) return errno = EIO, fail(OWN_INIT);
  return 0;
}

static int prepare_layers(uid_t owner) {
  if (mkdir("disk/upper", 0755) == 0) {
    if (chown("disk/upper", owner, owner) != 0 || mkdir("disk/work", 0755) != 0) return fail("disk/upper");
  } else if (errno != EEXIST) {
    return fail("disk/upper");
  }
  return remove_own_init();
}

/*
 * The devices are copies, since a runtime takes them from /dev as it finds it: nothing that a machine might do to a
 * node's owner or mode can reach the host's own.
 */
static int replace_devices(void) {
  static const struct { const char *path; int major, minor; } DEVICES[] = {
      {"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
      {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
  };
  if (mount("dev", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") != 0) return fail("dev");
  mode_t before = umask(0);
  for (size_t i = 0; i < sizeof DEVICES / sizeof *DEVICES; i++)
    if (mknod(DEVICES[i].path, S_IFCHR | 0666, makedev(DEVICES[i].major, DEVICES[i].minor)) != 0)
      return fail(DEVICES[i].path);
  umask(before);
  return mount("dev", "/dev", NULL, MS_MOVE, NULL) == 0 ? 0 : fail("/dev");
}

/*
 * What a machine's users have of these the kernel also counts for who made the machine's user namespace, up to the limit
 * which that one had: under the host's own, all machines together would have as much as one may have.
 */
static void lift_limits(void) {
  static const int LIFTED[] = {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK};
  const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  /* Not every host lets us raise them. */
  for (size_t i = 0; i < sizeof LIFTED / sizeof *LIFTED; i++) (void)setrlimit(LIFTED[i], &none);
}

int assemble(const char *hidden, const char *directory, const char *disk, uid_t owner) {
  lift_limits();
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return fail("mounts");
  if (*hidden != '\0' && umount2(hidden, 0) != 0) return fail(hidden);
  if (chdir(directory) != 0) return fail(directory);
  if (mount_disk(disk) != 0 || prepare_layers(owner) != 0) return -1;
  if (mount("overlay", "rootfs", "overlay", MS_NODEV, OVERLAY) != 0) return fail("rootfs");
  return replace_devices();
}

static int write_setting(const char *path, const char *value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return fail(path);
  ssize_t written = write(fd, value, strlen(value));
  if (written < 0) fail(path);
  close(fd);
  return written < 0 ? -1 : 0;
}

/* Who has entered a user namespace cannot leave it, so that a child does. */
int bound_watches(const char *process) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "/proc/%s/ns/user", process);
  int status, space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0) return fail(path);
  pid_t child = fork();
  if (child == 0) {
    if (setns(space, CLONE_NEWUSER) != 0) _exit(complain(path));
    if (write_setting("/proc/sys/user/max_inotify_instances", WATCHERS) != 0) _exit(1);
    _exit(write_setting("/proc/sys/user/max_inotify_watches", WATCHES) == 0 ? 0 : 1);
  }
  close(space);
  if (child < 0) return fail("fork");
  return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

/* `ip` with a batch of commands as its input, in the network `space` where one is given. */
static int run_ip(const char *batch, int space) {
  int ends[2], status;
  size_t length = strlen(batch);
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail("ip");
  /* A batch is far smaller than what a pipe holds. */
  if (write(ends[1], batch, length) != (ssize_t)length) return fail("ip");
  close(ends[1]);
  pid_t child = fork();
  if (child == 0) {
    if (space >= 0 && setns(space, CLONE_NEWNET) != 0) _exit(complain("network"));
    if (dup2(ends[0], 0) < 0) _exit(1);
    execlp("ip", "ip", "-batch", "-", NULL);
    _exit(complain("ip"));
  }
  close(ends[0]);
  if (child < 0) return fail("fork");
  return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

int link_machine(const char *process, const char *on_host, const char *in_machine) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "/proc/%s/ns/net", process);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0) return fail(path);
  int made = run_ip(on_host, -1) == 0 ? run_ip(in_machine, space) : -1;
  close(space);
  return made;
}
