import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headAndTail } from './output.ts';

describe('the beginning and the end of a stream', () => {
  test('whatever comes in whatever pieces: all of it, or its first and last bytes and the count between', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 30 }), { maxLength: 40 }),
        fc.integer({ min: 2, max: 200 }),
        (pieces, maxBytes) => {
          const kept = headAndTail(maxBytes);
          for (const piece of pieces) kept.add(Buffer.from(piece));
          const all = pieces.join('');
          const half = Math.floor(maxBytes / 2);
          const expected =
            all.length <= 2 * half
              ? all
              : `${all.slice(0, half)}\n[… ${all.length - 2 * half} bytes left out …]\n${all.slice(-half)}`;
          expect(kept.text()).toBe(expected);
        },
      ),
    );
  });

  test('what is left out is not kept in memory', () => {
    const kept = headAndTail(1_000);
    for (let i = 0; i < 10_000; i++) kept.add(Buffer.alloc(1_000, 65 + (i % 26)));
    expect(kept.text().length).toBeLessThan(1_100);
  });

  test('bytes that are not text are told as such and break nothing', () => {
    const kept = headAndTail(100);
    kept.add(Buffer.from([0xff, 0x41, 0x00]));
    expect(kept.text()).toBe('\uFFFDA\0');
  });
});
