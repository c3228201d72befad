import { afterEach, beforeEach } from 'vitest';
import { createMachines, type Machines, type StartRequest } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId, type MachineId } from '../../src/kernel/ids.ts';
import type { Op } from '../../src/kernel/op.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { createLog } from '../../src/platform/log.ts';
import { listedMachines, type ListedMachines } from '../fakes/driver.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { SMALL } from './host.ts';

export type ListedWorld = {
  database: TestDatabase;
  driver: ListedMachines;
  machines: Machines;
  clock: { ahead: number; now(): Date };
  owner: AccountId;
  op: () => Op;
  request: (overrides?: Partial<StartRequest>) => StartRequest;
  started: (overrides?: Partial<StartRequest>) => Promise<MachineId>;
  /** Another process's worth over the same database, with this driver. */
  over: (driver: Partial<ListedMachines>, options?: { poolSize?: number }) => Machines;
  facts: (id: string) => Promise<{ type: string; data: Record<string, unknown> }[]>;
  /** Leaves a machine as a process would that died in the middle of something. */
  left: (id: MachineId, undertaking: string) => Promise<void>;
};

/** The domain over a database of its own and a host whose machines only exist on its list. */
export function listedWorld(): ListedWorld {
  const clock = { ahead: 0, now: () => new Date(Date.now() + clock.ahead) };
  const owner = uuidv7(new Date()) as AccountId;
  const op = () => systemOp(clock.now());
  const request = (overrides: Partial<StartRequest> = {}): StartRequest => ({
    accountId: owner,
    purpose: 'test',
    limits: SMALL,
    network: 'egress',
    leaseMs: 10 * MINUTE,
    ...overrides,
  });
  const over: ListedWorld['over'] = (driver, options) =>
    createMachines({
      db: world.database.db,
      driver: { ...world.driver, ...driver },
      clock,
      log: createLog({ level: 'silent' }),
      ...options,
    });
  const world = {
    clock,
    owner,
    op,
    request,
    over,
    started: async (overrides) => (await world.machines.start(op(), request(overrides))).id,
    facts: (id) => world.database.db.query(`select type, data from facts where subject = $1 order by seq`, [id]),
    left: async (id, undertaking) => {
      await world.database.db.query(
        `update machines set busy_with = $2, busy_token = gen_random_uuid(), busy_until = clock_timestamp() - interval '1 second'
          where id = $1`,
        [id, undertaking],
      );
    },
  } as ListedWorld;

  beforeEach(async () => {
    clock.ahead = 0;
    world.driver = listedMachines();
    world.database = await testDatabase();
    world.machines = over({});
  });
  afterEach(() => world.database.drop());
  return world;
}
