import { expect, test } from 'vitest';
import { createSsh } from '../../src/domains/machines/index.ts';
import { listedWorld } from '../machines/listed-world.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me';
const NO_SSHD = 90;

const world = listedWorld();

test('a port that was given to a machine without an sshd is free again', async () => {
  const open = new Set<string>();
  const id = await world.started();
  const nothing = Buffer.alloc(0);
  const output = { stdout: nothing, stderr: nothing, stdoutTruncated: false, stderrTruncated: false, durationMs: 1 };
  const ssh = createSsh({
    db: world.database.db,
    machines: { ...world.machines, exec: async () => ({ ...output, kind: 'exited', exitCode: NO_SSHD }) },
    clock: world.clock,
    place: 'test-host',
    secret: Buffer.alloc(32),
    host: () => 'localhost',
    ports: { first: 40_001, last: 40_001 },
    listen: async ({ machineId }) => open.add(machineId).size > 0,
    unlisten: (machineId) => void open.delete(machineId),
  });
  await expect(ssh.open(world.op(), id, { authorizedKeys: [KEY] })).rejects.toMatchObject({ code: 'conflict' });
  expect(await ssh.doors()).toEqual([]);
  expect(open.size).toBe(0);
});
