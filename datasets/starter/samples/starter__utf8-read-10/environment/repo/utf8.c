#include "utf8.h"

uint32_t utf8_next(const unsigned char **at, const unsigned char *end, int *wrong) {
  unsigned char first = *(*at)++;
  int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
  uint32_t character = more == 0 ? first : first & (0x3F >> more);
  *wrong = 0;
  while (more-- > 0) {
    if (*at > end || (**at & 0xC0) != 0x80) {
      *wrong = 1;
      return UTF8_REPLACEMENT;
    }
    character = character << 6 | (*(*at)++ & 0x3F);
  }
  return character;
}

long utf8_length(const void *bytes, size_t count, int strict) {
  const unsigned char *at = bytes;
  long length = 0;
  int wrong = 0;
  while (at < (const unsigned char *)bytes + count) {
    utf8_next(&at, (const unsigned char *)bytes + count, &wrong);
    length++;
  }
  return wrong && strict ? -1 : length;
}

size_t utf8_write(uint32_t character, void *into, size_t room) {
  unsigned char *out = into;
  if (character < 0x80) {
    out[0] = character;
    return 1;
  }
  if (character < 0x800) {
    out[0] = 0xC0 | character >> 6;
    out[1] = 0x80 | (character & 0x3F);
    return 2;
  }
  out[0] = 0xE0 | character >> 12;
  out[1] = 0x80 | (character >> 6 & 0x3F);
  out[2] = 0x80 | (character & 0x3F);
  return 3;
}
