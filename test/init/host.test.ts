import { spawn } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatCommand, untilUnused } from '../../src/domains/machines/drivers/oci/disk.ts';
import { must, run } from '../../src/platform/run.ts';
import { eventually } from '../harness/agent.ts';
import { BUILDS } from './machine.ts';

const OWNER = '7000000';
const DISK_BYTES = 64 * 2 ** 20;
const AT_ONCE = 12;

/** What a machine's directory has before its mounts are made, with a disk that nothing was on. */
async function emptyMachine(parent: string, name: string): Promise<{ dir: string; disk: string; socket: string }> {
  const dir = join(parent, name);
  const disk = join(parent, `${name}.ext4`);
  for (const path of [dir, ...['disk', 'dev', 'rootfs', 'lower', 'init'].map((each) => join(dir, each))])
    await mkdir(path);
  await mkdir(join(dir, 'init/.freehold'));
  await writeFile(join(dir, 'init/.freehold/init'), 'ours');
  await writeFile(join(dir, 'lower/greeting'), 'from the image');
  await writeFile(disk, '');
  await truncate(disk, DISK_BYTES);
  await must(formatCommand(disk));
  return { dir, disk, socket: join(dir, 'socket') };
}

/** Runs a command to its end, whatever that is, with what it said as text. */
async function ran(command: string[]): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
  const outcome = await run(command);
  const exitCode = outcome.kind === 'exited' ? outcome.exitCode : undefined;
  return { exitCode, stdout: outcome.stdout.toString(), stderr: outcome.stderr.toString() };
}

