#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "entry.h"

enum {
  READ_CHUNK = 256 * 1024,
  /* Files without a size, as in /proc, end somewhere too. */
  SIZELESS_MAX = 64 << 20,
  REMOVE_DEPTH = 512,
  REMOVE_PASSES = 16,
  DIRECTORY_MODE = 0755,
};

const char *path_of(const struct request *request, const char *key) {
  const char *path = request_text(request, key);
  return path != NULL && path[0] == '/' && strlen(path) < PATH_MAX ? path : NULL;
}

static int tell_one(struct answer *answer, const char *path, bool follow) {
  int error = entry_tell(answer, path, follow);
  if (error != 0) return error;
  frame_bare(answer, FRAME_DONE);
  return 0;
}

int file_stat(struct answer *answer, const struct request *request) {
  const char *path = path_of(request, "path");
  return path == NULL ? EINVAL : tell_one(answer, path, request_is(request, "follow", "1"));
}

static int make_directories(char *path) {
  struct stat status;
  if (stat(path, &status) == 0) return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
  if (errno != ENOENT) return errno;
  for (char *at = path + 1;; at++) {
    if (*at != '/' && *at != '\0') continue;
    char end = *at;
    *at = '\0';
    bool is_made = mkdir(path, DIRECTORY_MODE) == 0 || errno == EEXIST;
    *at = end;
    if (!is_made) return errno;
    if (end == '\0') return 0;
  }
}

int make_parents(const char *path) {
  char parent[PATH_MAX];
  entry_parent(path, parent, sizeof parent);
  return make_directories(parent);
}

int file_make(struct answer *answer, const struct request *request) {
  const char *path = path_of(request, "path");
  struct stat status;
  if (path == NULL) return EINVAL;
  if (stat(path, &status) == 0) return S_ISDIR(status.st_mode) ? EEXIST : ENOTDIR;
  int error = make_parents(path);
  if (error != 0) return error;
  return mkdir(path, DIRECTORY_MODE) == 0 ? tell_one(answer, path, false) : errno;
}

