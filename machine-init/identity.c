#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char DRAFT[] = ".freehold-identity";

/* Puts a new file in the place of whatever has the name: a link there is replaced, never followed. */
static int replace(int etc, const char *name, const char *text, const char *end) {
  if (text == NULL) return EINVAL;
  unlinkat(etc, DRAFT, 0);
  int fd = openat(etc, DRAFT, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int error = dprintf(fd, "%s%s", text, end) >= 0 && fchmod(fd, 0644) == 0 ? 0 : errno;
  close(fd);
  if (error == 0 && renameat(etc, DRAFT, etc, name) != 0) error = errno;
  if (error != 0) unlinkat(etc, DRAFT, 0);
  return error;
}

int identify(struct answer *answer, const struct request *request) {
  int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (etc < 0) return errno;
  const char *hostname = request_text(request, "hostname");
  int error = replace(etc, "hostname", hostname, "\n");
  if (error == 0) error = replace(etc, "machine-id", request_text(request, "machineId"), "\n");
  if (error == 0) error = replace(etc, "hosts", request_text(request, "hosts"), "");
  if (error == 0) error = replace(etc, "resolv.conf", request_text(request, "resolvConf"), "");
  close(etc);
  if (error != 0) return error;
  /* Most machines may not: then it is for whoever started this one to name it. */
  if (sethostname(hostname, strlen(hostname)) != 0 && errno != EPERM && errno != ENOSYS) return errno;
  frame_bare(answer, FRAME_DONE);
  return 0;
}
