/** What decides everything by chance: a whole number below the one that is given. */
export type Random = (below: number) => number;

/** Numbers that a seed alone decides (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export const pick = <T>(random: Random, items: readonly T[]): T => items[random(items.length)]!;

export const strings = (texts: readonly string[]): Buffer => Buffer.from(texts.map((text) => `${text}\0`).join(''));

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Now and then a byte behind the head changes, the length lies, or the end is missing. */
export function damaged(random: Random, head: number, bytes: Buffer): Buffer {
  const kind = random(12);
  if (kind === 0)
    for (let count = random(8); count >= 0; count--)
      bytes[head + random(Math.max(1, bytes.length - head))] = random(256);
  if (kind === 1) bytes.writeUInt32BE(pick(random, [0, 1, 0xffff_ffff, 1_048_576, 70_000, bytes.length]));
  return kind === 2 ? bytes.subarray(0, random(bytes.length + 1)) : bytes;
}
