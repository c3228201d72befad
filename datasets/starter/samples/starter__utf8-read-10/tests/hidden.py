import unittest

import lab

DRIVER = r"""
#include "utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each line is a job; bytes are hex and lie in memory of exactly their size. */
static unsigned char *bytes_of(const char *hex, size_t *count) {
  *count = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
  unsigned char *bytes = malloc(*count == 0 ? 1 : *count);
  for (size_t i = 0; i < *count; i++) sscanf(hex + 2 * i, "%2hhx", bytes + i);
  return bytes;
}
int main(void) {
  char job, hex[4096];
  while (scanf(" %c %4095s", &job, hex) == 2) {
    size_t count;
    if (job == 'w') {
      unsigned long character; size_t room;
      if (scanf("%lx %zu", &character, &room) != 2) return 2;
      unsigned char *out = calloc(room == 0 ? 1 : room, 1);
      size_t took = utf8_write(character, out, room);
      printf("%zu", took);
      for (size_t i = 0; i < room; i++) printf(" %02x", out[i]);
      puts("");
      continue;
    }
    unsigned char *bytes = bytes_of(hex, &count);
    if (job == 'l') {
      printf("%ld %ld\n", utf8_length(bytes, count, 0), utf8_length(bytes, count, 1));
      continue;
    }
    const unsigned char *at = bytes;
    while (at < bytes + count) {
      int wrong = 7; const unsigned char *from = at;
      uint32_t character = utf8_next(&at, bytes + count, &wrong);
      printf("%x%s%s ", (unsigned)character, wrong == 1 ? "!" : wrong == 0 ? "" : "?", "");
      printf("%d ", (int)(at - from));
    }
    puts("");
  }
  return 0;
}
"""


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program, cls.trouble = None, None
        flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-w"]
        try:
            cls.program = lab.compile_c(DRIVER, ["utf8.c"], flags)
        except AssertionError as error:
            cls.trouble = error

    @classmethod
    def tearDownClass(cls):
        if cls.program:
            lab.forget(cls.program)

    def told(self, *jobs):
        if self.trouble:
            raise self.trouble
        result = lab.run([self.program], "\n".join(jobs) + "\n", env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual(result.code, 0, result)
        return [line.strip() for line in result.out.split("\n")[:-1]]

    def decoded(self, data):
        """Characters as (code, wrong, bytes taken)."""
        words = self.told(f"d {data.hex() or '-'}")[0].split()
        return [(int(word.strip("!?"), 16), "!" in word, int(took)) for word, took in zip(words[::2], words[1::2])]


class Decoding(Program):
    def test_ascii_and_longer_ones(self):
        text = "a\u00e9\u20ac\U0001f600z"
        wanted = [(ord(c), False, len(c.encode())) for c in text]
        self.assertEqual(self.decoded(text.encode()), wanted)

    def test_first_and_last_of_each_length(self):
        for code in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF):
            data = chr(code).encode()
            self.assertEqual(self.decoded(data), [(code, False, len(data))], hex(code))

    def replaced(self, data, *lengths):
        self.assertEqual(self.decoded(bytes.fromhex(data)), [(0xFFFD, True, length) for length in lengths], data)

    def test_a_byte_that_begins_nothing(self):
        for data in ("80", "bf", "c0", "c1", "f5", "ff"):
            self.replaced(data, 1)

    def test_longer_forms_than_needed(self):
        self.replaced("c080", 1, 1)
        self.replaced("e08080", 1, 1, 1)
        self.replaced("e09fbf", 1, 1, 1)
        self.replaced("f0808080", 1, 1, 1, 1)
        self.replaced("f08fbfbf", 1, 1, 1, 1)

    def test_surrogates_and_beyond_the_last(self):
        self.replaced("eda080", 1, 1, 1)
        self.replaced("edbfbf", 1, 1, 1)
        self.replaced("f4908080", 1, 1, 1, 1)

    def test_what_breaks_off(self):
        self.replaced("e282", 2)
        self.replaced("f09f98", 3)
        self.replaced("c3", 1)
        self.assertEqual(self.decoded(bytes.fromhex("e28241")), [(0xFFFD, True, 2), (0x41, False, 1)])
        self.assertEqual(self.decoded(bytes.fromhex("f09fe282ac")), [(0xFFFD, True, 2), (0x20AC, False, 3)])

    def test_as_another_decoder_has_it(self):
        import random

        chance = random.Random(11)
        pool = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5]
        inputs = [bytes(chance.choice(pool) for _ in range(chance.randrange(1, 12))) for _ in range(400)]
        lines = self.told(*[f"d {data.hex()}" for data in inputs])
        for data, line in zip(inputs, lines):
            codes = [int(word.strip("!?"), 16) for word in line.split()[::2]]
            self.assertEqual("".join(map(chr, codes)), data.decode("utf-8", "replace"), data.hex())


class Length(Program):
    def test_of_what_is_well_formed(self):
        self.assertEqual(self.told("l -", "l 6162", "l e282acf09f9880"), ["0 0", "2 2", "2 2"])

    def test_of_what_is_not(self):
        self.assertEqual(self.told("l 61ff62", "l ff", "l e282", "l e28261"), ["3 -1", "1 -1", "1 -1", "2 -1"])


class Encoding(Program):
    def test_each_length(self):
        jobs = ["w - 41 4", "w - e9 4", "w - 20ac 4", "w - 1f600 4", "w - 10ffff 4", "w - 0 1"]
        wanted = ["1 41 00 00 00", "2 c3 a9 00 00", "3 e2 82 ac 00", "4 f0 9f 98 80", "4 f4 8f bf bf", "1 00"]
        self.assertEqual(self.told(*jobs), wanted)

    def test_too_little_room(self):
        jobs = ["w - 41 0", "w - e9 1", "w - 20ac 2", "w - 1f600 3"]
        self.assertEqual(self.told(*jobs), ["0", "0 00", "0 00 00", "0 00 00 00"])

    def test_what_is_no_character(self):
        jobs = ["w - d800 4", "w - dfff 4", "w - 110000 4", "w - ffffffff 4"]
        self.assertEqual(self.told(*jobs), ["0 00 00 00 00"] * 4)
