import { readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { prepareTestHost, RUNTIMES, testHost, type TestHost } from './host.ts';

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('the wall around a machine (%s)', (runtime) => {
  let host: TestHost;
  let id: MachineId;

  beforeAll(async () => {
    process.env['FREEHOLD_TEST_SECRET'] = 'of the host';
    host = await testHost(runtime);
    id = await host.create();
  });
  afterAll(() => host.dispose());

  /** What root of the machine gets to see. */
  const asRoot = async (command: string) => {
    const outcome = await host.sh(id, command, { user: 'root' });
    return {
      code: outcome.kind === 'exited' ? outcome.exitCode : outcome.kind,
      text: outcome.stdout.toString() + outcome.stderr.toString(),
    };
  };

  test("the host's environment, name and processes are not to be seen", async () => {
    const environment = (await asRoot('cat /proc/[0-9]*/environ | tr "\\0" "\\n" | cut -d= -f1 | sort -u')).text;
    for (const name of ['FREEHOLD_TEST_SECRET', 'VITEST', 'NODE_OPTIONS', 'npm_config_cache'])
      expect(environment).not.toContain(name);
    expect((await asRoot('hostname; uname -n; cat /etc/hostname')).text).not.toContain(hostname());
    const processes = (await asRoot('ps -eo comm=')).text.trim().split(/\s+/);
    expect(processes.filter((name) => !['init', 'freehold-run', 'sh', 'bash', 'ps'].includes(name))).toEqual([]);
  });

  test("the host's files are not to be found, through no process's root and no mount", async () => {
    const secret = `host-only-${process.pid}`;
    const path = join(host.dataDir, 'secret');
    await writeFile(path, secret, { mode: 0o644 });
    const ways = [
      '',
      '/proc/1/root',
      '/proc/[0-9]*/root',
      '/proc/[0-9]*/cwd',
      '/proc/self/fd/[0-9]*/../..',
      '/../../..',
    ];
    const tried = await asRoot(`cat ${ways.map((way) => way + path).join(' ')}; ls ${import.meta.dirname}`);
    expect(tried.code).not.toBe(0);
    expect(tried.text).not.toContain(secret);
    const mounts = (await asRoot('cat /proc/1/mountinfo')).text;
    for (const hostPath of [host.dataDir, '/run/freehold', '.cache', import.meta.dirname])
      expect(mounts).not.toContain(hostPath);
    const kinds = new Set(
      mounts
        .trim()
        .split('\n')
        .map((line) => line.split(' - ')[1]?.split(' ')[0]),
    );
    const expected = ['cgroup', 'cgroup2', 'devpts', 'mqueue', 'overlay', 'proc', 'sysfs', 'tmpfs'];
    expect([...kinds].filter((kind) => !expected.includes(String(kind)))).toEqual([]);
  });

  test('neither devices nor mounts nor namespaces nor modules can be made', async () => {
    const attempts = {
      'mknod /tmp/disk b 7 0': /not permitted/,
      'mknod /tmp/memory c 1 1': /not permitted/,
      'mount -t tmpfs none /mnt': /permission denied|not permitted/,
      'mount -t proc none /mnt': /permission denied|not permitted/,
      'mount -o remount,rw /sys': /permission denied|not permitted/,
      'mount --bind / /mnt': /permission denied|not permitted/,
      'umount /proc/sys': /must be superuser|not permitted|permission denied/,
      'unshare --user true': /not permitted/,
      'unshare --mount true': /not permitted/,
      'nsenter --target 1 --mount true': /not permitted|permission denied/i,
      dmesg: /not permitted/,
      'hostname other': /not permitted|must be root/,
      'date -s 2001-01-01': /not permitted/,
      'echo 1 > /proc/sys/kernel/panic': /read-only/i,
      'echo b > /proc/sysrq-trigger': /no such file|permission denied|read-only|not permitted/i,
      'echo 1 > /sys/kernel/mm/ksm/run': /no such file|permission denied|read-only/i,
      'echo 1 > /sys/fs/cgroup/pids/pids.max': /read-only|permission denied|no such file/i,
      'mkdir /sys/fs/cgroup/pids/escape': /read-only/i,
      'ip link add dummy0 type dummy': /not permitted/,
      'ip address add 10.9.8.7/24 dev eth0': /not permitted/,
      'ip route replace default via 198.18.0.0': /not permitted|invalid|unreachable/i,
    };
    for (const [attempt, refusal] of Object.entries(attempts)) {
      const { code, text } = await asRoot(attempt);
      expect({ attempt, failed: code !== 0, text }).toEqual({
        attempt,
        failed: true,
        text: expect.stringMatching(refusal),
      });
    }
  });

  test('dangerous system calls do not exist, and sockets are of the ordinary families only', async () => {
    // Numbers of x86-64 and of the generic table: bpf, io_uring_setup, userfaultfd, perf_event_open, keyctl, kexec_load.
    const numbers = process.arch === 'arm64' ? [280, 425, 282, 241, 219, 104] : [321, 425, 323, 298, 250, 246];
    const program = `
import ctypes, socket, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in ${JSON.stringify(numbers)}:
    ctypes.set_errno(0)
    print(libc.syscall(number, 0, 0, 0, 0, 0), errno.errorcode.get(ctypes.get_errno()))
for family, kind, protocol in [(17, 3, 0), (38, 5, 0), (40, 1, 0), (16, 3, 12), (16, 3, 9), (2, 3, 1)]:
    try:
        socket.socket(family, kind, protocol); print('open', family, protocol)
    except OSError as error:
        print(family, protocol, errno.errorcode[error.errno])
for family in [1, 2, 10]: socket.socket(family, 1, 0)
`;
    const outcome = await host.sh(id, '', { command: ['python3', '-c', program], user: 'root' });
    expect(outcome.stdout.toString().trim().split('\n')).toEqual([
      ...numbers.map(() => '-1 ENOSYS'),
      '17 0 EAFNOSUPPORT',
      '38 0 EAFNOSUPPORT',
      '40 0 EAFNOSUPPORT',
      '16 12 EAFNOSUPPORT',
      '16 9 EAFNOSUPPORT',
      '2 1 EPERM',
    ]);
  });

  test('kernel files that tell of the host or reach into it are empty or closed', async () => {
    const files = ['kcore', 'kallsyms', 'keys', 'timer_list', 'sched_debug', 'modules', 'interrupts', 'kmsg', 'swaps'];
    const read = await asRoot(files.map((file) => `head -c 100 /proc/${file} 2>/dev/null`).join('; '));
    expect(read.text).toBe('');
    expect((await asRoot('find /sys/firmware /sys/module /sys/kernel /sys/block /proc/acpi -mindepth 1')).text).toBe(
      '',
    );
    expect(
      (
        await asRoot(
          'find /sys -writable -type f 2>/dev/null | xargs -r -n1 sh -c \': >> "$0"\' 2>&1 | grep -vci "read-only"',
        )
      ).text.trim(),
    ).toBe('0');
  });

  test("the machine's root has the few capabilities it needs, the user none", async () => {
    const capabilities = (user: 'root' | 'user') =>
      host.sh(id, 'grep -E "^Cap(Eff|Bnd|Amb)" /proc/self/status', { user });
    const [root, user] = await Promise.all([capabilities('root'), capabilities('user')]);
    expect(root.stdout.toString()).toMatch(/CapEff:\s0*a00405fb\nCapBnd:\s0*a00405fb\nCapAmb:\s0+\n/);
    expect(user.stdout.toString()).toMatch(/CapEff:\s0+\nCapBnd:\s0*a00405fb\nCapAmb:\s0+\n/);
  });

  test("the host's own devices keep their owner and mode", async () => {
    await asRoot('chmod 000 /dev/null /dev/zero; chown 5:5 /dev/null; touch -d 2001-01-01 /dev/tty');
    const devices = await Promise.all(['null', 'zero', 'tty'].map(async (name) => stat(`/dev/${name}`)));
    expect(devices.map(({ uid, mode }) => [uid, mode & 0o777])).toEqual([
      [0, 0o666],
      [0, 0o666],
      [0, 0o666],
    ]);
  });

  test('a process of the machine is nobody on the host, and sees its own limits', async () => {
    const sleeper = host.sh(id, 'exec sleep 3', { user: 'root' });
    await host.sh(id, 'sleep 0.5');
    const { first, count } = host.options.ids;
    const pids = (
      await readFile(`/sys/fs/cgroup/pids/freehold-${host.instance}/${id}/cgroup.procs`, 'utf8').catch(() =>
        readFile(`/sys/fs/cgroup/freehold-${host.instance}/${id}/cgroup.procs`, 'utf8'),
      )
    )
      .trim()
      .split('\n');
    for (const pid of pids) {
      const uid = Number(
        /^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => `Uid: ${first}`))?.[1],
      );
      expect(uid).toBeGreaterThanOrEqual(first);
      expect(uid).toBeLessThan(first + count);
    }
    expect(
      (
        await asRoot('cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null')
      ).text.trim(),
    ).toBe(String(256 * 1_048_576));
    await sleeper;
  });
});
