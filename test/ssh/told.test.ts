import { expect, test } from 'vitest';
import { hostKeyOf } from '../../src/domains/machines/ssh-keys.ts';
import { settleServer } from '../../src/domains/machines/ssh-server.ts';
import { machinesWorld } from '../machines/machines-world.ts';

const world = machinesWorld();

test('a password is taken no more once a key has replaced it, also where who replaced it died half-way', async () => {
  const { machines } = world;
  const id = await world.started();
  const hostKey = hostKeyOf(Buffer.alloc(32, 1), id);
  const server = { authorizedKeys: [], login: 'root', password: true, hostKey, address: undefined } as const;
  const waysIn = async () => {
    const command = 'ssh -o StrictHostKeyChecking=no -o BatchMode=yes root@127.0.0.1 true';
    const outcome = await machines.exec(world.op(), id, { command, user: 'root' });
    return /Permission denied \((.*)\)/.exec(outcome.stderr.toString())?.[1];
  };
  await settleServer(machines, world.op(), id, { ...server, newPassword: 'a-long-password' });
  expect(await waysIn()).toBe('publickey,password');
  const dying = { ...machines, signalRun: () => Promise.reject(new Error('died')) };
  await expect(settleServer(dying, world.op(), id, { ...server, password: false })).rejects.toThrow('died');
  await settleServer(machines, world.op(), id, { ...server, password: false });
  await expect.poll(waysIn).toBe('publickey');
});
