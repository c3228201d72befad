/* What is told of one file. */
#ifndef ENTRY_H
#define ENTRY_H

#include <sys/stat.h>

#include "frames.h"

/* Adds an ENTRY frame for an absolute path; 0 or an errno. With `follow` a link is told as what it leads to. */
int entry_tell(struct answer *answer, const char *path, bool follow);
/* Of a path, without slashes behind it. */
size_t entry_length(const char *path);
/* The directory part of an absolute path, "/" at least. */
void entry_parent(const char *path, char *parent, size_t size);

#endif
