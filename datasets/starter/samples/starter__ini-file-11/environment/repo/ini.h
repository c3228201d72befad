#ifndef INI_H
#define INI_H

#include <stddef.h>

struct ini;

/* Reads settings. Where the text is wrong: NULL, and `*line` is where. */
struct ini *ini_read(const char *text, size_t length, int *line);
void ini_free(struct ini *ini);

/* The value of a setting; NULL where there is none. It lives as long as the settings. */
const char *ini_get(const struct ini *ini, const char *section, const char *name);

/* How many different settings there are. */
size_t ini_count(const struct ini *ini);

#endif
