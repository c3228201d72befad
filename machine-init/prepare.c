#include "prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host.h"

enum { LISTENER = 3, BACKLOG = 1024, USAGE = 2 };

/* Makes the socket that the command finds at descriptor 3. */
static int listen_at(char **words) {
  const char *path = words[0];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat old;
  if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, complain(path);
  strcpy(address.sun_path, path);
  if (lstat(path, &old) == 0 && S_ISSOCK(old.st_mode)) unlink(path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  mode_t before = umask(0177);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0) return complain(path);
  umask(before);
  if (listen(listener, BACKLOG) != 0) return complain(path);
  if (listener == LISTENER) return 0;
  if (dup2(listener, LISTENER) < 0) return complain(path);
  close(listener);
  return 0;
}

static int assemble_at(char **words) {
  char *end;
  errno = EINVAL;
  unsigned long owner = strtoul(words[3], &end, 10);
  if (*end != '\0' || end == words[3]) return complain(words[3]);
  return assemble(words[0], words[1], words[2], (uid_t)owner);
}

static int bound(char **words) { return bound_watches(words[0]); }

static int boot_as(char **words) { return own_boot_id(words[0]); }

static int link_to(char **words) { return link_machine(words[0], words[1], words[2]); }

static const struct verb {
  const char *name, *usage;
  size_t words;
  int (*make)(char **words);
} VERBS[] = {
    {"listen", "SOCKET", 1, listen_at},
    {"assemble", "HIDDEN DIRECTORY DISK OWNER", 4, assemble_at},
    {"link", "PID HOST_BATCH MACHINE_BATCH", 3, link_to},
    {"bound", "PID", 1, bound},
    {"boot", "PID", 1, boot_as},
};

static const struct verb *verb_of(char **words) {
  for (size_t i = 0; words[0] != NULL && i < sizeof VERBS / sizeof *VERBS; i++) {
    size_t given = 0;
    while (given <= VERBS[i].words && words[given] != NULL) given++;
    if (strcmp(words[0], VERBS[i].name) == 0 && given > VERBS[i].words) return &VERBS[i];
  }
  return NULL;
}

static int explain(void) {
  fprintf(stderr, "usage: init\n       init spawn\n       init VERB words… [VERB words…] -- command args…\n");
  for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
    fprintf(stderr, "         %s %s\n", VERBS[i].name, VERBS[i].usage);
  return USAGE;
}

/* The command of sound words, or NULL: nothing is begun of what cannot be ended. */
static char **command_of(char **words) {
  while (words[0] != NULL && strcmp(words[0], "--") != 0) {
    const struct verb *verb = verb_of(words);
    if (verb == NULL) return NULL;
    words += verb->words + 1;
  }
  return words[0] == NULL || words[1] == NULL ? NULL : words + 1;
}

int prepare(char **words) {
  char **command = command_of(words);
  if (command == NULL) return explain();
  while (words + 1 < command) {
    const struct verb *verb = verb_of(words);
    if (verb->make(words + 1) != 0) return 1;
    words += verb->words + 1;
  }
  execvp(command[0], command);
  return complain(command[0]);
}
