import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Task } from '../../src/domains/tasks/index.ts';
import type { TaskId } from '../../src/kernel/ids.ts';
import type { Doom } from './doomed.ts';
import type { World } from './world.ts';

const DOOMED = path.join(import.meta.dirname, 'doomed.ts');
export const NEVER = { commit: 0, moment: 'after' } as const;

/** A worker process over the world's database and host that dies where it is told to. */
export function doomed(world: World, doom: Pick<Doom, 'commit' | 'moment'>): ChildProcess {
  const all: Doom = { url: world.database.url, providerUrl: world.provider.url, host: world.host.options, ...doom };
  return spawn(process.execPath, [DOOMED, JSON.stringify(all)], { stdio: ['pipe', 'pipe', 'inherit'] });
}

export async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Halts a process where it holds no lock, in no transaction: the others are to go on without it. */
export async function stop(world: World, child: ChildProcess): Promise<void> {
  for (;;) {
    child.kill('SIGSTOP');
    const held = await world.db.query(
      `select 1 from pg_stat_activity where datname = current_database() and state = 'idle in transaction'
       union all
       select 1 from pg_locks join pg_database d on d.oid = database
        where datname = current_database() and locktype = 'advisory'`,
    );
    if (held.length === 0) return;
    child.kill('SIGCONT');
  }
}

/** As if the time for which the dead worker had its tasks were over. */
export const leasesEnd = (world: World) =>
  world.db.query(`update tasks set owned_until = clock_timestamp() where owner is not null`);

/** Another worker takes up what the dead one left. */
export async function recovered(world: World, id: TaskId): Promise<Task> {
  const successor = await world.another();
  try {
    return await world.expectSettled(id);
  } finally {
    await successor.stop();
  }
}
