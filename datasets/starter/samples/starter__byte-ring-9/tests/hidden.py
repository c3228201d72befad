import unittest

import lab

HEAD = r"""
#include "ring.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(struct ring *ring) {
  unsigned char text[64];
  size_t count = ring_peek(ring, 0, text, sizeof text);
  printf("[%.*s] %zu+%zu\n", (int)count, text, ring_used(ring), ring_free(ring));
}
int main(void) {
"""
FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-w"]


class Ring(unittest.TestCase):
    def said(self, body, leaks=False):
        """What a program prints that is watched for wrong accesses and, where asked, for memory it does not give back."""
        program = lab.compile_c(HEAD + body + "\n  return 0;\n}\n", ["ring.c"], [*FLAGS, *(COUNTED if leaks else [])])
        self.addCleanup(lab.forget, program)
        result = lab.run([program], env={"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"})
        self.assertEqual(result.code, 0, result)
        return result.out.split("\n")[:-1]


COUNTED = ["-Wl,--wrap=malloc,--wrap=free,--wrap=realloc,--wrap=calloc"]


class Basics(Ring):
    def test_what_is_written_is_read(self):
        body = """
  struct ring *ring = ring_open(8); char text[9] = {0};
  printf("%zu\\n", ring_write(ring, "abc", 3)); show(ring);
  printf("%zu %.3s\\n", ring_read(ring, text, 8), text); show(ring);
"""
        self.assertEqual(self.said(body), ["3", "[abc] 3+5", "3 abc", "[] 0+8"])

    def test_it_is_filled_to_the_last_byte(self):
        body = """
  struct ring *ring = ring_open(8);
  printf("%zu\\n", ring_write(ring, "abcdefghij", 10)); show(ring);
  printf("%zu\\n", ring_write(ring, "x", 1)); show(ring);
"""
        self.assertEqual(self.said(body), ["8", "[abcdefgh] 8+0", "0", "[abcdefgh] 8+0"])

    def test_one_byte_is_a_ring(self):
        body = """
  struct ring *ring = ring_open(1); char c;
  for (int i = 0; i < 3; i++) { char in = 'a' + i; ring_write(ring, &in, 1); ring_read(ring, &c, 1); putchar(c); }
  putchar('\\n'); show(ring);
"""
        self.assertEqual(self.said(body), ["abc", "[] 0+1"])

    def test_around_the_end(self):
        body = """
  struct ring *ring = ring_open(8); char text[9] = {0};
  ring_write(ring, "abcdef", 6); ring_read(ring, text, 4);
  printf("%zu\\n", ring_write(ring, "ghijkl", 6)); show(ring);
  printf("%zu %s\\n", ring_read(ring, text, 8), text); show(ring);
"""
        self.assertEqual(self.said(body), ["6", "[efghijkl] 8+0", "8 efghijkl", "[] 0+8"])

    def test_peeking_takes_nothing(self):
        body = """
  struct ring *ring = ring_open(8); char text[9] = {0}; char out[9] = {0};
  ring_write(ring, "abcdef", 6); ring_read(ring, text, 5); ring_write(ring, "ghijk", 5);
  printf("%zu ", ring_peek(ring, 2, out, 3)); printf("%s\\n", out);
  printf("%zu %zu %zu\\n", ring_peek(ring, 5, out, 3), ring_peek(ring, 6, out, 1), ring_peek(ring, 7, out, 1)); show(ring);
"""
        self.assertEqual(self.said(body), ["3 hij", "1 0 0", "[fghijk] 6+2"])

    def test_no_byte_more_than_asked_is_touched(self):
        body = """
  struct ring *ring = ring_open(4); char *two = malloc(2);
  ring_write(ring, "abcd", 4); ring_read(ring, two, 2); printf("%.2s\\n", two);
  ring_peek(ring, 1, two, 2); printf("%.1s\\n", two);
"""
        self.assertEqual(self.said(body), ["ab", "d"])

    def test_a_long_stream(self):
        body = """
  struct ring *ring = ring_open(7); unsigned char out[16], next_in = 0, next_out = 0; unsigned seed = 1; long moved = 0;
  for (int i = 0; i < 20000; i++) {
    unsigned char in[16]; seed = seed * 1103515245u + 12345u; size_t count = (seed >> 16) % 10;
    for (size_t j = 0; j < count; j++) in[j] = next_in + j;
    next_in += ring_write(ring, in, count);
    seed = seed * 1103515245u + 12345u; count = ring_read(ring, out, (seed >> 16) % 10);
    for (size_t j = 0; j < count; j++) if (out[j] != next_out++) { printf("wrong\\n"); return 1; }
    moved += count;
  }
  printf("%d\\n", moved > 20000);
"""
        self.assertEqual(self.said(body), ["1"])


