/* A file is written beside its place and then put there: a reader sees old or new, and a full disk loses nothing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "entry.h"
#include "files.h"

enum { LINKS_MAX = 40, FILE_MODE = 0644, PERMISSION_BITS = 07777, XATTR_NAMES = 16 * 1024, XATTR_VALUE = 64 * 1024 };

static struct draft {
  char target[PATH_MAX], path[PATH_MAX]; /* no path: the file itself is written */
  int fd;
  bool is_there;
  struct stat old;
} draft;

/* Follows links at the end of a path, also one that leads to nothing yet. */
static int follow_links(const char *path, char target[PATH_MAX]) {
  strcpy(target, path);
  for (int links = 0; links < LINKS_MAX; links++) {
    char text[PATH_MAX], parent[PATH_MAX];
    ssize_t length = readlink(target, text, sizeof text - 1);
    if (length < 0) return errno == EINVAL || errno == ENOENT ? 0 : errno;
    text[length] = '\0';
    entry_parent(target, parent, sizeof parent);
    bool is_absolute = text[0] == '/';
    int used = snprintf(target, PATH_MAX, "%s%s%s", is_absolute ? "" : parent, is_absolute ? "" : "/", text);
    if (used >= PATH_MAX) return ENAMETOOLONG;
  }
  return ELOOP;
}

static int look_at_old(void) {
  size_t length = strlen(draft.target);
  if (length > 0 && draft.target[length - 1] == '/') return EISDIR;
  draft.is_there = stat(draft.target, &draft.old) == 0;
  if (!draft.is_there) return errno == ENOENT ? make_parents(draft.target) : errno;
  if (S_ISDIR(draft.old.st_mode)) return EISDIR;
  if (!S_ISREG(draft.old.st_mode)) return EINVAL;
  return faccessat(AT_FDCWD, draft.target, W_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* Where nothing can be put beside it, a file that may be written is written in its place. */
static int open_in_place(int error) {
  bool may_be = error == EACCES || error == EPERM || error == EROFS || error == ENOENT || error == EOPNOTSUPP;
  if (!draft.is_there || !may_be) return error;
  draft.path[0] = '\0';
  draft.fd = open(draft.target, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return draft.fd < 0 ? error : 0;
}

/* The machine ends while the file is written. */
static void take_away(int number) {
  (void)number;
  unlink(draft.path);
  _exit(1);
}

static int open_draft(void) {
  unsigned long long random = 0;
  char parent[PATH_MAX];
  (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
  entry_parent(draft.target, parent, sizeof parent);
  int used = snprintf(draft.path, sizeof draft.path, "%s/.freehold-%016llx", parent, random);
  if (used >= PATH_MAX) return ENAMETOOLONG;
  signal(SIGTERM, take_away);
  draft.fd = open(draft.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (draft.fd < 0) return open_in_place(errno);
  /* Only root can leave the file to whom it belonged. */
  if (draft.is_there && geteuid() == 0) (void)!fchown(draft.fd, draft.old.st_uid, draft.old.st_gid);
  return 0;
}

static int receive(struct answer *answer) {
  static uint8_t bytes[INPUT_MAX];
  size_t length;
  for (int type; (type = frame_read(answer->fd, bytes, sizeof bytes, &length)) != FRAME_DONE;) {
    if (type != FRAME_DATA) return ECONNABORTED;
    for (size_t written = 0; written < length;) {
      ssize_t count = write(draft.fd, bytes + written, length - written);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return count < 0 ? errno : EIO;
      written += (size_t)count;
    }
  }
  return 0;
}

static bool is_replaced(const char *name, const char *prefix) {
  return prefix != NULL && strncmp(name, prefix, strlen(prefix)) == 0;
}

/* The old file's own attributes stay, but for those that are replaced as a whole. */
static int keep_xattrs(const char *prefix) {
  static char names[XATTR_NAMES], value[XATTR_VALUE];
  ssize_t length = draft.is_there ? listxattr(draft.target, names, sizeof names) : 0;
  for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
    if (strncmp(name, "user.", 5) != 0) continue;
    bool is_draft = draft.path[0] != '\0', goes = is_replaced(name, prefix);
    if (!is_draft && goes && fremovexattr(draft.fd, name) != 0) return errno;
    if (!is_draft || goes) continue;
    ssize_t size = getxattr(draft.target, name, value, sizeof value);
    if (size >= 0 && fsetxattr(draft.fd, name, value, (size_t)size, 0) != 0) return errno;
  }
  return 0;
}

static int set_xattrs(const struct request *request) {
  const char *key, *pair;
  int error = keep_xattrs(request_text(request, "xattrPrefix"));
  for (size_t at = 0; error == 0 && request_next(request, &at, &key, &pair);) {
    char name[XATTR_NAME_MAX + 1];
    if (strcmp(key, "xattr") != 0) continue;
    size_t length = strcspn(pair, "=");
    if (pair[length] == '\0' || length > XATTR_NAME_MAX || strncmp(pair, "user.", 5) != 0) return EINVAL;
    memcpy(name, pair, length);
    name[length] = '\0';
    const char *value = pair + length + 1;
    if (fsetxattr(draft.fd, name, value, strlen(value), 0) != 0) error = errno;
  }
  return error;
}

static int settle(const struct request *request) {
  const char *mode = request_text(request, "mode");
  mode_t wanted = mode != NULL ? (mode_t)strtoul(mode, NULL, 8) : draft.is_there ? draft.old.st_mode : FILE_MODE;
  bool stays = draft.path[0] == '\0' && mode == NULL;
  int error = set_xattrs(request);
  if (error != 0) return error;
  if (!stays && fchmod(draft.fd, wanted & PERMISSION_BITS) != 0) return errno;
  if (close(draft.fd) != 0) return errno;
  return draft.path[0] == '\0' || rename(draft.path, draft.target) == 0 ? 0 : errno;
}

int file_write(struct answer *answer, const struct request *request) {
  const char *path = path_of(request, "path");
  int error = path == NULL ? EINVAL : follow_links(path, draft.target);
  if (error == 0) error = look_at_old();
  if (error == 0) error = open_draft();
  if (error != 0) return error;
  frame_bare(answer, FRAME_READY);
  error = answer_send(answer) ? receive(answer) : ECONNABORTED;
  if (error == 0) error = settle(request);
  if (error != 0 && draft.path[0] != '\0') unlink(draft.path);
  if (error == 0) error = entry_tell(answer, path, true);
  if (error == 0) frame_bare(answer, FRAME_DONE);
  return error;
}
