#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, FIELDS = 7 };

/* The whole of a small regular file as text, or an empty one. It is never freed: its reader is a short-lived child. */
static char *text_of(const char *path) {
  static char nothing[1];
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return nothing;
  struct stat status;
  char *text = NULL;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_MAX)
    text = malloc((size_t)status.st_size + 1);
  ssize_t length = text == NULL ? -1 : read(fd, text, (size_t)status.st_size);
  close(fd);
  if (length < 0) return nothing;
  text[length] = '\0';
  return text;
}

/* Cuts the next line that has so many fields into them; false at the end of the text. */
static bool next_line(char **text, char *fields[FIELDS], int least) {
  while (**text != '\0') {
    char *line = *text;
    *text += strcspn(line, "\n");
    if (**text == '\n') *(*text)++ = '\0';
    int count = 0;
    for (char *field; count < FIELDS && (field = strsep(&line, ":")) != NULL;) fields[count++] = field;
    if (count >= least) return true;
  }
  return false;
}

static bool number_of(const char *text, unsigned *number) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || errno != 0 || *end != '\0' || value >= 0xffffffffUL) return false;
  *number = (unsigned)value;
  return true;
}

static void copy_path(char to[USER_TEXT], const char *from) {
  if (*from == '/' && strlen(from) < USER_TEXT) strcpy(to, from);
}

static bool has_member(char *members, const char *name) {
  for (char *member; (member = strsep(&members, ",")) != NULL;)
    if (strcmp(member, name) == 0) return true;
  return false;
}

static void find_groups(struct user *user) {
  user->groups[0] = user->gid;
  user->group_count = 1;
  char *text = text_of("/etc/group"), *fields[FIELDS];
  unsigned gid;
  while (user->group_count < USER_GROUPS && next_line(&text, fields, 4))
    if (number_of(fields[2], &gid) && gid != user->gid && has_member(fields[3], user->name))
      user->groups[user->group_count++] = gid;
}

int user_find(const char *name, struct user *user) {
  bool is_root = strcmp(name, "root") == 0, found = is_root;
  *user = (struct user){.home = "/", .shell = "/bin/sh"};
  if (strlen(name) >= USER_TEXT) return ENOENT;
  strcpy(user->name, name);
  if (is_root) strcpy(user->home, "/root");
  char *text = text_of("/etc/passwd"), *fields[FIELDS];
  while (next_line(&text, fields, FIELDS)) {
    unsigned uid, gid;
    if (strcmp(fields[0], name) != 0 || !number_of(fields[2], &uid) || !number_of(fields[3], &gid)) continue;
    if (!is_root) user->uid = uid, user->gid = gid;
    copy_path(user->home, fields[5]);
    copy_path(user->shell, fields[6]);
    found = true;
    break;
  }
  if (!found) return ENOENT;
  find_groups(user);
  return 0;
}

int user_become(const struct user *user) {
  if (setgroups((size_t)user->group_count, user->groups) != 0) return errno;
  if (setresgid(user->gid, user->gid, user->gid) != 0) return errno;
  if (setresuid(user->uid, user->uid, user->uid) != 0) return errno;
  /* A change of user may make a process readable for that user again, depending on the host. */
  prctl(PR_SET_DUMPABLE, 0);
  return 0;
}

/* The names of one file, read once. */
struct names {
  const char *path;
  char *text;
  unsigned last;
  char last_name[USER_TEXT];
};

static const char *name_of(struct names *names, unsigned wanted) {
  if (names->text == NULL) names->text = text_of(names->path);
  if (names->last_name[0] != '\0' && names->last == wanted) return names->last_name;
  char *copy = strdup(names->text), *at = copy, *fields[FIELDS];
  unsigned number;
  names->last = wanted;
  snprintf(names->last_name, USER_TEXT, "%u", wanted);
  while (copy != NULL && next_line(&at, fields, 4)) {
    bool has_name = *fields[0] != '\0' && strlen(fields[0]) < USER_TEXT;
    if (!has_name || !number_of(fields[2], &number) || number != wanted) continue;
    strcpy(names->last_name, fields[0]);
    break;
  }
  free(copy);
  return names->last_name;
}

const char *user_name(uid_t uid) {
  static struct names names = {.path = "/etc/passwd"};
  return name_of(&names, uid);
}

const char *group_name(gid_t gid) {
  static struct names names = {.path = "/etc/group"};
  return name_of(&names, gid);
}
