import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { connect as connectTo, type Socket } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileCommand, ensureInit, initLayerDir, initProgram } from '../../src/domains/machines/init/build.ts';
import {
  createInit,
  type Init,
  type RunEvent,
  type RunRequest,
  type RunStream,
} from '../../src/domains/machines/init/index.ts';
import { exists } from '../../src/domains/machines/images/debian.ts';
import { must } from '../../src/platform/run.ts';

const CACHE_DIR = process.env['FREEHOLD_CACHE_DIR'] ?? join(homedir(), '.cache', 'freehold');
/** Processes of one such machine: what the host needs against a test that goes wrong. */
const PROCESSES = 200;
const START_MS = 10_000;
/** Inside the machine. Signals are left alone, since the tests send some. */
const REPORT = 'report.';
const REPORTS = 'log_path=/tmp/report';
/** As of a real machine. */
const CAPABILITIES =
  '+audit_write,+chown,+dac_override,+fowner,+fsetid,+kill,+net_bind_service,+setfcap,+setgid,+setpcap,+setuid,+sys_chroot';
const WARNINGS = ['-Wall', '-Wextra', '-Werror'];

/**
 * A machine without a container runtime: the host's own programs under an overlay that is thrown away, with namespaces
 * of its own, so that nothing in it can reach the host's files, processes or network.
 *
 * $1 the directory, $2 the init, $3 what its root may do.
 */
const MACHINE = `
mount -t tmpfs -o size=256m scratch "$1/scratch"
mkdir "$1/scratch/upper" "$1/scratch/work" "$1/scratch/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/scratch/upper,workdir=$1/scratch/work" overlay "$1/scratch/root"
cd "$1/scratch/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 dev dev
cp -a /dev/null /dev/full /dev/zero /dev/random /dev/urandom /dev/tty dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=1777 tmp tmp
mkdir -p home/user home/other small .freehold
mount -t tmpfs -o size=1m,mode=1777 small small
printf 'root:x:0:0:root:/root:/bin/bash\\nuser:x:64001:64001::/home/user:/bin/bash\\nother:x:64002:64002::/home/other:/bin/sh\\n' > etc/passwd
printf 'root:x:0:\\nuser:x:64001:\\nother:x:64002:\\nstaff:x:50:user,other\\nextra:x:64100:other,user\\n' > etc/group
chown 64001:64001 home/user
chown 64002:64002 home/other
chmod 700 home/other
cp "$2" .freehold/init
ip link set lo up
exec setpriv --bounding-set "-all,$3" --inh-caps -all chroot . /.freehold/init
`;

export type TestMachine = {
  init: Init;
  /** Where its socket is. */
  socket: string;
  /** The host's number of its first process. */
  pid: number;
  /** A bare connection to it. */
  dial(): Promise<Socket>;
  /** Runs a command to its end and collects what it said. */
  sh(command: string, overrides?: Partial<RunRequest>): Promise<Outcome>;
  start(command: string, overrides?: Partial<RunRequest>): Promise<RunStream>;
  /** Stops every process in it, the first one too, as a freezer would. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  hasEnded(): boolean;
  /** What the checks that were compiled in have found, in the init or in any child of it. */
  complaints(): Promise<string>;
  dispose(): Promise<void>;
};

export type Outcome = {
  stdout: string;
  stderr: string;
  pty: string;
  exitCode: number | undefined;
  signal: number | undefined;
  timedOut: boolean;
};

/** The binary as set-up makes it. */
export const builtInit = async (): Promise<string> =>
  initProgram(await ensureInit({ cacheDir: CACHE_DIR, progress: () => {} }));

/** The same sources with every check that the compiler knows. */
async function sanitizedInit(): Promise<string> {
  const checks = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-static-libasan'];
  const target = join(CACHE_DIR, 'init-sanitized', basename(await initLayerDir(CACHE_DIR)));
  if (await exists(target)) return target;
  await mkdir(dirname(target), { recursive: true });
  const draft = `${target}-${randomBytes(4).toString('hex')}`;
  await must(await compileCommand(draft, [...WARNINGS, ...checks]), { timeoutMs: 120_000 });
  await rename(draft, target);
  return target;
}

/** The binaries that every promise is tested with. */
export const BUILDS = [
  { build: 'as built', program: builtInit },
  { build: 'sanitized', program: sanitizedInit },
] as const;

