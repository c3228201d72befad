import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair, type Duplex } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import type { GateCall } from '../../src/domains/machines/drivers/driver.ts';
import { MAX_OPEN } from '../../src/domains/machines/egress/gateway.ts';
import type { Machines } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();
const RULES = { allow: [], deny: ['0.0.0.0/0'], names: ['allowed.example'] };
let machines: Machines;
let take: (call: GateCall) => void;
beforeEach(async () => {
  const openGate = async (taken: typeof take) => {
    take = taken;
    return { close: () => {} };
  };
  machines = world.over({ openGate });
  await machines.openGateway();
});

/** Opens so many connections that say nothing; those that were taken, which are held for the time of a greeting. */
function opened(machine: MachineId, count: number): Duplex[] {
  const streams = Array.from({ length: count }, () => {
    const [stream] = duplexPair();
    take({ machine, address: '192.0.2.1', port: 443, stream });
    return stream;
  });
  return streams.filter((stream) => !stream.destroyed);
}

test('a machine holds so many ways out, and machines that hold all they can leave the others theirs', async () => {
  const [modest, ...greedy] = await Promise.all(Array.from({ length: 6 }, () => world.started({ rules: RULES })));
  const held = greedy.map((machine) => opened(machine, MAX_OPEN.each + 10).length);
  const half = MAX_OPEN.all / 2;
  expect(held).toEqual([...Array.from({ length: 4 }, () => MAX_OPEN.each), Math.floor(half / 5)]);
  assert(modest);
  const few = opened(modest, 20);
  expect(few.length).toBe(20);
  await Promise.all(few.map((stream) => once(stream.destroy(), 'close')));
  expect(opened(modest, MAX_OPEN.each).length).toBe(Math.floor(half / 6));
  await machines.close();
});
