import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { hasEnded, type Step, type Task, type TaskRequest } from '../../src/domains/tasks/index.ts';
import type { MachineDriver } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId, type TaskId } from '../../src/kernel/ids.ts';
import type { AccountOp } from '../../src/kernel/op.ts';
import { installJobs } from '../../src/platform/jobs/index.ts';
import { startFakeProvider, type FakeProvider } from '../fakes/provider.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { prepareTestHost, testHost, type TestHost } from '../machines/host.ts';
import { plantOf, type Plant } from './plant.ts';
import { purseOf, type Purse } from './purse.ts';

const POLL_MS = 25;
const PATIENCE_MS = 90_000;

export type Order = Partial<TaskRequest> & { prompt: string };

/** A database, a host, a pretended model provider and one plant that works on tasks. */
export type World = Plant &
  Purse & {
    database: TestDatabase;
    host: TestHost;
    provider: FakeProvider;
    clock: TestClock;
    /** Another process's worth over the same database and host. */
    another(takes?: 'all' | 'none'): Promise<Plant>;
    /** A new account with so much money. */
    account(cents?: number): Promise<AccountId>;
    op(account: AccountId): AccountOp;
    order(account: AccountId, order: Order): Promise<TaskId>;
    task(id: TaskId): Promise<Task>;
    steps(id: TaskId): Promise<Step[]>;
    /** The task, once it is what `is` asks for. */
    until(id: TaskId, is: (task: Task) => boolean): Promise<Task>;
    ended(id: TaskId): Promise<Task>;
    /** Whether the task has ended and its machine is gone. */
    isOver(id: TaskId): Promise<boolean>;
    /** Expects that an ended task has left nothing but its receipt. */
    expectSettled(id: TaskId): Promise<Task>;
    close(): Promise<void>;
  };

export type TestClock = { now(): Date; advance(milliseconds: number): void };

function shiftedClock(): TestClock {
  let aheadMs = 0;
  return { now: () => new Date(Date.now() + aheadMs), advance: (milliseconds) => void (aheadMs += milliseconds) };
}

type WorldOptions = {
  /** Another database than one on the test run's PostgreSQL. */
  database?: TestDatabase;
  takes?: 'all' | 'none';
  /** Puts something between the tasks and the host's driver. */
  through?: (driver: MachineDriver) => MachineDriver;
};

export async function tasksWorld(options: WorldOptions = {}): Promise<World> {
  const { takes = 'all', through = (driver) => driver } = options;
  await prepareTestHost();
  const [host, provider] = await Promise.all([testHost('crun'), startFakeProvider()]);
  const database = options.database ?? (await testDatabase());
  await installJobs(database.ownerUrl);
  const { db, url } = database;
  const clock = shiftedClock();
  const another = async (wanted: 'all' | 'none') => {
    const plant = await plantOf({ db, url, driver: through(host.driver), clock, providerUrl: provider.url });
    await plant.start(wanted);
    return plant;
  };
  const plant = await another(takes);
  const purse = purseOf(plant.ledger, db);
  const op = (account: AccountId) => accountOp(account, { now: clock.now() });
  const task = (id: TaskId) => found(plant, id);
  const until = (id: TaskId, is: (task: Task) => boolean) => eventually(() => task(id), is);
  return {
    ...plant,
    ...purse,
    database,
    host,
    provider,
    clock,
    op,
    task,
    until,
    another: (wanted = 'all') => another(wanted),
    account: async (cents = 1_000) => {
      const account = uuidv7(new Date()) as AccountId;
      await purse.fund(account, cents);
      return account;
    },
    order: async (account, order) =>
      (await plant.tasks.create(op(account), { budgetCents: 50, timeoutSeconds: 60, ...order })).task.id,
    steps: async (id) => {
      const { accountId } = await task(id);
      return (await plant.tasks.steps(op(accountId), id, { limit: 1_000, after: 0 })).rows;
    },
    ended: (id) => until(id, ({ status }) => hasEnded(status)),
    isOver: async (id) => hasEnded((await task(id)).status) && (await machinesOf(plant, id)).length === 0,
    expectSettled: (id) => expectSettled(plant, purse, id),
    close: async () => {
      await plant.stop();
      await provider.close();
      await host.dispose();
      await database.drop();
    },
  };
}

async function found(plant: Plant, id: TaskId): Promise<Task> {
  const task = await plant.tasks.find(plant.db, id);
  if (!task) throw new Error(`there is no task ${id}`);
  return task;
}

const machinesOf = async (plant: Plant, id: TaskId) =>
  (await plant.machines.list(systemOp())).filter(({ purpose }) => purpose === `task:${id}`);

async function expectSettled(plant: Plant, purse: Purse, id: TaskId): Promise<Task> {
  const task = await eventually(
    () => found(plant, id),
    ({ status }) => hasEnded(status),
  );
  await eventually(
    () => machinesOf(plant, id),
    (machines) => machines.length === 0,
  );
  expect(await purse.holdState(task.holdId)).toBe(task.settled?.spentCents === 0 ? 'voided' : 'posted');
  expect(await purse.proof()).toMatchObject({ valid: true, discrepancies: [] });
  expect(
    (await plant.tasks.steps(accountOp(task.accountId), id, { limit: 1_000, after: 0 })).rows.filter(
      ({ state }) => state === 'started',
    ),
  ).toEqual([]);
  return task;
}

/** Looks again and again until `is` says that it is there. */
export async function eventually<Seen>(look: () => Promise<Seen>, is: (seen: Seen) => boolean): Promise<Seen> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (is(seen)) return seen;
    if (Date.now() > giveUpAt)
      throw new Error(
        `It did not happen: ${JSON.stringify(seen, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}`,
      );
    await sleep(POLL_MS);
  }
}

/** A prompt for the script model. */
export const script = (...blocks: string[]): Order => ({
  modelSlug: 'script',
  prompt: `Please run this.\n\n${blocks.map((block) => `\`\`\`sh\n${block}\n\`\`\``).join('\n\n')}`,
});

/** A prompt for a model of the pretended provider, at 1 dollar a million tokens in and 5 out. */
export const HAIKU: Order = { modelSlug: 'claude-haiku-4-5', prompt: 'Please do what the test says.' };
