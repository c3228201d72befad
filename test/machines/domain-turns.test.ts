import { availableParallelism } from 'node:os';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { listedWorld } from './listed-world.ts';

const AT_A_TIME = availableParallelism() * 2;

const world = listedWorld();
const { op, request } = world;
let machines: Machines;
/** Those that are being made, in the order in which they were begun; each is made when it is told to be. */
let begun: { id: MachineId; finish: () => void }[];

beforeEach(() => {
  begun = [];
  machines = world.over({
    create: async (spec, signal) => {
      await new Promise<void>((resolve) => begun.push({ id: spec.id, finish: resolve }));
      await world.driver.create(spec, signal);
    },
  });
});

const isBegun = async (count: number) => await expect.poll(() => begun.length).toBe(count);

describe('machines that are asked for at once', () => {
  test('are made a few at a time, and the first who came is served first', async () => {
    const purposes = Array.from({ length: AT_A_TIME + 3 }, (_, index) => `number ${index}`);
    const starting = purposes.map((purpose) => machines.start(op(), request({ purpose })));
    await isBegun(AT_A_TIME);
    expect(await machines.list(op())).toHaveLength(AT_A_TIME);
    for (let next = 0; next < purposes.length; next++) {
      await isBegun(Math.min(purposes.length, next + AT_A_TIME));
      begun[next]?.finish();
    }
    const made = await Promise.all(starting);
    expect(made.map(({ purpose }) => purpose)).toEqual(purposes);
    const last = made.slice(AT_A_TIME).map(({ id }) => id);
    expect(begun.slice(AT_A_TIME).map(({ id }) => id)).toEqual(last);
  });

  test('take no turn where a disk is copied first, nor while they wait for another maker of the same', async () => {
    const first = await world.started();
    const { id: snapshot } = await world.machines.snapshot(op(), first);
    const copying = Array.from({ length: AT_A_TIME }, () => machines.start(op(), request({ snapshot })));
    await isBegun(AT_A_TIME);
    const wanted = request({ id: 'mch_00000000000000000000000001' as MachineId });
    const same = Array.from({ length: AT_A_TIME + 1 }, () => machines.start(op(), wanted));
    await isBegun(AT_A_TIME + 1);
    const other = machines.start(op(), request());
    await isBegun(AT_A_TIME + 2);
    for (const { finish } of begun) finish();
    await Promise.all([...copying, ...same, other]);
    expect(begun).toHaveLength(AT_A_TIME + 2);
  });

  test('are not begun for who has gone while waiting', async () => {
    const starting = Array.from({ length: AT_A_TIME }, () => machines.start(op(), request()));
    await isBegun(AT_A_TIME);
    const gone = new AbortController();
    const waiting = machines.start({ ...op(), signal: gone.signal }, request());
    gone.abort();
    for (const { finish } of begun) finish();
    await expect(waiting).rejects.toThrow('aborted');
    await Promise.all(starting);
    expect(await machines.list(op())).toHaveLength(AT_A_TIME);
  });
});
