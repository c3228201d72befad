import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const READY = /^freehold ready on (http:\/\/\S+)$/;
const START_TIMEOUT_MS = 120_000;

export type ServerProcess = {
  url: string;
  child: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** Sends the signal and waits for the end; answers the exit code, or null where a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

/** Starts the server as a process of its own and waits until it answers. Rejects with its output when it does not. */
export async function startServer(env: Record<string, string>): Promise<ServerProcess> {
  const child = spawn(process.execPath, [MAIN], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let printed = '';
  const keep = (line: string) => void (printed += `${line}\n`);
  const lines = createInterface({ input: child.stdout });
  lines.on('line', keep);
  createInterface({ input: child.stderr }).on('line', keep);
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
    return child.exitCode;
  };
  const ready = new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => {
      const url = READY.exec(line)?.[1];
      if (url) resolve(url);
    });
    const fail = (why: string) => reject(new Error(`${why}\n${printed}`));
    void ended.then(() => fail('The server ended before it was ready.'));
    setTimeout(() => fail('The server was not ready in time.'), START_TIMEOUT_MS).unref();
  });
  try {
    return { url: await ready, child, output: () => printed, stop };
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
}
