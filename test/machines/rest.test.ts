import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { openOciDriver } from '../../src/domains/machines/drivers/oci/index.ts';
import { must } from '../../src/platform/run.ts';
import { prepareTestHost, RUNTIMES, SMALL, testHost, type TestHost } from './host.ts';

const FOREVER = new AbortController().signal;
const COUNTER = 'i=0; while true; do i=$((i + 1)); echo $i > /home/user/count; sleep 0.01; done';

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('a machine that rests (%s)', (runtime) => {
  let host: TestHost;

  beforeAll(async () => {
    host = await testHost(runtime);
  });
  afterAll(() => host.dispose());

  const spec = (id: MachineId) => ({ id, image: 'base', limits: SMALL, network: 'egress' as const });
  const text = async (id: MachineId, command: string, user?: string) => {
    const outcome = await host.sh(id, command, user === undefined ? {} : { user });
    expect(outcome).toMatchObject({ kind: 'exited', exitCode: 0 });
    return outcome.stdout.toString().trim();
  };
  const background = (id: MachineId, command: string) =>
    host.init(id).start({
      argv: ['/bin/bash', '-c', command],
      cwd: '/home/user',
      env: { PATH: '/usr/bin:/bin' },
      user: 'user',
      stdin: false,
      onDisconnect: 'keep',
    });

  test('paused, uses no processor and loses no process, and goes on where it was', async () => {
    const id = await host.create();
    const run = await background(id, COUNTER);
    await host.driver.pause(id);
    await host.driver.pause(id);
    expect(await host.driver.list()).toContainEqual({ id, state: 'paused' });
    const before = (await host.driver.usage(id))?.cpuSeconds;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await host.driver.usage(id))?.cpuSeconds).toBe(before);
    await host.driver.resume(id);
    await host.driver.resume(id);
    expect(await host.driver.list()).toContainEqual({ id, state: 'running' });
    const count = Number(await text(id, 'cat count'));
    expect(Number(await text(id, 'sleep 0.3; cat count'))).toBeGreaterThan(count);
    expect((await host.init(id).runs()).map(({ pid }) => pid)).toContain(run.pid);
    run.close();
    await host.driver.destroy(id);
  });

  test('that is paused can be destroyed', async () => {
    const id = await host.create();
    await host.driver.pause(id);
    await host.driver.destroy(id);
    expect((await host.driver.list()).map((found) => found.id)).not.toContain(id);
  });

  test('stopped, ends its processes politely and keeps its disk, from which it boots again', async () => {
    const id = await host.create();
    const run = await background(
      id,
      `trap 'echo asked > /home/user/said; exit 0' TERM; echo up; while true; do sleep 0.05; done`,
    );
    for await (const event of run) if (event.kind === 'output') break;
    await text(id, 'echo kept > file; sudo apt-get --version > /dev/null; sudo sh -c "echo mine > /etc/mine"');
    const bootId = await text(id, 'cat /proc/1/stat | cut -d" " -f22');
    await host.driver.stop(id);
    await host.driver.stop(id);
    expect(await host.driver.list()).toContainEqual({ id, state: 'remains' });
    expect((await host.sh(id, 'true')).kind).toBe('lost');
    await host.driver.boot(spec(id), FOREVER);
    expect(await host.driver.list()).toContainEqual({ id, state: 'running' });
    expect(await text(id, 'cat file said /etc/mine')).toBe('kept\nasked\nmine');
    expect(await text(id, 'cat /proc/1/stat | cut -d" " -f22')).not.toBe(bootId);
    await host.driver.destroy(id);
  });

  test('has a boot id of its own, for as long as it has not started anew', async () => {
    const [id, other] = await Promise.all([host.create(), host.create({ network: 'none' })]);
    const bootId = (of: MachineId) => text(of, 'cat /proc/sys/kernel/random/boot_id');
    const hosts = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const before = [hosts, await bootId(id), await bootId(other)];
    for (const shown of before) expect(shown).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(new Set(before).size).toBe(3);
    await host.driver.pause(id);
    await host.driver.resume(id);
    expect(await bootId(id)).toBe(before[1]);
    await host.driver.stop(id);
    await host.driver.boot(spec(id), FOREVER);
    expect(before).not.toContain(await bootId(id));
    const written = await host.sh(id, 'echo x > /proc/sys/kernel/random/boot_id', { user: 'root' });
    expect(written.stderr.toString()).toMatch(/read-only/i);
    await Promise.all([host.driver.destroy(id), host.driver.destroy(other)]);
  });

  test('boots with what there is where its host went down and left the disk in disorder', async () => {
    const id = await host.create();
    await text(id, 'mkdir -p here/gone/found; echo kept > here/file; echo found > here/gone/found/file');
    await host.driver.stop(id);
    const disk = join(host.dataDir, 'machines', `${id}.ext4`);
    await must(['debugfs', '-w', '-R', 'clri /upper/home/user/here/gone', disk]);
    await host.driver.boot(spec(id), FOREVER);
    expect(await text(id, 'cat here/file; ls here')).toBe('kept\nfile');
    await host.driver.destroy(id);
  });

  test('boots over the base image that it was made from, whatever is the base image by then', async () => {
    const { baseImage } = host.driver;
    const id = await host.create({ image: baseImage });
    expect(await host.driver.isCurrent(id)).toBe(true);
    await text(id, 'sudo sh -c "echo mine > /etc/mine"');
    const images = join(host.options.images.base, '../..');
    const newer = {
      ...host.options,
      images: { ...host.options.images, base: join(images, 'base-ffffffffffffffff/rootfs') },
    };
    const upgraded = await openOciDriver(newer);
    expect(await upgraded.isCurrent(id)).toBe(false);
    await upgraded.stop(id);
    await upgraded.boot({ ...spec(id), image: baseImage }, FOREVER);
    expect(await text(id, 'cat /etc/mine; readlink -e /bin/bash')).toBe('mine\n/usr/bin/bash');
    await upgraded.stop(id);
    await expect(upgraded.boot({ ...spec(id), image: 'base-0000000000000000' }, FOREVER)).rejects.toMatchObject({
      code: 'conflict',
      message: 'The base image that this disk belongs to is not on the server any more.',
    });
    await upgraded.destroy(id);
  });

  test('is stopped within seconds, also where a process will not hear of it', async () => {
    const id = await host.create();
    const run = await background(id, `trap '' TERM; echo up; while true; do sleep 0.05; done`);
    for await (const event of run) if (event.kind === 'output') break;
    await host.driver.stop(id);
    expect((await host.sh(id, 'true')).kind).toBe('lost');
    await host.driver.destroy(id);
  });
});
