import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';

/** A program that does all that a good one does not, as if somebody's input had taken it over. */
export async function run(input: unknown): Promise<unknown> {
  const { task } = input as { task: keyof typeof TASKS };
  return await TASKS[task]();
}

const PLACES = [
  '/tmp/left',
  '/var/tmp/left',
  '/dev/shm/left',
  '/opt/skill/run.mjs',
  '/opt/skill/left',
  '/home/user/left',
];

const TASKS = {
  echo: () => 'well',
  large: () => 'ü'.repeat(3_500_000),
  tooLarge: () => 'x'.repeat(8_000_000),
  loop: () => {
    for (;;);
  },
  hang: () => new Promise(() => setInterval(() => {}, 1_000)),
  crash: () => process.abort(),
  exit: () => process.exit(0),
  memory: () => {
    const kept: Buffer[] = [];
    for (;;) kept.push(Buffer.alloc(10_000_000, 1));
  },
  babble: () => {
    for (;;) writeSync(1, 'x'.repeat(60_000));
  },
  /** Tries to leave something for the next. */
  leave: () => {
    spawn('sleep', ['4000'], { detached: true, stdio: 'inherit' }).unref();
    return PLACES.filter((place) => {
      try {
        writeFileSync(place, 'left');
        return true;
      } catch {
        return false;
      }
    });
  },
  /** Looks for what others have left, and how far it comes. */
  look: async () => ({
    sleeping: spawnSync('pgrep', ['-f', 'sleep 4000'], { encoding: 'utf8' }).stdout.trim(),
    root: spawnSync('sudo', ['-n', 'id'], { encoding: 'utf8' }).status === 0,
    killed: spawnSync('pkill', ['-KILL', '-f', 'server.mjs']).status === 0,
    user: process.getuid?.(),
    outside: await reaches('1.1.1.1', 80),
  }),
};

const reaches = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (reached: boolean) => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