describe.each(BUILDS)('the init on the host, $build', ({ program }) => {
  let init: string;
  let parent: string;

  beforeAll(async () => {
    init = await program();
    parent = await mkdtemp(join(tmpdir(), 'freehold-host-'));
  }, 120_000);
  afterAll(() => rm(parent, { recursive: true, force: true }));

  const assembled = (
    { dir, disk, socket }: { dir: string; disk: string; socket: string },
    script: string,
    hidden = '',
    owner = OWNER,
  ) => ran([init, 'assemble', hidden, dir, disk, owner, 'listen', socket, '--', '/bin/sh', '-e', '-c', script]);

  test('shows the image under what the machine writes, and the host sees none of the mounts', async () => {
    const machine = await emptyMachine(parent, 'seen');
    const first = await assembled(
      machine,
      'cat rootfs/greeting rootfs/.freehold/init; echo kept > rootfs/file; stat -c %u:%g disk/upper',
    );
    expect(first).toMatchObject({ exitCode: 0, stdout: `from the imageours${OWNER}:${OWNER}\n` });
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toContain(machine.dir);
    await untilUnused(machine.disk);
    expect((await assembled(machine, 'cat rootfs/file')).stdout).toBe('kept\n');
    expect((await lstat(machine.socket)).isSocket()).toBe(true);
  });

  test('gives it devices that are copies: what happens to them does not happen to the host', async () => {
    const machine = await emptyMachine(parent, 'devices');
    const { stdout } = await assembled(machine, 'chmod 600 /dev/null; ls /dev; stat -c "%a %t:%T" /dev/null /dev/tty');
    expect(stdout.trim().split('\n')).toEqual([
      'full',
      'null',
      'random',
      'tty',
      'urandom',
      'zero',
      '600 1:3',
      '666 5:0',
    ]);
    expect((await lstat('/dev/null')).mode & 0o777).toBe(0o666);
  });

  test('takes away what a machine put in the place of its first process, and follows none of it', async () => {
    const machine = await emptyMachine(parent, 'replaced');
    const outside = join(parent, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'init'), 'the host’s');
    await assembled(machine, `rm -rf rootfs/.freehold; ln -s ${outside} rootfs/.freehold`);
    await untilUnused(machine.disk);
    expect((await assembled(machine, 'cat rootfs/.freehold/init')).stdout).toBe('ours');
    await untilUnused(machine.disk);
    await assembled(machine, `echo theirs > rootfs/.freehold/init; ln -s ${outside} rootfs/.freehold/more`);
    await untilUnused(machine.disk);
    expect((await assembled(machine, 'cat rootfs/.freehold/*')).stdout).toBe('ours');
    expect(await readFile(join(outside, 'init'), 'utf8')).toBe('the host’s');
  });

  test('hides a mount from the command', async () => {
    const { dir, disk, socket } = await emptyMachine(parent, 'hidden');
    const hidden = join(parent, 'mounted');
    await mkdir(hidden);
    const mounted = 'mount -t tmpfs -o size=64k tmpfs "$0"; echo there > "$0/file"; exec "$@"';
    const command = [init, 'assemble', hidden, dir, disk, OWNER, 'listen', socket, '--', 'ls', '-A', hidden, '/dev'];
    const { stdout } = await ran(
      ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-e', '-c', mounted, hidden].concat(command),
    );
    expect(stdout.split('\n')).not.toContain('file');
    expect(stdout.split('\n')).toContain('null');
  });

  test('many at once have a loop device each', async () => {
    const machines = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) => emptyMachine(parent, `together${index}`)),
    );
    const outcomes = await Promise.all(
      machines.map((machine, index) => assembled(machine, `echo ${index} > rootfs/own; sleep 0.3; cat rootfs/own`)),
    );
    expect(outcomes.map(({ stdout }) => stdout.trim())).toEqual(machines.map((_, index) => String(index)));
    await Promise.all(machines.map(({ disk }) => untilUnused(disk)));
  });

  test('says what is wrong, runs nothing then, and keeps no loop device', async () => {
    const machine = await emptyMachine(parent, 'wrong');
    const link = join(parent, 'link.ext4');
    await symlink(machine.disk, link);
    const noDisk = join(parent, 'zeros');
    await writeFile(noDisk, '');
    await truncate(noDisk, DISK_BYTES);
    const wrong = [
      [assembled({ ...machine, disk: `${machine.disk}.gone` }, 'echo ran'), 'gone: No such file'],
      [assembled({ ...machine, disk: link }, 'echo ran'), 'Too many levels of symbolic links'],
      [assembled({ ...machine, disk: noDisk }, 'echo ran'), 'zeros: Invalid argument'],
      [assembled({ ...machine, dir: `${machine.dir}-gone` }, 'echo ran'), 'wrong-gone: No such file'],
      [assembled(machine, 'echo ran', '/nowhere'), '/nowhere: No such file'],
      [assembled(machine, 'echo ran', '', 'root'), 'root: Invalid argument'],
      [ran([init, 'bound', '0', '--', 'echo', 'ran']), '/proc/0/ns/user: No such file'],
      [ran([init, 'bound', '1']), 'usage:'],
      [ran([init, 'boot', '0', '--', 'echo', 'ran']), '/proc/0/ns/mnt: No such file'],
      [ran([init, 'link', '0', '', '', '--', 'echo', 'ran']), '/proc/0/ns/net: No such file'],
      [
        ran([init, 'link', String(process.pid), 'link nonsense', '', 'listen', '/nowhere/x', '--', 'echo', 'ran']),
        '"nonsense" is unknown',
      ],
    ] as const;
    for (const [outcome, reason] of wrong) {
      expect(await outcome).toMatchObject({ stdout: '', stderr: expect.stringContaining(reason) });
      expect(await outcome).not.toMatchObject({ exitCode: 0 });
    }
    await untilUnused(noDisk);
    await untilUnused(machine.disk);
  });

  test('bounds the file watches of a machine by its user namespace, not the host’s', async () => {
    const setting = '/proc/sys/user/max_inotify_instances';
    const before = await readFile(setting, 'utf8');
    const machine = spawn('unshare', ['--user', '--map-root-user', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const space = `/proc/${machine.pid}/ns/user`;
    try {
      const own = await readlink('/proc/self/ns/user');
      await eventually(
        () => readlink(space),
        (seen) => seen !== own,
      );
      const { stdout } = await ran([init, 'bound', String(machine.pid), '--', 'cat', setting]);
      expect(stdout).toBe(before);
      expect((await ran(['nsenter', `--user=${space}`, 'cat', setting])).stdout).toBe('1024\n');
    } finally {
      machine.kill();
    }
    expect(await readFile(setting, 'utf8')).toBe(before);
  });

  test('gives a machine a boot id of its own, of which the host sees nothing', async () => {
    const shown = '/proc/sys/kernel/random/boot_id';
    const before = await readFile(shown, 'utf8');
    const mounts = await readFile('/proc/self/mounts', 'utf8');
    const machine = spawn('unshare', ['--mount', '--propagation', 'private', 'cat'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    const space = `/proc/${machine.pid}/ns/mnt`;
    const own = await readlink('/proc/self/ns/mnt');
    try {
      await eventually(
        () => readlink(space),
        (seen) => seen !== own,
      );
      const { stdout } = await ran([init, 'boot', String(machine.pid), '--', 'cat', shown]);
      expect(stdout).toBe(before);
      const inside = (await ran(['nsenter', `--mount=${space}`, 'cat', shown])).stdout;
      expect(inside).toMatch(/^[0-9a-f-]{36}\n$/);
      expect(inside).not.toBe(before);
    } finally {
      machine.kill();
    }
    expect(await readFile('/proc/self/mounts', 'utf8')).toBe(mounts);
  });

  test('links a machine to the host, each side in its own network, and then goes on', async () => {
    const name = `fht${process.pid}`;
    const machine = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const space = `/proc/${machine.pid}/ns/net`;
    const own = await readlink('/proc/self/ns/net');
    try {
      await eventually(
        () => readlink(space),
        (seen) => seen !== own,
      );
      const onHost = `link add name ${name} type veth peer name eth0 netns ${machine.pid}\n`;
      const inMachine = 'link set dev lo up\nlink set dev eth0 up\n';
      const link = [init, 'link', String(machine.pid), onHost, inMachine, 'listen', join(parent, 'linked'), '--'];
      const { stdout } = await ran(link.concat('nsenter', `--net=${space}`, 'ip', '-oneline', 'link', 'show', 'up'));
      expect(stdout).toMatch(/^1: lo: [^\n]+\n\d+: eth0@/);
      expect(await readlink('/proc/self/ns/net')).toBe(own);
      expect((await ran(['ip', 'link', 'show', 'dev', name])).exitCode).toBe(0);
    } finally {
      machine.kill();
    }
  });
});
