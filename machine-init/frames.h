/*
 * What is spoken over one connection to a machine's init. One connection is one call.
 *
 * A frame is  u32 length of the payload (big endian, at most FRAME_MAX) · u8 type · payload.
 *
 * The first frame is the request: its type is the call, its payload is key/value strings that each end in a NUL:
 * "user\0root\0path\0/etc\0". A key may come several times (`arg`, `env`, `xattr`), its order counts.
 *
 *   call          keys                                                    answer
 *   START         arg* env* cwd user stdin=0|1 cols rows tag timeoutMs    DONE pid, then the frames of a run
 *                 onDisconnect=kill|keep keepMs
 *   ATTACH        pid|tag  stdout stderr pty (offsets)                    DONE pid, then the frames of a run
 *   RUNS          -                                                       RUN*, DONE
 *   SIGNAL        pid|tag signal scope=process|tree                       DONE
 *   INPUT         pid|tag                                                 READY; then DATA*, DONE from the caller; DONE
 *   CLOSE_INPUT   pid|tag                                                 DONE
 *   RESIZE        pid|tag cols rows                                       DONE
 *   STAT          user path follow=0|1                                    ENTRY, DONE
 *   LIST          user path depth limit                                   ENTRY*, DONE truncated=0|1
 *   READ          user path offset length                                 ENTRY, DATA*, DONE
 *   WRITE         user path mode (octal) xattr* (name=value) xattrPrefix  READY; then DATA*, DONE from the caller;
 *                                                                         ENTRY, DONE
 *   MAKE          user path                                               ENTRY, DONE
 *   MOVE          user path destination                                   ENTRY, DONE
 *   REMOVE        user path                                               DONE
 *   WATCH         user path recursive=0|1                                 READY, EVENT*; DONE when it is gone
 *   DIAL          port                                                    DONE, then the bare bytes of the connection
 *   HOME          user                                                    DONE home uid gid shell
 *   IDENTIFY      hostname machineId hosts resolvConf                     DONE
 *   SHUTDOWN      -                                                       DONE when every process has ended
 *
 * Instead of any answer frame ERROR may come (`errno`, sometimes `where`), which is the last one. In a run the machine
 * sends OUTPUT (u8 stream · u64 offset, big endian · bytes) and at the end EXIT (`code` or `signal`, `timedOut`); the
 * caller may send DATA (input for the command, at most INPUT_MAX) and DONE (end of input) at any time after the first
 * answer. The caller sends nothing but the request before the first answer, and it is the caller who closes: whoever
 * closes while bytes of the other side are under way could lose its own last words.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum call {
  CALL_START = 1, CALL_ATTACH, CALL_RUNS, CALL_SIGNAL, CALL_INPUT, CALL_CLOSE_INPUT, CALL_RESIZE,
  CALL_STAT = 16, CALL_LIST, CALL_READ, CALL_WRITE, CALL_MAKE, CALL_MOVE, CALL_REMOVE, CALL_WATCH,
  CALL_DIAL = 32, CALL_HOME, CALL_IDENTIFY, CALL_SHUTDOWN = 36,
};

enum frame {
  FRAME_DONE = 64, FRAME_ERROR, FRAME_READY, FRAME_ENTRY, FRAME_DATA, FRAME_OUTPUT, FRAME_EXIT, FRAME_EVENT, FRAME_RUN,
};

enum {
  FRAME_HEAD = 5,
  FRAME_MAX = 1 << 20,
  /* A request leaves room for what is added when it is told again as a run. */
  REQUEST_MAX = FRAME_MAX - 4096,
  /* A call that is handed to a run's keeper travels in one datagram. */
  SMALL_REQUEST_MAX = 4096,
  INPUT_MAX = 64 * 1024,
};

/* A request as it came; `text` has one more NUL behind its `length` bytes. */
struct request {
  uint8_t call;
  size_t length;
  char *text;
};

/* Whether the payload is whole pairs of strings. Everything below relies on it. */
bool request_is_sound(const struct request *request);
/* Walks the pairs; `*at` begins with 0. */
bool request_next(const struct request *request, size_t *at, const char **key, const char **value);
/* The first value of a key, or NULL. */
const char *request_text(const struct request *request, const char *key);
/* A decimal number within bounds, or `otherwise` where the key is missing or says anything else. */
int64_t request_number(const struct request *request, const char *key, int64_t least, int64_t most, int64_t otherwise);
bool request_is(const struct request *request, const char *key, const char *value);

void put_u32(uint8_t *at, uint32_t value);
void put_u64(uint8_t *at, uint64_t value);
uint32_t get_u32(const uint8_t *at);

/* Reads so many bytes, however they come; false at an end before. */
bool read_all(int fd, void *to, size_t length);
/* Sends all of the parts; false where nobody takes them. */
bool send_all(int fd, struct iovec *parts, int count);

/* Answers of a few strings that fit into any socket's empty buffer; none of them ever waits. */
void answer_error(int fd, int error, const char *where);
void answer_done(int fd);

/* The answer of a forked child, which may wait for its caller. What does not fit ends the child. */
struct answer {
  int fd;
  size_t used;
  uint8_t bytes[64 * 1024];
};

/* Begins a frame; what is added until the next begin or flush is its payload. At most sizeof bytes in all. */
void frame_begin(struct answer *answer, size_t *start);
void frame_add(struct answer *answer, const void *bytes, size_t length);
void frame_string(struct answer *answer, const char *text);
void frame_pair(struct answer *answer, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void frame_end(struct answer *answer, size_t start, enum frame type);
/* A frame without a payload of its own, or with one that is sent from where it stands. */
void frame_bare(struct answer *answer, enum frame type);
void frame_data(struct answer *answer, enum frame type, const void *bytes, size_t length);
void frame_data_parts(struct answer *answer, enum frame type, const void *first, size_t first_length,
                      const void *second, size_t second_length);
/* Whether the caller took it. */
bool answer_send(struct answer *answer);
/* The same; without a caller the child ends. */
void answer_flush(struct answer *answer);
/* Tells the error as the last frame, lets the caller's remaining bytes go by, and ends the child. */
_Noreturn void answer_fail(struct answer *answer, int error, const char *where);

/* Reads one frame of the caller's into `bytes`; its type, or -1 at the end of the connection or for nonsense. */
int frame_read(int fd, void *bytes, size_t size, size_t *length);

#endif
