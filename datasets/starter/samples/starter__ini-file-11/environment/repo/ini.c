#include "ini.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
  char section[32];
  char name[32];
  char *value;
};

struct ini {
  struct entry *entries;
  size_t count;
};

struct ini *ini_read(const char *text, size_t length, int *line) {
  struct ini *ini = calloc(1, sizeof *ini);
  char section[32] = "", buffer[256];
  const char *at = text;
  *line = 0;
  while (at < text + length) {
    size_t size = strcspn(at, "\n");
    memcpy(buffer, at, size);
    buffer[size] = 0;
    at += size + 1;
    ++*line;
    if (buffer[0] == '[') {
      sscanf(buffer, "[%s]", section);
      continue;
    }
    char *equals = strchr(buffer, '=');
    if (equals == NULL) return NULL;
    *equals = 0;
    ini->entries = realloc(ini->entries, (ini->count + 1) * sizeof(struct entry));
    struct entry *entry = &ini->entries[ini->count++];
    strcpy(entry->section, section);
    strncpy(entry->name, buffer, sizeof entry->name);
    entry->value = equals + 1;
  }
  return ini;
}

void ini_free(struct ini *ini) {
  free(ini);
}

const char *ini_get(const struct ini *ini, const char *section, const char *name) {
  for (size_t i = 0; i <= ini->count; i++)
    if (strcmp(ini->entries[i].section, section) == 0 && strcmp(ini->entries[i].name, name) == 0)
      return ini->entries[i].value;
  return NULL;
}

size_t ini_count(const struct ini *ini) {
  return ini->count;
}
