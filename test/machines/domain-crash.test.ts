import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { machinesWorld } from './machines-world.ts';

const world = machinesWorld();
const { op, started } = world;
let machines: Machines;
let id: MachineId;

beforeEach(async () => {
  ({ machines } = world);
  id = await started({ network: 'egress' });
});

const LONGEST_LIFE_MS = 120;
const PATIENCE_MS = 300_000;

/** A server that is killed at some moment while it does these with the machine. */
async function killedAt(moment: number, verbs: string): Promise<void> {
  const { onStep: _, ...options } = world.host.options;
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'rest-child.ts'), JSON.stringify(options), world.database.url, id, verbs],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  await sleep(moment);
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const text = async (command: string) => {
  const outcome = await machines.exec(op(), id, { command });
  expect(outcome).toMatchObject({ kind: 'exited', exitCode: 0 });
  return outcome.stdout.toString().trim();
};

/** What the next server does when it comes up, and then somebody wants the machine. */
async function wake(): Promise<void> {
  // As if the seconds had passed after which one that says nothing more is taken for dead.
  await world.database.db.query(`update machines set busy_until = clock_timestamp() where busy_until is not null`);
  expect((await machines.sweep(op())).removed).toEqual([]);
  const { state } = await machines.get(op(), id);
  if (state === 'stopped') await machines.boot(op(), id);
  else await machines.resume(op(), id);
}

describe('a server that is killed again and again', () => {
  test(
    'while it pauses and resumes a machine loses no process and no byte of it',
    async () => {
      const counter = 'n=0; while :; do n=$((n+1)); echo $n >> counted; sleep 0.01; done';
      const run = await machines.run(op(), id, { command: counter, tag: 'counter' });
      run.close();
      for (let cycle = 0; cycle < 50; cycle++) {
        await killedAt(randomInt(LONGEST_LIFE_MS), 'pause,resume');
        await wake();
        expect(await machines.runs(op(), id)).toMatchObject([{ pid: run.pid, tag: 'counter' }]);
      }
      await machines.signalRun(op(), id, { tag: 'counter' }, 9);
      const counted = (await text('cat counted')).split('\n').map(Number);
      expect(counted.length).toBeGreaterThan(50);
      expect(counted.every((number, index) => number === index + 1)).toBe(true);
      const facts = await world.database.db.query<{ type: string; state: string }>(
        `select type from facts where subject = $1 and type in ('machine.paused', 'machine.resumed') order by seq`,
        [id],
      );
      // Each pause is told once before it is resumed, whoever did either.
      expect(facts.every(({ type }, index) => type === (index % 2 === 0 ? 'machine.paused' : 'machine.resumed'))).toBe(
        true,
      );
    },
    PATIENCE_MS,
  );

  test(
    'while it stops, starts and copies a machine loses nothing of its disk and leaves no half copy',
    async () => {
      for (let cycle = 0; cycle < 12; cycle++) {
        await text(`echo ${cycle} >> cycles; sync`);
        await killedAt(randomInt(LONGEST_LIFE_MS * 5), 'stop,boot,snapshot');
        await wake();
      }
      expect(await text('cat cycles')).toBe(Array.from({ length: 12 }, (_, cycle) => cycle).join('\n'));
      await world.database.db.query(`update machine_snapshots set taking_until = now() where bytes is null`);
      await machines.sweep(op());
      const kept = (await machines.listSnapshots(op(), { limit: 100 })).rows.map(({ copy }) => copy as string);
      expect((await world.host.driver.snapshots()).toSorted()).toEqual(kept.toSorted());
    },
    PATIENCE_MS,
  );
});