export async function startMachine(program: string): Promise<TestMachine> {
  const name = `freehold-init-${randomBytes(5).toString('hex')}`;
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  await mkdir(join(directory, 'scratch'));
  const listener = join(directory, 'listen');
  await copyFile(program, listener);
  const socket = join(directory, 'socket');
  const cgroup = await limitProcesses(name);
  const sealed = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--net',
    '--uts',
    '--ipc',
    '--pid',
    '--fork',
    '--kill-child',
  ];
  const command = [...sealed, '/bin/sh', '-e', '-c', MACHINE, 'machine', directory, program, CAPABILITIES];
  // Nothing of it outlives the tests, however they end.
  const withTests = ['--pdeathsig', 'KILL', '/bin/sh', '-e', '-c', 'echo $$ > "$1"; shift; exec "$@"', 'sh'];
  const child = spawn('setpriv', [...withTests, cgroup.procs, listener, 'listen', socket, '--', ...command], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      ASAN_OPTIONS: `detect_leaks=0:handle_segv=0:${REPORTS}`,
      UBSAN_OPTIONS: `print_stacktrace=1:${REPORTS}`,
    },
  });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const ended = once(child, 'exit');
  const connect = () => connectionTo(socket);
  const init = createInit(connect);
  const answers = async () => {
    for (let waited = 0; waited < START_MS; waited += 20) {
      if (child.exitCode !== null) throw new Error(`The machine has ended: ${complaints}`);
      const home = await init.home('root').catch(() => undefined);
      if (home) return;
      await sleep(20);
    }
    throw new Error(`The machine does not answer: ${complaints}`);
  };
  await answers();
  const start = (text: string, overrides: Partial<RunRequest> = {}) => init.start(shell(text, overrides));
  const pid = await firstProcess(child.pid);
  return {
    init,
    socket,
    pid,
    dial: connect,
    start,
    sh: async (text, overrides) => collect(await start(text, overrides)),
    pause: () => signalAll(pid, 'SIGSTOP'),
    resume: () => signalAll(pid, 'SIGCONT'),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    complaints: async () => {
      const { entries } = await init.list('/tmp', { user: 'root', depth: 1, limit: 10_000 });
      const reports = entries.filter((entry) => entry.name.startsWith(REPORT));
      const texts = reports.map(async ({ path }) =>
        (await collectContent(await init.read(path, { user: 'root' }))).toString(),
      );
      return complaints + (await Promise.all(texts)).join('\n');
    },
    dispose: async () => {
      child.kill('SIGKILL');
      await ended;
      await cgroup.remove();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export const shell = (command: string, overrides: Partial<RunRequest> = {}): RunRequest => ({
  argv: ['/bin/bash', '-c', command],
  cwd: '/home/user',
  env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/home/user', SHELL: '/bin/bash' },
  user: 'user',
  stdin: false,
  onDisconnect: 'kill',
  ...overrides,
});

/** Reads a run to its end. */
export async function collect(run: RunStream): Promise<Outcome> {
  const events = await all(run);
  const text = (stream: string) =>
    Buffer.concat(
      events.flatMap((event) => (event.kind === 'output' && event.stream === stream ? [event.data] : [])),
    ).toString();
  const last = events.at(-1);
  if (last?.kind !== 'exit') throw new Error('The run has told no exit.');
  return { stdout: text('stdout'), stderr: text('stderr'), pty: text('pty'), ...last.exit };
}

export async function collectContent({ content }: { content: AsyncIterable<Uint8Array> }): Promise<Buffer> {
  return Buffer.concat(await all(content));
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Reads a run until its output contains a text. */
export async function until(run: RunStream, text: string): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  let seen = '';
  for await (const event of run) {
    events.push(event);
    if (event.kind === 'output') seen += event.data.toString();
    if (seen.includes(text)) return events;
  }
  throw new Error(`The run has ended without saying ${text}: ${seen}`);
}

const connectionTo = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connectTo({ path, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket.off('error', reject)));
    socket.once('error', reject);
  });

/** The child of `unshare`. */
async function firstProcess(parent: number | undefined): Promise<number> {
  return Number((await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).trim());
}

async function signalAll(first: number, signal: NodeJS.Signals): Promise<void> {
  const namespaceOf = (pid: string | number) => readlink(`/proc/${pid}/ns/pid`).catch(() => undefined);
  const own = await namespaceOf(first);
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    if ((await namespaceOf(pid)) === own) process.kill(Number(pid), signal);
}

async function limitProcesses(name: string): Promise<{ procs: string; remove(): Promise<void> }> {
  const root = (await readFile('/proc/self/mountinfo', 'utf8')).includes(' /sys/fs/cgroup/pids ')
    ? '/sys/fs/cgroup/pids'
    : '/sys/fs/cgroup';
  const path = join(root, name);
  await mkdir(path);
  await writeFile(join(path, 'pids.max'), String(PROCESSES));
  return {
    procs: join(path, 'cgroup.procs'),
    remove: async () => {
      // The last process leaves its group a moment after it has ended.
      for (let attempt = 0; attempt < 100; attempt++) {
        if (
          await rmdir(path).then(
            () => true,
            () => false,
          )
        )
          return;
        await sleep(20);
      }
      throw new Error(`${path} still has processes`);
    },
  };
}
