import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { hostGoesDown } from '../harness/host-reboot.ts';
import { mortalServer, type MortalServer } from '../harness/mortal-server.ts';

let world: MortalServer;
beforeAll(async () => void (world = await mortalServer('restart', { cents: 100 })), 900_000);
afterAll(() => world?.dispose(), 60_000);

const ordered = async (label: string): Promise<string> => {
  const order = { label, planId: 'vc2-1c-1gb', regionId: 'ams', sshKey: world.me.publicKey };
  return (await world.call('POST', '/servers', order)).body.server.id;
};

test('servers outlive the process, and one that was being made when it was killed is made once', async () => {
  const { call, me, active } = world;
  const first = await ordered('one');
  const access = await active(first);
  expect((await me.ssh(access, 'echo $$ > /dev/shm/kept; echo kept > /root/kept')).exitCode).toBe(0);
  const second = await ordered('two');
  await world.killedAndBack(150);

  expect((await me.ssh(access, 'cat /root/kept && test -s /dev/shm/kept')).text).toBe('kept');
  expect((await me.ssh(await active(second), 'hostname')).text).toBe('two');
  expect(await world.machines()).toHaveLength(2);
  // Two hours of $0.0137, whatever has happened.
  expect((await call('GET', '/billing')).body).toEqual({ balance: '0.97', hourlySpend: '0.0274' });
  await world.destroyed(first, second);
}, 180_000);

test('servers come back when their host has gone down, with what was installed, their keys and their place, and those that were off stay off', async () => {
  const { call, me, active } = world;
  const [on, off] = [await ordered('on'), await ordered('off')];
  await active(off);
  expect((await call('POST', `/servers/${off}/stop`)).status).toBe(200);
  const access = await active(on);
  const control =
    'Package: hello-freehold\nVersion: 1.0\nArchitecture: all\nMaintainer: me <me@home>\nDescription: hi\n';
  const install = `set -e; mkdir -p p/DEBIAN p/usr/bin; cat > p/DEBIAN/control
    printf '#!/bin/sh\\necho hello\\n' > p/usr/bin/hello-freehold; chmod 755 p/usr/bin/hello-freehold
    dpkg-deb --root-owner-group --build p p.deb; dpkg -i p.deb; echo x > /dev/shm/gone
    printf '#!/bin/sh\\necho rc was here\\n' > /etc/rc.local; chmod +x /etc/rc.local; sync`;
  expect(await me.ssh(access, install, control)).toMatchObject({ exitCode: 0 });

  await world.process().stop('SIGKILL');
  await hostGoesDown(world.dataDir);
  await world.start();

  // The same key at the same port: strict checking as before.
  const seen = () => me.ssh(access, 'hello-freehold; hostname; nproc; free -m | awk "/Mem/ {print \\$2}"; ls /dev/shm');
  const { text } = await eventually(seen, ({ exitCode }) => exitCode === 0, 60_000, 500);
  expect(text.split('\n')).toEqual(['hello', 'on', '1', '1024']);
  await eventually(
    async () => (await call('GET', `/servers/${on}/console`)).body.console as string,
    (printed) => printed.split('rc was here').length === 2 && /has ended with 0/.test(printed),
  );
  expect((await call('GET', `/servers/${on}`)).body.server).toMatchObject({ status: 'ACTIVE', power: 'on' });
  expect((await call('GET', `/servers/${off}`)).body.server).toMatchObject({ status: 'ACTIVE', power: 'off' });
  await sleep(2_000);
  expect((await call('GET', `/servers/${off}`)).body.server.power).toBe('off');
  expect((await call('POST', `/servers/${off}/start`)).status).toBe(200);
  expect((await me.ssh(await active(off), 'hostname')).text).toBe('off');
  await world.destroyed(on, off);
}, 240_000);
