import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  createEnvironments,
  hasEnded,
  type Environments,
  type Interaction,
  type Session,
  type Verification,
} from '../../src/domains/environments/index.ts';
import { createLedger, type Ledger } from '../../src/domains/ledger/index.ts';
import { createMachines, type Machines } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import type { AccountOp, Op } from '../../src/kernel/op.ts';
import type { Database } from '../../src/platform/db.ts';
import { createJobs, installJobs, type Jobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { testDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { prepareTestHost, testHost, type TestHost } from '../machines/host.ts';
import { purseOf, type Purse } from '../tasks/purse.ts';
import { eventually } from '../tasks/world.ts';

/** One process's worth of environments over a database and a host. */
export type Plant = {
  environments: Environments;
  machines: Machines;
  ledger: Ledger;
  jobs: Jobs;
  stop(): Promise<void>;
};

/** A database, a host, the shipped dataset, and one plant that works. */
export type World = Plant &
  Purse & {
    db: Database;
    host: TestHost;
    /** Where contents are kept. */
    dir: string;
    clock: { now(): Date; advance(milliseconds: number): void };
    another(): Promise<Plant>;
    account(cents?: number): Promise<AccountId>;
    op(account: AccountId): AccountOp;
    system(): Op;
    /** Does at once what is due by the clock. */
    runDue(): Promise<void>;
    /** A session that is ready. */
    ready(account: AccountId, sampleId: string, more?: { ttlMinutes?: number; idleMinutes?: number }): Promise<Session>;
    settled(account: AccountId, id: string): Promise<Session>;
    run(account: AccountId, session: Session, command: string, timeoutSeconds?: number): Promise<Interaction>;
    graded(account: AccountId, session: Session): Promise<Verification>;
    close(): Promise<void>;
  };

export async function environmentsWorld(): Promise<World> {
  await prepareTestHost();
  const [host, database] = await Promise.all([testHost('crun'), testDatabase()]);
  await installJobs(database.ownerUrl);
  const dir = await mkdtemp(join(tmpdir(), 'freehold-environments-'));
  const clock = shiftedClock();
  const log = createLog({ level: 'fatal' });
  const { db, url } = database;
  const plants: Plant[] = [];
  const another = async (): Promise<Plant> => {
    const jobs = createJobs({ url, clock, log });
    const ledger = createLedger({ db });
    const machines = createMachines({ db, driver: host.driver, clock, log });
    const environments = createEnvironments({ db, clock, log, jobs, ledger, machines, dir });
    await jobs.start({ jobs: environments.jobs, sweeps: environments.sweeps, takes: 'all' });
    const plant = { environments, machines, ledger, jobs, stop: () => jobs.stop({ timeoutMs: 5_000 }) };
    plants.push(plant);
    return plant;
  };
  const plant = await another();
  const { environments } = plant;
  await environments.takeInStarter(systemOp());
  const purse = purseOf(plant.ledger, db);
  const op = (account: AccountId) => accountOp(account, { now: clock.now() });
  const settled = (account: AccountId, id: string) =>
    eventually(
      () => environments.session(op(account), id),
      ({ state }) => state !== 'creating',
    );
  return {
    ...plant,
    ...purse,
    db,
    host,
    dir,
    clock,
    another,
    op,
    settled,
    system: () => systemOp(clock.now()),
    runDue: async () => void (await plant.jobs.runDueNow(systemOp(clock.now()))),
    account: async (cents = 1_000) => {
      const account = uuidv7(new Date()) as AccountId;
      await purse.fund(account, cents);
      return account;
    },
    ready: async (account, sampleId, { ttlMinutes = 30, idleMinutes } = {}) => {
      const asked = await environments.open(op(account), { dataset: 'starter', sampleId, ttlMinutes, idleMinutes });
      const session = await settled(account, asked.id);
      expect(session).toMatchObject({ state: 'ready' });
      return session;
    },
    run: async (account, { id }, command, timeoutSeconds = 60) => {
      const begun = await environments.exec(op(account), id, { command, timeoutSeconds });
      return eventually(
        () => environments.interaction(op(account), id, begun.id),
        ({ exitCode }) => exitCode !== undefined,
      );
    },
    graded: async (account, { id }) => {
      const { verification } = await environments.verify(op(account), id);
      return eventually(
        async () => (await environments.verification(op(account), id, verification.id)).verification,
        ({ endedAt }) => endedAt !== undefined,
      );
    },
    close: async () => {
      for (const one of plants) await one.stop();
      await host.dispose();
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function shiftedClock() {
  let aheadMs = 0;
  return {
    now: () => new Date(Date.now() + aheadMs),
    advance: (milliseconds: number) => void (aheadMs += milliseconds),
  };
}

/** Expects that nothing of a session is left but its receipt. */
export async function expectGone(world: World, account: AccountId, id: string): Promise<Session> {
  const session = await eventually(
    () => world.environments.session(world.op(account), id),
    (seen) => hasEnded(seen) && seen.machineRemoved,
  );
  const machines = await world.machines.list(world.system());
  expect(machines.filter((machine) => machine.id === session.machineId)).toEqual([]);
  expect(await world.proof()).toMatchObject({ valid: true, discrepancies: [] });
  return session;
}
