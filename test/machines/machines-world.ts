import assert from 'node:assert/strict';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { createMachines, type Machines, type StartRequest } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId, type MachineId } from '../../src/kernel/ids.ts';
import type { Op } from '../../src/kernel/op.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { createLog } from '../../src/platform/log.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { prepareTestHost, SMALL, testHost, type TestHost } from './host.ts';

/** A clock that the test sets. Machines live by it, not by the real one. */
type SetClock = { ahead: number; now(): Date };

export type MachinesWorld = {
  host: TestHost;
  database: TestDatabase;
  machines: Machines;
  clock: SetClock;
  owner: AccountId;
  op: () => Op;
  request: (overrides?: Partial<StartRequest>) => StartRequest;
  started: (overrides?: Partial<StartRequest>) => Promise<MachineId>;
};

/** The machine domain on a driver and a database of its own for each test; nothing may be left of it afterwards. */
export function machinesWorld(): MachinesWorld {
  const clock: SetClock = { ahead: 0, now: () => new Date(Date.now() + clock.ahead) };
  const owner = uuidv7(new Date()) as AccountId;
  const op = () => systemOp(clock.now());
  const request = (overrides: Partial<StartRequest> = {}): StartRequest => ({
    accountId: owner,
    purpose: 'test',
    limits: SMALL,
    network: 'none',
    leaseMs: 10 * MINUTE,
    ...overrides,
  });
  const started = async (overrides: Partial<StartRequest> = {}) =>
    (await world.machines.start(op(), request(overrides))).id;
  // What belongs to one test is there from its beginning to its end.
  const world = { clock, owner, op, request, started } as MachinesWorld;

  beforeAll(async () => {
    await prepareTestHost();
  }, 900_000);
  beforeEach(async () => {
    clock.ahead = 0;
    [world.host, world.database] = await Promise.all([testHost('crun'), testDatabase()]);
    const { host, database } = world;
    world.machines = createMachines({
      db: database.db,
      driver: host.driver,
      clock,
      log: createLog({ level: 'silent' }),
    });
  });
  afterEach(async () => {
    await world.host.dispose();
    assert.deepEqual(await world.host.tracesLeft(), []);
    await world.database.drop();
  });
  return world;
}
