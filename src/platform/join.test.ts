import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { join } from './join.ts';

const SLOW_MS = 30;
const LONG_MS = 10_000;

/** One end of a connection: says what it is given, and takes what comes as slowly as is said. */
function end(says: string[], { slow = 0, hangsUp = true } = {}) {
  const heard: string[] = [];
  const stream = new Duplex({
    allowHalfOpen: !hangsUp,
    read() {
      const next = says.shift();
      if (next !== undefined) return void this.push(next);
      if (hangsUp) this.push(null);
    },
    write(chunk, _encoding, done) {
      heard.push(String(chunk));
      setTimeout(done, slow);
    },
  });
  return { stream, heard };
}

test('what one has said reaches a slow other, also when it has hung up long ago', async () => {
  const speaker = end(['a', 'b', 'c', 'd']);
  const listener = end([], { slow: SLOW_MS, hangsUp: false });
  await join(speaker.stream, listener.stream, LONG_MS);
  expect(listener.heard.join('')).toBe('abcd');
  expect(listener.stream.destroyed).toBe(true);
});

test('an end that breaks off takes the other with it, and so does one that had before', async () => {
  const [one, other] = [end([], { hangsUp: false }), end([], { hangsUp: false })];
  const joined = join(one.stream, other.stream, LONG_MS);
  one.stream.destroy(new Error('broken'));
  await joined;
  expect(other.stream.destroyed).toBe(true);
  const late = end([], { hangsUp: false });
  await join(one.stream, late.stream, LONG_MS);
  expect(late.stream.destroyed).toBe(true);
});

test('a connection on which nothing passes is cut', async () => {
  const [one, other] = [end([], { hangsUp: false }), end([], { hangsUp: false })];
  await join(one.stream, other.stream, SLOW_MS);
  expect([one.stream.destroyed, other.stream.destroyed]).toEqual([true, true]);
});
