import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nextTurn } from './turns.ts';

test('in each turn of the event loop one goes on, in the order in which they came', async () => {
  const done: string[] = [];
  const working = async (name: string) => {
    for (let piece = 1; piece <= 3; piece++) {
      await nextTurn();
      done.push(name + piece);
    }
  };
  const all = Promise.all(['a', 'b', 'c'].map(working));
  let before = 0;
  while (done.length < 9) {
    await turnOfLoop();
    expect(done.length - before).toBeLessThanOrEqual(1);
    before = done.length;
  }
  await all;
  expect(done).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3', 'b3', 'c3']);
});
