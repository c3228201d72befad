import { duplexPair, type Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CALL, FRAME } from '../../src/domains/machines/init/protocol.ts';
import { MAX_HELD } from '../../src/domains/machines/whole.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();

const frame = (type: number, payload: string): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, Buffer.from(payload)]);
};
const pairs = (fields: Record<string, string | number>): string =>
  Object.entries(fields)
    .map(([key, value]) => `${key}\0${value}\0`)
    .join('');
const FILE = { path: '/a', name: 'a', kind: 'file', size: 1, mode: '644', uid: 0, gid: 0, owner: 'x', group: 'x' };
const PIECE = 1_000_000;
const ENTRIES = 30;
const LARGE = frame(FRAME.entry, pairs({ ...FILE, modified: '1.000000000', target: 'x'.repeat(PIECE) }));

const RUNS = 16;
const RUN = frame(FRAME.run, pairs({ pid: 7, startedAt: 1, arg: 'x'.repeat(PIECE) }));

/** A machine that answers every list with as much as a list may have, and of commands never the last word. */
async function connect(): Promise<Duplex> {
  const [ours, theirs] = duplexPair();
  theirs.on('error', () => {});
  theirs.once('data', (asked: Buffer) => {
    if (asked.readUInt8(4) === CALL.runs) return void Array.from({ length: RUNS }, () => theirs.write(RUN));
    for (let each = 0; each < ENTRIES; each++) theirs.write(LARGE);
    theirs.write(frame(FRAME.done, pairs({ truncated: 0 })));
  });
  return ours;
}

test('a machine’s lists are held in memory up to a limit, as long as somebody uses them', async () => {
  const id = await world.started();
  const machines = world.over({ connect });
  const most = Math.floor(MAX_HELD.each / (ENTRIES * PIECE));
  const held: PromiseWithResolvers<void>[] = [];
  const list = () =>
    new Promise<string>((answer) => {
      const using = Promise.withResolvers<void>();
      held.push(using);
      const use = () => {
        answer('held');
        return using.promise;
      };
      machines.listTree(world.op(), id, '/', {}, use).catch(({ code }: { code: string }) => answer(code));
    });
  const lists = [];
  for (let each = 0; each < most; each++) lists.push(await list());
  expect(new Set(lists)).toEqual(new Set(['held']));
  expect(await list()).toBe('rate_limited');
  expect(await list()).toBe('rate_limited');
  held[0]?.resolve();
  await expect.poll(list).toBe('held');
  for (const using of held) using.resolve();
  await expect.poll(async () => [await list(), await list()]).toEqual(['held', 'held']);
  for (const using of held) using.resolve();
});

test('so are the commands that it tells of, also while it has not told of all', async () => {
  const id = await world.started();
  const machines = world.over({ connect });
  const most = Math.floor(MAX_HELD.each / (RUNS * PIECE));
  const leave = new AbortController();
  const list = () => machines.runs({ ...world.op(), signal: leave.signal }, id);
  const waiting = Promise.allSettled(Array.from({ length: most }, list));
  // One that is not refused waits for the last word like the others.
  const refusal = () => Promise.race([list().catch(({ code }: { code: string }) => code), sleep(200)]);
  await expect.poll(refusal, { timeout: 20_000 }).toBe('rate_limited');
  leave.abort(new Error('gone'));
  expect((await waiting).map(({ status }) => status)).toEqual(Array.from({ length: most }, () => 'rejected'));
  const { entries } = await machines.listTree(world.op(), id, '/', {}, (listed) => listed);
  expect(entries).toHaveLength(ENTRIES);
});
