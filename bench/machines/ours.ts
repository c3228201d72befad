import { uuidv7, type AccountId, type MachineId } from '../../src/kernel/ids.ts';
import type { Op } from '../../src/kernel/op.ts';
import { HOUR } from '../../src/kernel/time.ts';
import type { Machines } from '../../src/domains/machines/index.ts';
import { FILE_BYTES, FILE_PATH, LIMITS, type Contender } from './contender.ts';

/** The machines domain as it is: rows, facts, a disk, a network and the init in each machine. */
export function ourMachines(machines: Machines): Contender {
  const accountId = uuidv7(new Date()) as AccountId;
  const op = (): Op => ({
    actor: { kind: 'system', name: 'bench' },
    requestId: 'bench',
    now: new Date(),
    signal: new AbortController().signal,
  });
  const request = { accountId, purpose: 'bench', limits: LIMITS, network: 'egress', leaseMs: HOUR } as const;
  const known = new Set<string>();
  const exec = async (id: string) => {
    const outcome = await machines.exec(op(), id as MachineId, { command: ['true'] });
    if (outcome.kind !== 'exited' || outcome.exitCode !== 0)
      throw new Error(`A command failed: ${JSON.stringify(outcome)}`);
  };
  return {
    start: async () => (await machines.start(op(), request)).id,
    exec,
    readFile: async (id) => {
      if (!known.has(id)) await machines.writeFile(op(), id as MachineId, FILE_PATH, Buffer.alloc(FILE_BYTES));
      known.add(id);
      await machines.readFile(op(), id as MachineId, FILE_PATH, { maxBytes: FILE_BYTES });
    },
    snapshot: async (id) => {
      const { id: snapshot } = await machines.snapshot(op(), id as MachineId, {});
      return () => machines.removeSnapshot(op(), snapshot);
    },
    fork: async (id, count) => {
      const { id: snapshot } = await machines.snapshot(op(), id as MachineId, {});
      const forks = await Promise.all(
        Array.from({ length: count }, async () => {
          const fork = await machines.start(op(), { ...request, snapshot });
          await exec(fork.id);
          return fork.id;
        }),
      );
      await machines.removeSnapshot(op(), snapshot);
      return forks;
    },
    pause: async (id) => void (await machines.pause(op(), id as MachineId)),
    wake: async (id) => {
      await machines.resume(op(), id as MachineId);
      await exec(id);
    },
    destroy: (id) => machines.destroy(op(), id as MachineId),
  };
}
