import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import type { TestHost } from './host.ts';
import { machinesWorld } from './machines-world.ts';

const world = machinesWorld();
const { op, started } = world;
let host: TestHost;
let machines: Machines;

beforeEach(() => {
  ({ host, machines } = world);
});

describe('files of a machine', () => {
  let id: MachineId;
  beforeEach(async () => {
    id = await started();
  });
  const sh = async (command: string, user: 'user' | 'root' = 'user') => {
    const outcome = await machines.exec(op(), id, { command, user });
    expect(outcome).toMatchObject({ kind: 'exited', exitCode: 0 });
    return outcome.stdout.toString().trim();
  };
  const read = (path: string, maxBytes = 20_000_000) => machines.readFile(op(), id, path, { maxBytes });

  test('come back as they were written, ten megabytes of anything too', async () => {
    const bytes = randomBytes(10_000_000);
    await machines.writeFile(op(), id, 'deep/er/file.bin', bytes);
    expect((await read('/home/user/deep/er/file.bin')).equals(bytes)).toBe(true);
    expect(await sh('stat -c "%U %a %s" deep/er/file.bin')).toBe('user 644 10000000');
    await machines.writeFile(op(), id, 'empty', '');
    expect(await read('empty')).toEqual(Buffer.alloc(0));
    const strange = `od'd "name" $(x) *\n.txt`;
    await machines.writeFile(op(), id, strange, 'é');
    expect((await read(strange)).toString()).toBe('é');
  });

  test('keep their mode when written again, and get the one that is asked for', async () => {
    await machines.writeFile(op(), id, 'run.sh', 'one', { mode: '750' });
    await machines.writeFile(op(), id, 'run.sh', 'two');
    expect(await sh('stat -c %a run.sh; cat run.sh; ls -A')).toMatch(/^750\ntwo/);
    expect(await sh('ls -A | grep -c freehold; true')).toBe('0');
    await expect(machines.writeFile(op(), id, 'x', '', { mode: '4755; id' })).rejects.toMatchObject({
      code: 'invalid',
    });
  });

  test('that are too large, missing, closed or no files are told apart', async () => {
    await sh('head -c 100 /dev/zero > hundred; mkdir dir; mkfifo pipe; ln -s nowhere dangling');
    const cases: [string, string][] = [
      ['hundred', 'too_large'],
      ['missing', 'not_found'],
      ['dangling', 'not_found'],
      ['dir', 'invalid'],
      ['pipe', 'invalid'],
      ['/dev/zero', 'invalid'],
      ['/etc/shadow', 'forbidden'],
      ['', 'invalid'],
      ['a\0b', 'invalid'],
    ];
    for (const [path, code] of cases) await expect(read(path, 99)).rejects.toMatchObject({ code });
    expect((await read('hundred', 100)).length).toBe(100);
    for (const [path, code] of [
      ['/etc/x', 'forbidden'],
      ['dir', 'invalid'],
      ['pipe', 'invalid'],
      ['/dev/null', 'invalid'],
      ['hundred/x', 'invalid'],
    ] as const)
      await expect(machines.writeFile(op(), id, path, 'x')).rejects.toMatchObject({ code });
  });

  test('a full disk loses nothing of the old content', async () => {
    await machines.writeFile(op(), id, 'kept', 'precious');
    await machines.exec(op(), id, { command: 'cat /dev/zero > fill' });
    await expect(machines.writeFile(op(), id, 'kept', randomBytes(1_000_000))).rejects.toMatchObject({
      code: 'too_large',
    });
    expect((await read('kept')).toString()).toBe('precious');
  });

  test('a planted link, "..", mount or magic link leads to the machine only', async () => {
    const hostFile = `${host.dataDir}/planted`;
    await sh(
      `ln -s ${hostFile} link; ln -s / root; ln -s /proc/1/root proc; sudo mkdir -p ${host.dataDir}; sudo chmod 777 ${host.dataDir}`,
    );
    for (const path of ['link', `root${hostFile}`, `../../../../../..${hostFile}`, `proc${hostFile}`]) {
      await machines.writeFile(op(), id, path, 'from the machine', { user: 'root' }).catch((error: unknown) => error);
      await expect(stat(hostFile)).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(
      (await machines.readFile(op(), id, '../../../../../../etc/hostname', { maxBytes: 100 })).toString().trim(),
    ).toBe(await sh('hostname'));
    await expect(
      machines.readFile(op(), id, `/proc/1/root${host.dataDir}/machines/${id}.ext4`, { maxBytes: 10, user: 'root' }),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a machine that stands still cannot hold one who gives up', async () => {
    await machines.writeFile(op(), id, 'file', 'x');
    await host.driver.pause(id);
    const hurry = AbortSignal.timeout(500);
    await expect(machines.readFile({ ...op(), signal: hurry }, id, 'file', { maxBytes: 10 })).rejects.toThrow(
      'timeout',
    );
    await host.driver.resume(id);
    expect((await read('file')).toString()).toBe('x');
  });

  test('are listed by name, whatever they are called', async () => {
    await sh(
      `mkdir list && cd list && mkdir dir && echo abc > file && ln -s file link && touch "$(printf 'a\\tb\\nc')" && mkfifo pipe && chmod 600 file`,
    );
    const { entries, truncated } = await machines.listFiles(op(), id, 'list');
    expect(truncated).toBe(false);
    expect(entries.map(({ name, kind }) => [name, kind])).toEqual([
      ['a\tb\nc', 'file'],
      ['dir', 'directory'],
      ['file', 'file'],
      ['link', 'symlink'],
      ['pipe', 'other'],
    ]);
    expect(entries.find(({ name }) => name === 'file')).toMatchObject({
      size: 4,
      mode: '600',
      modifiedAt: expect.any(Date),
    });
    await expect(machines.listFiles(op(), id, 'list/file')).rejects.toMatchObject({ code: 'invalid' });
    await expect(machines.listFiles(op(), id, 'nowhere')).rejects.toMatchObject({ code: 'not_found' });
  });

  test("are reached without the machine's own programs, which may lie", async () => {
    await sh(`printf '#!/bin/sh\\necho lie\\n' > lie && chmod +x lie`);
    await sh('for name in find head cat stat mv mktemp readlink; do cp /home/user/lie /usr/bin/$name; done', 'root');
    await machines.writeFile(op(), id, 'new/file', 'truth');
    expect((await read('new/file')).toString()).toBe('truth');
    expect((await machines.listFiles(op(), id, 'new')).entries).toMatchObject([{ name: 'file', size: 5 }]);
  });
});
