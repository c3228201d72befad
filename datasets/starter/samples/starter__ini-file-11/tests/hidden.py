import unittest

import lab

DRIVER = r"""
#include "ini.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long kept, left = -1;
void *__real_malloc(size_t); void __real_free(void *); void *__real_realloc(void *, size_t); void *__real_calloc(size_t, size_t);
static int refuses(void) { return left == 0 ? 1 : (left > 0 ? left-- : 0, 0); }
void *__wrap_malloc(size_t n) { void *p = refuses() ? NULL : __real_malloc(n); if (p) kept++; return p; }
void *__wrap_calloc(size_t n, size_t m) { void *p = refuses() ? NULL : __real_calloc(n, m); if (p) kept++; return p; }
void *__wrap_realloc(void *q, size_t n) { void *p = refuses() ? NULL : __real_realloc(q, n); if (p && !q) kept++; return p; }
void __wrap_free(void *p) { if (p) kept--; __real_free(p); }

/* Usage: program LEFT FILE [SECTION NAME]... */
int main(int argc, char **argv) {
  FILE *file = fopen(argv[2], "rb");
  fseek(file, 0, SEEK_END);
  size_t length = ftell(file);
  rewind(file);
  /* Of exactly its size, so that a look behind it is seen. */
  char *text = __real_malloc(length == 0 ? 1 : length);
  if (fread(text, 1, length, file) != length) return 2;
  fclose(file);
  kept = 0;
  left = atol(argv[1]);
  int line = -7;
  struct ini *ini = ini_read(text, length, &line);
  left = -1;
  memset(text, 'X', length);
  if (ini == NULL) printf("refused %d kept %ld\n", line, kept);
  else {
    printf("count %zu\n", ini_count(ini));
    for (int i = 3; i + 1 < argc; i += 2) {
      const char *value = ini_get(ini, argv[i], argv[i + 1]);
      printf("%zu:%s\n", value == NULL ? 0 : strlen(value), value == NULL ? "(none)" : value);
    }
    ini_free(ini);
    printf("kept %ld\n", kept);
  }
  fflush(stdout);
  _Exit(0);
}
"""
FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-w", "-Wl,--wrap=malloc,--wrap=free,--wrap=realloc,--wrap=calloc"]


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program, cls.trouble = None, None
        try:
            cls.program = lab.compile_c(DRIVER, ["ini.c"], FLAGS)
        except AssertionError as error:
            cls.trouble = error

    @classmethod
    def tearDownClass(cls):
        if cls.program:
            lab.forget(cls.program)

    def told(self, text, *wanted, left=-1):
        if self.trouble:
            raise self.trouble
        folder = lab.scratch()
        self.addCleanup(lab.forget, folder)
        path = lab.place(folder, "settings", text)
        arguments = [part for pair in wanted for part in pair]
        result = lab.run([self.program, left, path, *arguments], env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual(result.code, 0, result)
        return result.out

    def values(self, text, *wanted):
        """The number of settings, and the values; all memory must have been given back."""
        out = self.told(text, *wanted)
        self.assertTrue(out.startswith("count ") and out.endswith("kept 0\n"), out)
        count, _, rest = out.partition("\n")
        values = []
        for _one in wanted:
            size, _, rest = rest.partition(":")
            is_none = size == "0" and rest.startswith("(none)")
            length = len("(none)") if is_none else int(size)
            values.append(None if is_none else rest[:length])
            rest = rest[length + 1 :]
        return [int(count.split()[1]), *values]

    def refused(self, text, line):
        self.assertEqual(self.told(text), f"refused {line} kept 0\n", text)


class Reading(Program):
    def test_names_and_sections(self):
        text = "a=1\n[one]\na=2\nb=3\n[two]\na=4\n"
        wanted = [("", "a"), ("one", "a"), ("one", "b"), ("two", "a"), ("two", "b"), ("three", "a")]
        self.assertEqual(self.values(text, *wanted), [4, "1", "2", "3", "4", None, None])

    def test_spaces_and_comments(self):
        text = "# c\n ; c = d\n\n \t a b \t=  c d \t\n\t[ x y ]  \n k=v # not a comment ; at all\n"
        self.assertEqual(self.values(text, ("", "a b"), ("x y", "k")), [2, "c d", "v # not a comment ; at all"])

    def test_lines_of_windows_and_no_last_end(self):
        self.assertEqual(self.values("[s]\r\na=1\r\n\r\nb = 2", ("s", "a"), ("s", "b")), [2, "1", "2"])

    def test_nothing_at_all(self):
        self.assertEqual(self.values("", ("", "a")), [0, None])
        self.assertEqual(self.values("\n\n", ("", "a")), [0, None])

    def test_an_empty_value_and_an_equals_sign_in_one(self):
        self.assertEqual(self.values("a=\nb = c = d\n", ("", "a"), ("", "b")), [2, "", "c = d"])

    def test_case_tells_apart(self):
        self.assertEqual(self.values("[S]\nA=1\na=2\n", ("S", "A"), ("S", "a"), ("s", "a")), [2, "1", "2", None])

    def test_the_last_value_counts(self):
        text = "[s]\na=1\n[t]\na=9\n[s]\na=2\na=3\n"
        self.assertEqual(self.values(text, ("s", "a"), ("t", "a")), [2, "3", "9"])


class Quotes(Program):
    def test_spaces_are_kept(self):
        self.assertEqual(self.values('a = "  x # y "  # c\nb=""\n', ("", "a"), ("", "b")), [2, "  x # y ", ""])

    def test_escapes(self):
        self.assertEqual(self.values('a="q\\" b\\\\ n\\n t\\t"\n', ("", "a")), [1, 'q" b\\ n\n t\t'])

    def test_a_quote_inside_a_plain_value(self):
        self.assertEqual(self.values('a=x "y" \\n\n', ("", "a")), [1, 'x "y" \\n'])

    def test_wrong_ones(self):
        for value in ('"x', '"x" y', '"x\\"', '"\\q"', '"x\\', '"x""'):
            self.refused(f"b=1\na={value}\n", 2)


class Wrong(Program):
    def test_lines_that_are_nothing(self):
        self.refused("a=1\nhello\n", 2)
        self.refused("[s\na=1\n", 1)
        self.refused("\n\n[s] x\n", 3)
        self.refused("a=1\n = 2\n", 2)

    def test_a_nul_byte(self):
        self.refused(b"a=1\nb=\x00\n", 2)
        self.refused(b"# \x00\n", 1)


class Size(Program):
    def test_long_lines(self):
        name, value, section = "n" * 5000, "v" * 100_000, "s" * 3000
        text = f"[{section}]\n{name} = {value}\n"
        self.assertEqual(self.values(text, (section, name)), [1, value])

    def test_many_settings(self):
        text = "".join(f"[s{i % 7}]\nn{i}={i}\n" for i in range(2000))
        self.assertEqual(self.values(text, ("s0", "n0"), ("s4", "n1999"), ("s1", "n1999")), [2000, "0", "1999", None])

    def test_no_memory_at_any_point(self):
        text = '[one]\na="b"\nc=d\n[two]\na=e\na=f\n' + "".join(f"n{i}=1\n" for i in range(10))
        for left in range(0, 30):
            self.assertEqual(self.told(text, left=left), "refused 0 kept 0\n", left)