class Edges(Ring):
    def test_no_ring_of_nothing(self):
        self.assertEqual(self.said('  printf("%d\\n", ring_open(0) == NULL);'), ["1"])

    def test_no_ring_without_memory(self):
        self.assertEqual(self.said('  printf("%d\\n", ring_open(SIZE_MAX) == NULL);'), ["1"])

    def test_counts_and_offsets_near_the_end_of_numbers(self):
        body = """
  struct ring *ring = ring_open(4); char out[4] = {0};
  ring_write(ring, "abc", 3);
  printf("%zu %zu ", ring_peek(ring, SIZE_MAX, out, 4), ring_peek(ring, SIZE_MAX - 1, out, 4));
  printf("%zu ", ring_peek(ring, 1, out, SIZE_MAX)); printf("%s\\n", out); show(ring);
"""
        self.assertEqual(self.said(body), ["0 0 2 bc", "[abc] 3+1"])

    def test_nothing_from_nowhere(self):
        body = """
  struct ring *ring = ring_open(4);
  printf("%zu %zu %zu\\n", ring_write(ring, NULL, 0), ring_read(ring, NULL, 0), ring_peek(ring, 0, NULL, 0));
  printf("%zu\\n", ring_read(ring, NULL, 5));
"""
        self.assertEqual(self.said(body), ["0 0 0", "0"])


class Growing(Ring):
    def test_order_is_kept_around_the_end(self):
        body = """
  struct ring *ring = ring_open(4); char text[5] = {0};
  ring_write(ring, "abcd", 4); ring_read(ring, text, 3); ring_write(ring, "efg", 3);
  printf("%d\\n", ring_grow(ring, 7)); show(ring);
  ring_write(ring, "hijk", 4); show(ring);
"""
        self.assertEqual(self.said(body), ["0", "[defg] 4+3", "[defghij] 7+0"])

    def test_smaller_down_to_what_is_kept(self):
        body = """
  struct ring *ring = ring_open(8);
  ring_write(ring, "abc", 3);
  printf("%d %d %d\\n", ring_grow(ring, 2), ring_grow(ring, 0), ring_grow(ring, 3)); show(ring);
  printf("%d\\n", ring_grow(ring, SIZE_MAX)); show(ring);
"""
        self.assertEqual(self.said(body), ["-1 -1 0", "[abc] 3+0", "-1", "[abc] 3+0"])

    def test_everything_is_given_back(self):
        body = """
  ring_close(NULL);
  for (int i = 0; i < 3; i++) { struct ring *ring = ring_open(4); ring_grow(ring, 9); ring_grow(ring, 1); ring_close(ring); }
  ring_open(SIZE_MAX);
  fflush(stdout);
  extern long kept; fprintf(stdout, "%ld\\n", kept); fflush(stdout); _Exit(0);
}
long kept;
void *__real_malloc(size_t); void __real_free(void *); void *__real_realloc(void *, size_t); void *__real_calloc(size_t, size_t);
void *__wrap_malloc(size_t n) { void *p = __real_malloc(n); if (p) kept++; return p; }
void *__wrap_calloc(size_t n, size_t m) { void *p = __real_calloc(n, m); if (p) kept++; return p; }
void *__wrap_realloc(void *q, size_t n) { void *p = __real_realloc(q, n); if (p && !q) kept++; return p; }
void __wrap_free(void *p) { if (p) kept--; __real_free(p); }
int unused(void) {
"""
        self.assertEqual(self.said(body, leaks=True), ["0"])
