import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { solveChallenge } from '../../src/cli/solve-challenge.ts';
import { timed } from './contender.ts';

/** As an agent on another host meets it: the whole server in a process of its own, and the stock `e2b` client. */
export type Client = {
  /** Milliseconds from the wish for a sandbox to its first command done; the sandbox is gone afterwards. */
  firstCommand(): Promise<number>;
  /** Several at once, each with its time; all of them are gone afterwards. */
  firstCommandsAtOnce(count: number, staggerMs: number): Promise<number[]>;
  /** Milliseconds of commands in one sandbox. */
  execs(count: number): Promise<number[]>;
  /** Milliseconds from `connect` to a paused sandbox until a command of it is done. */
  wakes(count: number): Promise<number[]>;
  close(): Promise<void>;
};

const ADMIN_KEY = 'admin-key-of-the-benchmark';
const CENTS = 1_000_000;

export async function openClient(cacheDir: string, poolSize: number): Promise<Client> {
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-bench-server-'));
  const server = await startServer({
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_CACHE_DIR: cacheDir,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: String(poolSize),
  });
  const options = {
    ...(await registered(server)),
    apiUrl: `${server.url}/e2b/api`,
    sandboxUrl: `${server.url}/e2b/envd`,
  };
  return {
    ...measuresOf(options),
    close: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

type Options = { apiKey: string; apiUrl: string; sandboxUrl: string };

function measuresOf(options: Options): Omit<Client, 'close'> {
  const firstCommand = async (): Promise<[number, Sandbox]> => {
    let sandbox: Sandbox | undefined;
    const ms = await timed(async () => {
      sandbox = await Sandbox.create(options);
      await sandbox.commands.run('true');
    });
    if (!sandbox) throw new Error('There is no sandbox.');
    return [ms, sandbox];
  };
  return {
    firstCommand: async () => {
      const [ms, sandbox] = await firstCommand();
      await sandbox.kill();
      return ms;
    },
    firstCommandsAtOnce: async (count, staggerMs) => {
      const all = await Promise.all(
        Array.from({ length: count }, async (_, index) => {
          await sleep(index * staggerMs);
          return firstCommand();
        }),
      );
      await Promise.all(all.map(([, sandbox]) => sandbox.kill()));
      return all.map(([ms]) => ms);
    },
    execs: async (count) => {
      const [, sandbox] = await firstCommand();
      const times = await inTurn(count, () => timed(() => sandbox.commands.run('true')));
      await sandbox.kill();
      return times;
    },
    wakes: async (count) => {
      const [, sandbox] = await firstCommand();
      const times = await inTurn(count, async () => {
        await sandbox.pause();
        return timed(async () => {
          await sandbox.connect();
          await sandbox.commands.run('true');
        });
      });
      await sandbox.kill();
      return times;
    },
  };
}

async function inTurn(count: number, work: () => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let done = 0; done < count; done++) times.push(await work());
  return times;
}

/** A key of a new account that has money. */
async function registered({ url }: ServerProcess): Promise<{ apiKey: string }> {
  const call = async (path: string, body?: unknown, key?: string) => {
    const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
    const reply = await fetch(
      url + path,
      body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) },
    );
    if (!reply.ok) throw new Error(`${path} answered ${reply.status}: ${await reply.text()}`);
    return (await reply.json()) as Record<string, string>;
  };
  const given = (await call('/v1/auth/challenge')) as unknown as {
    challenge: Parameters<typeof solveChallenge>[0];
    token: string;
  };
  const body = { answer: solveChallenge(given.challenge), token: given.token, name: 'bench' };
  const { account_id, api_key } = await call('/v1/auth/register', body);
  await call('/v1/admin/credits', { account_id, amount_cents: CENTS }, ADMIN_KEY);
  return { apiKey: api_key ?? '' };
}
