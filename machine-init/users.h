/* The machine's own users. Its /etc is written by its tenant: every read of it is bounded, and done in a child. */
#ifndef USERS_H
#define USERS_H

#include <sys/types.h>

enum { USER_TEXT = 256, USER_GROUPS = 64 };

struct user {
  uid_t uid;
  gid_t gid;
  char name[USER_TEXT], home[USER_TEXT], shell[USER_TEXT];
  gid_t groups[USER_GROUPS];
  int group_count;
};

/* Finds a user by name; 0, or ENOENT. `root` is number 0 whatever the machine's files say. */
int user_find(const char *name, struct user *user);
/* Becomes the user for good; 0 or an errno. */
int user_become(const struct user *user);
/* The name of a number, as text that the next call overwrites; the number itself where it has none. */
const char *user_name(uid_t uid);
const char *group_name(gid_t gid);

#endif
