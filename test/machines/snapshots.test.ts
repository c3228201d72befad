import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { outputOf } from '../../src/platform/run.ts';
import { newCopyName, prepareTestHost, RUNTIMES, SMALL, testHost, type TestHost } from './host.ts';

const FOREVER = new AbortController().signal;
const FORKS = 4;
const { diskGb } = SMALL;

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('a snapshot (%s)', (runtime) => {
  let host: TestHost;
  let id: MachineId;

  beforeAll(async () => {
    host = await testHost(runtime);
    id = await host.create();
  });
  afterAll(() => host.dispose());

  const text = async (machine: MachineId, command: string) => {
    const outcome = await host.sh(machine, command, { user: 'root' });
    expect({ ...outcome, stdout: '' }).toMatchObject({ kind: 'exited', exitCode: 0 });
    return outcome.stdout.toString().trim();
  };

  test('of a running machine holds what was written up to its moment, and nothing later', async () => {
    const name = newCopyName();
    await text(
      id,
      'echo before > /root/a; head -c 3000000 /dev/urandom > /root/bytes; mkdir /srv/d; chown 1000 /srv/d',
    );
    const sum = await text(id, 'sha256sum < /root/bytes');
    const { bytes } = await host.driver.snapshot(id, name, FOREVER);
    expect(bytes).toBeGreaterThan(3_000_000);
    await text(id, 'echo after > /root/a; rm /root/bytes');
    const copy = await host.create({ snapshot: name });
    expect(await text(copy, 'cat /root/a; stat -c %u /srv/d')).toBe('before\n1000');
    expect(await text(copy, 'sha256sum < /root/bytes')).toBe(sum);
    expect(await text(id, 'cat /root/a')).toBe('after');
    await host.driver.destroy(copy);
    await host.driver.removeSnapshot(name);
  });

  test('makes many machines, each with a name and a machine-id of its own, that do not see each other’s files', async () => {
    const name = newCopyName();
    await text(id, 'echo stolen > /etc/machine-id; echo shared > /root/shared');
    await host.driver.snapshot(id, name, FOREVER);
    const forks = await Promise.all(Array.from({ length: FORKS }, () => host.create({ snapshot: name })));
    await Promise.all(forks.map((fork, index) => text(fork, `echo ${index} >> /root/shared`)));
    const seen = await Promise.all(forks.map((fork) => text(fork, 'cat /root/shared')));
    expect(seen).toEqual(forks.map((_, index) => `shared\n${index}`));
    const names = await Promise.all(forks.map((fork) => text(fork, 'cat /etc/machine-id /etc/hostname; hostname')));
    expect(new Set(names).size).toBe(FORKS);
    expect(names.join('\n')).not.toContain('stolen');
    await Promise.all(forks.map((fork) => host.driver.destroy(fork)));
    await host.driver.removeSnapshot(name);
  });

  test('may become a larger disk, and never a smaller one', async () => {
    const name = newCopyName();
    await host.driver.snapshot(id, name, FOREVER);
    const larger = await host.create({ snapshot: name, limits: { ...SMALL, diskGb: 1 } });
    expect(Number(await text(larger, 'df -m --output=size / | tail -1'))).toBeGreaterThan(900);
    await host.driver.destroy(larger);
    await expect(host.create({ snapshot: name, limits: { ...SMALL, diskGb: 0.1 } })).rejects.toThrow();
    for (const { id: left } of await host.driver.list()) if (left !== id) await host.driver.destroy(left as MachineId);
    await host.driver.removeSnapshot(name);
  });

  test('of a paused machine leaves it paused, of a stopped one finds its disk', async () => {
    const [paused, stopped] = [newCopyName(), newCopyName()];
    const machine = await host.create();
    await text(machine, 'echo here > /root/file');
    await host.driver.pause(machine);
    await host.driver.snapshot(machine, paused, FOREVER);
    expect(await host.driver.list()).toContainEqual({ id: machine, state: 'paused' });
    await host.driver.stop(machine);
    await host.driver.snapshot(machine, stopped, FOREVER);
    await host.driver.destroy(machine);
    for (const name of [paused, stopped]) {
      const copy = await host.create({ snapshot: name });
      expect(await text(copy, 'cat /root/file')).toBe('here');
      await host.driver.destroy(copy);
    }
    expect((await host.driver.snapshots()).toSorted()).toEqual([paused, stopped].toSorted());
    for (const name of [paused, stopped, paused]) await host.driver.removeSnapshot(name);
    expect(await host.driver.snapshots()).toEqual([]);
  });

  test('goes as a stream to another host and is the same disk there, with only what is filled of it on the way', async () => {
    const [name, other] = [newCopyName(), newCopyName()];
    await text(id, 'head -c 5000000 /dev/urandom > /root/bytes; rm -f /root/a; ln -s /nowhere /root/a');
    const seen =
      'sha256sum < /root/bytes; readlink /root/a; find / -xdev -printf "%p %m %U %G %s\\n" 2>/dev/null | grep -v "^/\\(proc\\|sys\\|dev\\|run\\|tmp\\|etc\\|var/log\\)" | sort | sha256sum';
    await host.driver.snapshot(id, name, FOREVER);
    const packed = await buffer(host.driver.exportSnapshot(name, FOREVER));
    const again = await buffer(host.driver.exportSnapshot(name, FOREVER));
    expect(packed.equals(again)).toBe(true);
    expect(packed.length).toBeLessThan(SMALL.diskGb * 2 ** 30 * 0.8);
    const elsewhere = await testHost(runtime);
    try {
      const { bytes } = await elsewhere.driver.importSnapshot(
        other,
        { content: Readable.from(packed), diskGb },
        FOREVER,
      );
      expect(bytes).toBeGreaterThan(5_000_000);
      const [here, there] = [await host.create({ snapshot: name }), await elsewhere.create({ snapshot: other })];
      const found = await elsewhere.sh(there, seen, { user: 'root' });
      expect(found.stdout.toString().trim()).toBe(await text(here, seen));
      await host.driver.destroy(here);
    } finally {
      await elsewhere.dispose();
    }
    await host.driver.removeSnapshot(name);
  });

  test('that comes broken, cut short or as something else is none', async () => {
    const [name, other] = [newCopyName(), newCopyName()];
    await host.driver.snapshot(id, name, FOREVER);
    const packed = await buffer(host.driver.exportSnapshot(name, FOREVER));
    await host.driver.removeSnapshot(name);
    async function* breakingOff() {
      yield packed.subarray(0, 1_000_000);
      throw new Error('it broke off');
    }
    const imported = (content: AsyncIterable<Uint8Array>) =>
      host.driver.importSnapshot(other, { content, diskGb }, FOREVER);
    await expect(imported(breakingOff())).rejects.toThrow('it broke off');
    await expect(imported(Readable.from(packed.subarray(0, 1_000_000)))).rejects.toThrow();
    await expect(imported(Readable.from(randomBytes(100_000)))).rejects.toThrow();
    const trap = await mkdtemp(join(tmpdir(), 'freehold-trap-'));
    await symlink('/etc/passwd', join(trap, 'disk'));
    const archive = await buffer(
      outputOf(['tar', '--zstd', '--create', '--file=-', `--directory=${trap}`, 'disk'], { signal: FOREVER }),
    );
    await rm(trap, { recursive: true });
    await expect(imported(Readable.from(archive))).rejects.toThrow(/no disk/);
    const small = { content: Readable.from(packed), diskGb: diskGb / 2 };
    await expect(host.driver.importSnapshot(other, small, FOREVER)).rejects.toThrow();
    // Found wrong only when all of the disk has come already.
    async function* wrongAtTheEnd() {
      yield packed;
      yield Buffer.alloc(3_000_000);
      throw new Error('found wrong');
    }
    await expect(imported(wrongAtTheEnd())).rejects.toThrow('found wrong');
    // No archive from its middle on: whoever sent it is asked first what was wrong.
    async function* brokenAndWrong() {
      yield packed.subarray(0, packed.length / 2);
      yield randomBytes(packed.length / 2);
      throw new Error('found wrong');
    }
    await expect(imported(brokenAndWrong())).rejects.toThrow('found wrong');
    expect(await host.driver.snapshots()).toEqual([]);
    await expect(imported(Readable.from(packed))).resolves.toMatchObject({ bytes: expect.any(Number) });
    await host.driver.removeSnapshot(other);
    expect(await host.driver.snapshots()).toEqual([]);
    await expect(buffer(host.driver.exportSnapshot(name, FOREVER))).rejects.toThrow();
  });

  test('that fails leaves no copy', async () => {
    await expect(host.driver.snapshot('mch_unknown' as MachineId, newCopyName(), FOREVER)).rejects.toThrow();
    expect(await host.driver.snapshots()).toEqual([]);
  });
});
