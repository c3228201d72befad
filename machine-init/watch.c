/* Changes below a directory. The kernel watches one directory at a time; each new one is taken up as it appears. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "entry.h"
#include "files.h"

enum { DIRECTORIES_MAX = 1 << 16, DEPTH_MAX = 256 };
enum {
  CHANGES = IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB,
  OF_ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK,
};

struct watched {
  int number;
  char *path; /* below the root, "" for the root */
};

struct watch {
  struct answer *answer;
  const char *root;
  bool is_recursive;
  int fd;
  /* By the kernel's number, which only grows. */
  struct watched *list;
  size_t count, room;
};

/* The place of a number, or where it would have to be. */
static size_t place_of(const struct watch *watch, int number) {
  size_t low = 0, high = watch->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (watch->list[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

static struct watched *told(const struct watch *watch, int number) {
  size_t place = place_of(watch, number);
  return place < watch->count && watch->list[place].number == number ? &watch->list[place] : NULL;
}

static bool remember(struct watch *watch, int number, const char *path) {
  char *copy = strdup(path);
  struct watched *known = told(watch, number);
  if (copy == NULL || (known == NULL && watch->count >= DIRECTORIES_MAX)) return false;
  if (known == NULL && watch->count == watch->room) {
    size_t room = watch->room == 0 ? 64 : 2 * watch->room;
    struct watched *list = realloc(watch->list, room * sizeof *list);
    if (list == NULL) return false;
    watch->list = list;
    watch->room = room;
  }
  if (known == NULL) {
    size_t place = place_of(watch, number);
    known = &watch->list[place];
    memmove(known + 1, known, (watch->count++ - place) * sizeof *known);
    *known = (struct watched){.number = number};
  }
  free(known->path);
  known->path = copy;
  return true;
}

static void forget(struct watch *watch, struct watched *known) {
  free(known->path);
  memmove(known, known + 1, (size_t)(watch->list + --watch->count - known) * sizeof *known);
}

static void tell(struct watch *watch, const char *path, const char *type) {
  size_t start;
  frame_begin(watch->answer, &start);
  frame_pair(watch->answer, "path", "%s", path);
  frame_pair(watch->answer, "type", "%s", type);
  frame_end(watch->answer, start, FRAME_EVENT);
}

static bool join(char joined[PATH_MAX], const char *path, const char *name) {
  return snprintf(joined, PATH_MAX, "%s%s%s", path, *path != '\0' && *name != '\0' ? "/" : "", name) < PATH_MAX;
}

/* The caller has nothing to say but that it goes. */
static void go_with_caller(const struct watch *watch) {
  struct pollfd caller = {watch->answer->fd, POLLIN, 0};
  if (poll(&caller, 1, 0) > 0) _exit(0);
}

/*
 * Watches a directory and, where asked, all below it. What is in one that has just appeared may have been made before
 * the watch stood, so it is told: better twice than never.
 */
static int add(struct watch *watch, const char *path, bool is_new, int depth) {
  char whole[PATH_MAX], below[PATH_MAX];
  go_with_caller(watch);
  if (snprintf(whole, sizeof whole, "%s/%s", watch->root, path) >= PATH_MAX) return ENAMETOOLONG;
  int number = inotify_add_watch(watch->fd, whole, CHANGES | OF_ITSELF | (*path == '\0' ? 0 : IN_DONT_FOLLOW));
  if (number < 0) return errno;
  if (!remember(watch, number, path)) return ENOSPC;
  DIR *directory = watch->is_recursive && depth < DEPTH_MAX ? opendir(whole) : NULL;
  if (directory == NULL) return 0;
  int error = 0;
  for (struct dirent *entry; error != ENOSPC && (entry = readdir(directory)) != NULL;) {
    bool is_dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (is_dots || !join(below, path, entry->d_name)) continue;
    if (is_new) tell(watch, below, "create");
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) error = add(watch, below, is_new, depth + 1);
  }
  closedir(directory);
  /* Only running out of watches matters; what may not be read, or is gone again, is not watched. */
  return error == ENOSPC ? ENOSPC : 0;
}

/* A directory that was moved away takes its watches with it; where it went inside the root, they are made anew. */
static void forget_below(struct watch *watch, const char *path) {
  size_t length = strlen(path);
  for (size_t i = watch->count; i-- > 0;) {
    const char *each = watch->list[i].path;
    if (strncmp(each, path, length) != 0 || (each[length] != '/' && each[length] != '\0')) continue;
    inotify_rm_watch(watch->fd, watch->list[i].number);
    forget(watch, &watch->list[i]);
  }
}

static const char *type_of(uint32_t mask) {
  if (mask & (IN_CREATE | IN_MOVED_TO)) return "create";
  if (mask & IN_MODIFY) return "write";
  if (mask & (IN_DELETE | IN_DELETE_SELF)) return "remove";
  if (mask & (IN_MOVED_FROM | IN_MOVE_SELF)) return "rename";
  return mask & IN_ATTRIB ? "chmod" : NULL;
}

/* 0, an errno, or -1 when the watched directory is gone. */
static int take(struct watch *watch, const struct inotify_event *event) {
  char path[PATH_MAX];
  if (event->mask & IN_Q_OVERFLOW) return EOVERFLOW;
  struct watched *directory = told(watch, event->wd);
  const char *type = type_of(event->mask);
  if (directory == NULL) return 0;
  bool is_root = *directory->path == '\0', is_itself = event->len == 0;
  if (event->mask & IN_IGNORED) {
    forget(watch, directory);
    return is_root ? -1 : 0;
  }
  /* Of directories below the root their parents tell. */
  if (type == NULL || (is_itself && !is_root)) return 0;
  if (!join(path, directory->path, is_itself ? "" : event->name)) return 0;
  tell(watch, is_itself ? "." : path, type);
  if (is_itself) return event->mask & IN_MOVE_SELF ? -1 : 0;
  if (!watch->is_recursive || !(event->mask & IN_ISDIR)) return 0;
  if (event->mask & IN_MOVED_FROM) forget_below(watch, path);
  return event->mask & (IN_CREATE | IN_MOVED_TO) && add(watch, path, true, 0) == ENOSPC ? ENOSPC : 0;
}

static int take_all(struct watch *watch) {
  static union {
    struct inotify_event event;
    char bytes[64 * 1024];
  } heard;
  ssize_t length = read(watch->fd, &heard, sizeof heard);
  if (length < 0) return errno == EAGAIN || errno == EINTR ? 0 : errno;
  for (ssize_t at = 0; at < length;) {
    const struct inotify_event *event = (const struct inotify_event *)(heard.bytes + at);
    int end = take(watch, event);
    if (end != 0) return end;
    at += (ssize_t)(sizeof *event + event->len);
  }
  return 0;
}

int file_watch(struct answer *answer, const struct request *request) {
  const char *root = path_of(request, "path");
  struct watch watch = {.answer = answer, .root = root, .is_recursive = request_is(request, "recursive", "1")};
  if (root == NULL) return EINVAL;
  watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  int error = watch.fd < 0 ? errno : add(&watch, "", false, 0);
  if (error != 0) return error;
  frame_bare(answer, FRAME_READY);
  for (int end = 0; end == 0;) {
    answer_flush(answer);
    struct pollfd watched[] = {{watch.fd, POLLIN, 0}, {answer->fd, POLLIN, 0}};
    poll(watched, 2, -1);
    go_with_caller(&watch);
    end = take_all(&watch);
    if (end > 0) return end;
  }
  frame_bare(answer, FRAME_DONE);
  return 0;
}
