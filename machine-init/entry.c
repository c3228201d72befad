#include "entry.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "users.h"

/* All of one file together fits into what a frame may be at least. */
enum { XATTR_NAMES = 4 * 1024, XATTR_VALUE = 4 * 1024, XATTR_TOTAL = 8 * 1024 };
enum { PERMISSION_BITS = 07777 };

static const char *kind_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symlink" : "other";
}

size_t entry_length(const char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  return length;
}

void entry_parent(const char *path, char *parent, size_t size) {
  size_t length = entry_length(path);
  while (length > 0 && path[length - 1] != '/') length--;
  while (length > 1 && path[length - 1] == '/') length--;
  if (length == 0 || length >= size) length = 1;
  memcpy(parent, path, length);
  parent[length] = '\0';
}

static void tell_name(struct answer *answer, const char *path) {
  size_t length = entry_length(path), start = length;
  while (start > 0 && path[start - 1] != '/') start--;
  if (start == length) start = 0;
  frame_pair(answer, "name", "%.*s", (int)(length - start), path + start);
}

/* Where a link leads: to the end of all links where that can be found, else as far as its own text says. */
static void tell_target(struct answer *answer, const char *path) {
  char text[PATH_MAX], whole[PATH_MAX], parent[PATH_MAX];
  if (realpath(path, whole) != NULL) return frame_pair(answer, "target", "%s", whole);
  ssize_t length = readlink(path, text, sizeof text - 1);
  if (length < 0) return;
  text[length] = '\0';
  entry_parent(path, parent, sizeof parent);
  if (text[0] == '/') frame_pair(answer, "target", "%s", text);
  else frame_pair(answer, "target", "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, text);
}

static void tell_xattrs(struct answer *answer, const char *path) {
  static char names[XATTR_NAMES], value[XATTR_VALUE];
  ssize_t length = listxattr(path, names, sizeof names);
  size_t told = 0;
  for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
    if (strncmp(name, "user.", 5) != 0) continue;
    ssize_t size = getxattr(path, name, value, sizeof value);
    if (size < 0 || memchr(value, '\0', (size_t)size) != NULL) continue;
    told += strlen(name) + (size_t)size;
    if (told > XATTR_TOTAL) return;
    frame_pair(answer, "xattr", "%s=%.*s", name, (int)size, value);
  }
}

int entry_tell(struct answer *answer, const char *path, bool follow) {
  struct stat link, target;
  size_t start;
  if (strlen(path) >= PATH_MAX) return ENAMETOOLONG;
  if (lstat(path, &link) != 0) return errno;
  bool is_link = S_ISLNK(link.st_mode), leads_somewhere = is_link && stat(path, &target) == 0;
  if (is_link && follow && !leads_somewhere) return stat(path, &target) != 0 ? errno : EAGAIN;
  const struct stat *status = is_link && follow ? &target : &link;
  frame_begin(answer, &start);
  frame_pair(answer, "path", "%s", path);
  tell_name(answer, path);
  frame_pair(answer, "kind", "%s", kind_of(status->st_mode));
  if (is_link && !follow && leads_somewhere) frame_pair(answer, "targetKind", "%s", kind_of(target.st_mode));
  frame_pair(answer, "size", "%lld", (long long)status->st_size);
  frame_pair(answer, "mode", "%o", (unsigned)status->st_mode & PERMISSION_BITS);
  frame_pair(answer, "uid", "%u", status->st_uid);
  frame_pair(answer, "gid", "%u", status->st_gid);
  frame_pair(answer, "owner", "%s", user_name(status->st_uid));
  frame_pair(answer, "group", "%s", group_name(status->st_gid));
  frame_pair(answer, "modified", "%lld.%09ld", (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec);
  if (is_link) tell_target(answer, path);
  if (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)) tell_xattrs(answer, path);
  frame_end(answer, start, FRAME_ENTRY);
  return 0;
}
