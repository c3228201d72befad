import { expect, test } from 'vitest';
import { cpuinfoOf, cpusFor, meminfoOf } from './seen.ts';

const GIB = 2 ** 30;
const used = { memoryBytes: 300_000_000, memoryCacheBytes: 200_000_000 };

test('what a computer is told of its memory is always as long, adds up, and never more than its limit', () => {
  const text = meminfoOf(GIB, used);
  const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1]);
  expect(field('MemTotal')).toBe(GIB / 1_024);
  expect(field('MemAvailable')).toBe(Math.floor((GIB - 300_000_000) / 1_024));
  expect(field('MemFree') + field('Cached') + field('Active')).toBeGreaterThan(field('MemTotal') - 3);
  for (const other of [meminfoOf(64 * GIB, used), meminfoOf(GIB, { memoryBytes: 0, memoryCacheBytes: 0 })])
    expect(other).toHaveLength(text.length);
  expect(meminfoOf(GIB, { memoryBytes: 2 * GIB, memoryCacheBytes: GIB })).toMatch(/^MemFree: +0 kB$/m);
});

test('a computer has as many processors as it may use, of those that there are', () => {
  expect(cpusFor('a', 1, [0, 1])).toHaveLength(1);
  expect(cpusFor('a', 4, [0, 1])).toEqual([0, 1]);
  expect(cpusFor('a', 0.5, [2, 5, 7])).toHaveLength(1);
  expect(cpusFor('a', 1.5, [2, 5, 7])).toHaveLength(2);
  const chosen = new Set(Array.from({ length: 50 }, (_, n) => cpusFor(`m${n}`, 1, [0, 1, 2, 3])[0]));
  expect(chosen).toEqual(new Set([0, 1, 2, 3]));
});

test('the kernel’s text about processors is cut to these, counted from 0', () => {
  const part = (n: number) => `processor\t: ${n}\nmodel name\t: X\ncore id\t: ${n}\n`;
  expect(cpuinfoOf([0, 1, 2, 3].map(part).join('\n'), [1, 3])).toBe(
    'processor\t: 0\nmodel name\t: X\ncore id\t: 1\n\nprocessor\t: 1\nmodel name\t: X\ncore id\t: 3\n\n',
  );
});
