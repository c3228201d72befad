#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xFFFD

/* The character at `*at`, which is before `end`; moves `*at` behind it. `*wrong` is set to 1 for a replacement, else to 0. */
uint32_t utf8_next(const unsigned char **at, const unsigned char *end, int *wrong);

/* How many characters these bytes are. */
long utf8_length(const void *bytes, size_t count, int strict);

/* Writes a character; answers how many bytes it took. */
size_t utf8_write(uint32_t character, void *into, size_t room);

#endif
