#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

union rights {
  struct cmsghdr head;
  char space[CMSG_SPACE(sizeof(int))];
};

int hand_over(int channel, int connection, const struct request *request) {
  if (request->length > SMALL_REQUEST_MAX) return E2BIG;
  union rights rights;
  memset(&rights, 0, sizeof rights);
  struct iovec parts[] = {{(void *)&request->call, 1}, {request->text, request->length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &rights, .msg_controllen = sizeof rights};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(head), &connection, sizeof connection);
  return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

int take_over(int channel, struct request *request, char *text) {
  union rights rights;
  struct iovec parts[] = {{&request->call, 1}, {text, SMALL_REQUEST_MAX}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &rights, .msg_controllen = sizeof rights};
  ssize_t length = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return errno == EAGAIN || errno == EINTR ? -1 : -2;
  if (length == 0) return -2;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head == NULL || head->cmsg_type != SCM_RIGHTS) return -1;
  int connection;
  memcpy(&connection, CMSG_DATA(head), sizeof connection);
  request->length = (size_t)length - 1;
  request->text = text;
  text[request->length] = '\0';
  return connection;
}

void keep_only(int *first, int *second) {
  enum { SPARE = 64 };
  int high = fcntl(*first, F_DUPFD_CLOEXEC, SPARE), higher = *second < 0 ? -1 : fcntl(*second, F_DUPFD_CLOEXEC, SPARE);
  if (high < 0 || (*second >= 0 && higher < 0)) _exit(1);
  syscall(SYS_close_range, 3U, (unsigned)SPARE - 1, 0U);
  *first = fcntl(high, F_DUPFD_CLOEXEC, 3);
  if (higher >= 0) *second = fcntl(higher, F_DUPFD_CLOEXEC, 4);
  if (*first < 0 || (higher >= 0 && *second < 0)) _exit(1);
  syscall(SYS_close_range, higher >= 0 ? 5U : 4U, ~0U, 0U);
}

void be_first_victim(void) {
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score < 0) return;
  (void)!write(score, "500", 3);
  close(score);
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
