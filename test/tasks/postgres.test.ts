import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../src/platform/db.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { signal } from '../../src/platform/postgres/processes.ts';
import { dataDirectory, use } from '../postgres/holders.ts';
import { eventually, script, tasksWorld } from './world.ts';

test(
  'PostgreSQL is killed in the middle of a task: it goes on where it was, and every cent is there',
  { timeout: 240_000 },
  async () => {
    const postgres = await use(await dataDirectory());
    onTestFinished(() => postgres.stop());
    await migrate(postgres.ownerUrl);
    const db = openDatabase({ url: postgres.appUrl, onError: () => {} });
    const database = { db, url: postgres.appUrl, ownerUrl: postgres.ownerUrl, drop: () => db.close() };
    const world = await tasksWorld({ database });
    onTestFinished(() => world.close());
    const account = await world.account();
    const id = await world.order(account, script('echo one', 'sleep 3; echo two', 'echo three'));
    await eventually(
      () => world.steps(id),
      (steps) => steps.length === 4,
    );
    // For a moment after its postmaster a server process still answers: only another birth means that it came back.
    const born = async () => (await db.query<{ at: Date }>('select pg_postmaster_start_time() as at'))[0]?.at.getTime();
    const before = await born();
    signal(postgres.pid, 'SIGKILL');
    await eventually(
      () => born().catch(() => before),
      (at) => at !== before,
    );
    const task = await world.expectSettled(id);
    const interrupted = (await world.steps(id)).some((step) => step.kind === 'tool' && step.state === 'interrupted');
    expect(task).toMatchObject(
      interrupted
        ? { status: 'failed', error: { code: 'EXECUTION_ERROR' } }
        : { status: 'succeeded', result: { text: 'one\ntwo\nthree' } },
    );
    expect(await world.balance(account)).toBe(1_000 - (task.settled?.spentCents ?? Number.NaN));
  },
);
