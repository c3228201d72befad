import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { prepareTestHost, RUNTIMES, SMALL, testHost, type TestHost } from './host.ts';

const MIB = 1_048_576;

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('the limits of a machine (%s)', (runtime) => {
  let host: TestHost;
  let id: MachineId;
  let neighbour: MachineId;

  beforeAll(async () => {
    host = await testHost(runtime);
    [id, neighbour] = await Promise.all([host.create({ limits: { ...SMALL, vcpus: 0.5 } }), host.create()]);
  });
  afterAll(() => host.dispose());

  const answers = async (machine: MachineId) =>
    expect(await host.sh(machine, 'echo $((6 * 7))')).toMatchObject({ kind: 'exited', stdout: Buffer.from('42\n') });

  test('a fork bomb stays within its number of processes, and its neighbour works on', async () => {
    const bomb = host.sh(id, 'bomb() { bomb | bomb & }; bomb; sleep 60', { timeoutMs: 4_000 });
    await host.sh(neighbour, 'sleep 1');
    await answers(neighbour);
    expect((await host.driver.usage(id))?.processes).toBeLessThanOrEqual(SMALL.pids);
    expect((await bomb).kind).toBe('timeout');
    await answers(id);
    expect((await host.driver.usage(id))?.processes).toBeLessThan(10);
  });

  test('a full house of processes refuses one more and says so', async () => {
    const full = host.sh(id, 'for i in $(seq 300); do sleep 30 & done; wait', { timeoutMs: 4_000 });
    await host.sh(neighbour, 'sleep 2');
    const refused = await host.sh(id, 'true');
    await full;
    expect(refused).toMatchObject({ kind: 'exited', exitCode: 126 });
    expect(refused.stderr.toString()).toBe(
      'The command could not be started: the machine has no room for another process.\n',
    );
    await answers(id);
  });

  test('a memory hog dies alone with 137', async () => {
    const sleeper = host.sh(id, 'sleep 3; echo slept');
    const hog = await host.sh(id, 'exec python3 -c "x = bytearray(1 << 30)"');
    expect(hog).toMatchObject({ kind: 'exited', exitCode: 137, stderr: Buffer.alloc(0) });
    expect((await sleeper).stdout.toString()).toBe('slept\n');
    await Promise.all([answers(id), answers(neighbour)]);
  });

  test('memory files count as memory', async () => {
    const filled = await host.sh(id, 'head -c 1G /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x; rm /dev/shm/x');
    expect(Number(filled.stdout.toString())).toBeLessThanOrEqual(64 * MIB);
  });

  test('a disk filler stops at the limit, on the host as well, and can clean up', async () => {
    const filler = await host.sh(id, 'cat /dev/zero > ~/big; ls -s --block-size=1M ~/big');
    expect(filler.stderr.toString()).toContain('No space left on device');
    const disk = await stat(join(host.dataDir, 'machines', `${id}.ext4`));
    expect(disk.blocks * 512).toBeLessThanOrEqual(SMALL.diskGb * 1024 * MIB);
    expect(await host.sh(neighbour, 'echo x > ~/x && cat ~/x')).toMatchObject({ exitCode: 0 });
    expect(await host.sh(id, 'rm ~/big && echo y > ~/y && cat ~/y')).toMatchObject({ exitCode: 0 });
  });

  test('two busy loops on half a processor get half a processor', async () => {
    const [before, startedAt] = [(await host.driver.usage(id))?.cpuSeconds ?? 0, performance.now()];
    await host.sh(id, 'while :; do :; done & while :; do :; done', { timeoutMs: 3_000 });
    const elapsed = (performance.now() - startedAt) / 1_000;
    const used = ((await host.driver.usage(id))?.cpuSeconds ?? 0) - before;
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThan(elapsed * 0.5 + 0.3);
  });

  test('file watches and terminals run out in one machine only', async () => {
    const take = (limit: number) => `
import ctypes, os
libc = ctypes.CDLL(None)
watchers = [fd for fd in (libc.inotify_init1(0) for _ in range(${limit})) if fd >= 0]
terminals = []
try:
    while len(terminals) < ${limit}: terminals.append(os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))
except OSError: pass
print(len(watchers), len(terminals))`;
    const greedy = await host.sh(id, '', { command: ['python3', '-c', take(5_000)] });
    expect(greedy.stdout.toString().trim()).toBe('1024 256');
    const modest = await host.sh(neighbour, '', { command: ['python3', '-c', take(50)] });
    expect(modest.stdout.toString().trim()).toBe('50 50');
  });

  test('room for pipes, and for files that are read meanwhile, is not used up by one machine', async () => {
    const take = (pipes: number, events: number, then: string) => `
import ctypes, fcntl, os, time
libc = ctypes.CDLL(None, use_errno=True)
SIZE_OF_PIPE, IO_SETUP = 1032, ${process.arch === 'arm64' ? 0 : 206}
taken = [os.pipe() for _ in range(${pipes})]
def asked(): return libc.syscall(IO_SETUP, 10_000, ctypes.byref(ctypes.c_ulong(0)))
failed = [result for result in (asked() for _ in range(${events} // 10_000)) if result != 0]
said = f'{fcntl.fcntl(taken[-1][0], SIZE_OF_PIPE)} {len(failed)}'
${then}`;
    const enough = new AbortController();
    const holding = `open('/tmp/new', 'w').write(said); os.rename('/tmp/new', '/tmp/taken'); time.sleep(60)`;
    const greedy = host.sh(id, '', {
      command: ['python3', '-c', take(2_000, 100_000, holding)],
      signal: enough.signal,
    });
    const taken = async () => (await host.sh(id, 'cat /tmp/taken')).stdout.toString();
    await expect.poll(taken, { timeout: 10_000 }).toBe('65536 0');
    const modest = await host.sh(neighbour, '', { command: ['python3', '-c', take(1, 10_000, 'print(said)')] });
    enough.abort();
    await greedy;
    expect(modest.stdout.toString().trim()).toBe('65536 0');
  });

  test('full houses of many machines leave the host processes and open files', async () => {
    const most = async (name: string) => Number(await readFile(`/proc/sys/${name}`, 'utf8'));
    const { stdout } = await host.sh(id, 'ulimit -n');
    expect(await most('fs/file-max')).toBeGreaterThan(Number(stdout) * SMALL.pids * 100);
    expect(await most('kernel/pid_max')).toBeGreaterThan(SMALL.pids * 1_000);
  });

  test('timers, signals that wait and queues of messages run out in one machine only', async () => {
    const take = (timers: number, queues: number, then: string) => `
import ctypes, os, time
libc = ctypes.CDLL(None)
timer, attributes = ctypes.c_void_p(), (ctypes.c_long * 8)(0, 10, 4_096)
timers = sum(libc.timer_create(0, None, ctypes.byref(timer)) == 0 for _ in range(${timers}))
names = [b'/%d-%d' % (os.getpid(), number) for number in range(${queues})]
opened = [libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, attributes) for name in names]
queues = sum(descriptor >= 0 for descriptor in opened)
${then}`;
    const alone = await host.sh(neighbour, '', { command: ['python3', '-c', take(0, 50, 'print(queues)')] });
    const most = Number(alone.stdout.toString());
    expect(most).toBeLessThan(50);
    const enough = new AbortController();
    const holding = `open('/tmp/new', 'w').write(str(timers)); os.rename('/tmp/new', '/tmp/timers'); time.sleep(60)`;
    const greedy = host.sh(id, '', { command: ['python3', '-c', take(100_000, 50, holding)], signal: enough.signal });
    const taken = async () => Number((await host.sh(id, 'cat /tmp/timers')).stdout.toString());
    await expect.poll(taken, { timeout: 10_000 }).toBeGreaterThan(10_000);
    const modest = await host.sh(neighbour, '', { command: ['python3', '-c', take(50, 0, 'print(timers)')] });
    enough.abort();
    await greedy;
    expect(modest.stdout.toString().trim()).toBe('50');
    expect(await taken()).toBeLessThanOrEqual(65_536);
  });

  test('what a machine has used is counted', async () => {
    await host.sh(neighbour, 'head -c 20M /dev/urandom > ~/counted; sync');
    const usage = await host.driver.usage(neighbour);
    expect(usage?.diskBytes).toBeGreaterThan(20 * MIB);
    expect(usage?.cpuSeconds).toBeGreaterThan(0.05);
    expect(usage?.memoryBytes).toBeGreaterThan(0);
  });
});