int file_move(struct answer *answer, const struct request *request) {
  const char *path = path_of(request, "path"), *destination = path_of(request, "destination");
  struct stat status;
  if (path == NULL || destination == NULL) return EINVAL;
  if (lstat(path, &status) != 0) return errno;
  int error = make_parents(destination);
  if (error != 0) return error;
  return rename(path, destination) == 0 ? tell_one(answer, destination, false) : errno;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static int remove_at(int parent, const char *name, int depth);

/* What is removed while a directory is read may hide what is left: it is read until nothing is. */
static int remove_below(DIR *directory, int depth) {
  for (int passes = 0; passes < REMOVE_PASSES; passes++) {
    bool found = false;
    rewinddir(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
      if (is_dots(entry->d_name)) continue;
      found = true;
      int error = remove_at(dirfd(directory), entry->d_name, depth + 1);
      if (error != 0 && error != ENOENT) return error;
    }
    if (!found) return 0;
  }
  return ENOTEMPTY;
}

static int remove_at(int parent, const char *name, int depth) {
  if (unlinkat(parent, name, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return errno == ENOTDIR ? EPERM : errno;
  if (depth >= REMOVE_DEPTH) return ENAMETOOLONG;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  DIR *directory = fdopendir(fd);
  if (directory == NULL) {
    close(fd);
    return ENOMEM;
  }
  int error = remove_below(directory, depth);
  closedir(directory);
  if (error != 0) return error;
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

int file_remove(struct answer *answer, const struct request *request) {
  const char *path = path_of(request, "path");
  char plain[PATH_MAX];
  if (path == NULL) return EINVAL;
  /* With a slash behind it a link would be taken for where it leads. */
  strcpy(plain, path)[entry_length(path)] = '\0';
  int error = strcmp(plain, "/") == 0 ? EBUSY : remove_at(AT_FDCWD, plain, 0);
  if (error == 0) frame_bare(answer, FRAME_DONE);
  return error;
}

struct listing {
  struct answer *answer;
  size_t left;
  bool is_truncated;
};

struct names {
  size_t count, room;
  char **list;
};

static int by_name(const void *one, const void *other) { return strcmp(*(char *const *)one, *(char *const *)other); }

/* Only as many of the first names as are wanted have to be kept, however many there are. */
static bool keep_first(struct names *names, size_t wanted) {
  if (names->count > 0) qsort(names->list, names->count, sizeof *names->list, by_name);
  while (names->count > wanted) free(names->list[--names->count]);
  if (names->room >= 2 * (wanted + 1)) return true;
  size_t room = names->room == 0 ? 64 : 2 * names->room;
  char **list = realloc(names->list, room * sizeof *list);
  if (list == NULL) return false;
  names->list = list;
  names->room = room;
  return true;
}

static struct names names_in(DIR *directory, size_t wanted) {
  struct names names = {0, 0, NULL};
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (is_dots(entry->d_name)) continue;
    if (names.count == names.room && !keep_first(&names, wanted)) break;
    if ((names.list[names.count] = strdup(entry->d_name)) == NULL) break;
    names.count++;
  }
  if (names.count > 0) qsort(names.list, names.count, sizeof *names.list, by_name);
  return names;
}

static bool is_directory(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Directories that are not to be read, and what goes away meanwhile, are passed over below the first one. */
static int list_below(struct listing *listing, char path[PATH_MAX], int depth) {
  DIR *directory = opendir(path);
  if (directory == NULL) return errno;
  struct names names = names_in(directory, listing->left + 1);
  closedir(directory);
  size_t length = strlen(path);
  if (length == 1) length = 0;
  for (size_t i = 0; i < names.count && !listing->is_truncated; i++) {
    if (length + 1 + strlen(names.list[i]) >= PATH_MAX) continue;
    if (listing->left == 0) {
      listing->is_truncated = true;
      break;
    }
    path[length] = '/';
    strcpy(path + length + 1, names.list[i]);
    if (entry_tell(listing->answer, path, false) != 0) continue;
    listing->left--;
    if (depth > 1 && is_directory(path)) list_below(listing, path, depth - 1);
  }
  path[length > 0 ? length : 1] = '\0';
  for (size_t i = 0; i < names.count; i++) free(names.list[i]);
  free(names.list);
  return 0;
}

int file_list(struct answer *answer, const struct request *request) {
  enum { DEPTH_MAX = 256, LIMIT_MAX = 1000000 };
  const char *root = path_of(request, "path");
  char path[PATH_MAX];
  if (root == NULL) return EINVAL;
  strcpy(path, root)[entry_length(root)] = '\0';
  struct listing listing = {.answer = answer, .left = (size_t)request_number(request, "limit", 0, LIMIT_MAX, 1000)};
  int error = list_below(&listing, path, (int)request_number(request, "depth", 1, DEPTH_MAX, 1));
  if (error != 0) return error;
  size_t start;
  frame_begin(answer, &start);
  frame_pair(answer, "truncated", "%d", listing.is_truncated);
  frame_end(answer, start, FRAME_DONE);
  return 0;
}

static int open_regular(const char *path, struct stat *status) {
  if (stat(path, status) != 0) return -errno;
  if (S_ISDIR(status->st_mode)) return -EISDIR;
  if (!S_ISREG(status->st_mode)) return -EINVAL;
  /* Something else may have taken its place. */
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (fstat(fd, status) == 0 && S_ISREG(status->st_mode)) return fd;
  close(fd);
  return -EINVAL;
}

int file_read(struct answer *answer, const struct request *request) {
  static uint8_t chunk[READ_CHUNK];
  const char *path = path_of(request, "path");
  struct stat status;
  if (path == NULL) return EINVAL;
  int fd = open_regular(path, &status), error = fd < 0 ? -fd : entry_tell(answer, path, true);
  if (error != 0) return error;
  int64_t offset = request_number(request, "offset", 0, INT64_MAX, 0);
  int64_t whole = status.st_size > 0 ? status.st_size : SIZELESS_MAX;
  int64_t left = offset < whole ? whole - offset : 0;
  left = request_number(request, "length", 0, left, left);
  answer_flush(answer);
  while (left > 0) {
    ssize_t length = pread(fd, chunk, left < READ_CHUNK ? (size_t)left : READ_CHUNK, offset);
    if (length < 0) return errno;
    if (length == 0) break;
    frame_data(answer, FRAME_DATA, chunk, (size_t)length);
    offset += length;
    left -= length;
  }
  frame_bare(answer, FRAME_DONE);
  return 0;
}
