/* Everything about files: done by a child that has become the user, with plain paths, inside the machine. */
#ifndef FILES_H
#define FILES_H

#include "frames.h"

/* Each ends the call: it answers, or fails with the errno that it gives back. */
int file_stat(struct answer *answer, const struct request *request);
int file_list(struct answer *answer, const struct request *request);
int file_read(struct answer *answer, const struct request *request);
int file_write(struct answer *answer, const struct request *request);
int file_make(struct answer *answer, const struct request *request);
int file_move(struct answer *answer, const struct request *request);
int file_remove(struct answer *answer, const struct request *request);
int file_watch(struct answer *answer, const struct request *request);

/* The path of a request; NULL unless it is absolute and of a length that the kernel takes. */
const char *path_of(const struct request *request, const char *key);
/* Makes the missing directories above a path; 0 or an errno. */
int make_parents(const char *path);

#endif
