import { eventually } from '../harness/agent.ts';
import type { TestServer } from '../harness/server.ts';

const PATIENCE_MS = 30_000;

/** Has every server of the installation removed, whatever has become of it: its machine would outlive the test. */
export async function leaveNothing({ db }: TestServer): Promise<void> {
  await db.transact((tx) =>
    tx.query(
      `update servers
          set state = 'destroying', moving = null, paid_until = null, suspended_at = null, failure = null,
              ended_at = null, touched_at = touched_at - interval '1 hour'
        where state <> 'destroyed'`,
    ),
  );
  const left = () => db.query(`select id from servers where state <> 'destroyed'`);
  await eventually(left, (rows) => rows.length === 0, PATIENCE_MS);
}
