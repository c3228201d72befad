import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { solveChallenge } from '../src/cli/solve-challenge.ts';
import { testServer, type TestServer } from './harness/server.ts';
import { leaveNothing } from './servers/leave.ts';

type Challenge = Parameters<typeof solveChallenge>[0];

const README = join(import.meta.dirname, '../README.md');
const TIMEOUT_MS = 300_000;
const INTERNAL_KEY = 'internal-key-of-the-tests';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  server = await testServer({ FREEHOLD_INTERNAL_KEY: INTERNAL_KEY });
  // The tour is walked in the server's folder, where the admin key is kept.
  folder = await mkdtemp(join(tmpdir(), 'freehold-tour-'));
  await mkdir(join(folder, 'data'));
  for (const name of ['bin', 'datasets']) await symlink(join(import.meta.dirname, '..', name), join(folder, name));
  await writeFile(join(folder, 'data/admin.key'), `${server.adminKey}\n`);
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The shell blocks of one section, in order. */
async function shellBlocks(heading: string): Promise<string[]> {
  const text = await readFile(README, 'utf8');
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  const [body = ''] = section.split('\n## ');
  return [...body.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
}

async function runShell(script: string): Promise<{ code: number | null; output: string }> {
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env: {
      PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
      FREEHOLD: server.url,
      FREEHOLD_INTERNAL_KEY: INTERNAL_KEY,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(shell, 'close')) as [number | null];
  return { code, output };
}

test(
  'the tour of the README works as it is written, and ends with the result and a history that adds up',
  async () => {
    const blocks = await shellBlocks('Five minutes as an agent');
    expect(blocks.length).toBeGreaterThan(4);
    const { code, output } = await runShell(blocks.join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain('1048576');
    const lines = output.split('\n').filter((line) => line.startsWith('{'));
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const task = parsed.find((reply) => 'cost' in reply) as { status: string; cost: Record<string, number> };
    expect(task.status).toBe('succeeded');
    expect((task.cost['spent_cents'] ?? 0) + (task.cost['refunded_cents'] ?? 0)).toBe(50);
    const { transactions } = parsed.at(-1) as { transactions: { amount_cents: number }[] };
    const sum = transactions.reduce((total, { amount_cents }) => total + amount_cents, 0);
    expect(sum).toBe(500 - (task.cost['spent_cents'] ?? 0));
  },
  TIMEOUT_MS,
);

test(
  'the computer of the README is rented, worked in, reached by HTTP and SSH, copied and given back as it is written',
  async () => {
    const tour = await shellBlocks('Five minutes as an agent');
    const credited = tour.findIndex((block) => block.includes('/v1/admin/credits'));
    const blocks = [...tour.slice(0, credited + 1), ...(await shellBlocks('Have a computer'))];
    const { code, output } = await runShell(blocks.join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain('"stdout":"42\\n"');
    expect(output).toContain('"result":"45');
    // The answer over HTTP, over SSH with what nproc says, and in the copy.
    expect(output).toMatch(/^42\n[\s\S]*^42\n\d+\n/m);
    expect(output).toContain('"content":"42\\n"');
    expect(output.match(/"success":true/g)?.length).toBeGreaterThanOrEqual(2);
  },
  TIMEOUT_MS,
);

test(
  'the server of the README is rented, backed up, destroyed and restored as it is written',
  async () => {
    const tour = await shellBlocks('Five minutes as an agent');
    const credited = tour.findIndex((block) => block.includes('/v1/admin/credits'));
    const key = "rm -f key key.pub; ssh-keygen -q -t ed25519 -N '' -f key";
    const blocks = [...tour.slice(0, credited + 1), key, ...(await shellBlocks('Keep a server, and a backup of it'))];
    const { code, output } = await runShell(blocks.join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toMatch(/^ACTIVE\ntour\nAVAILABLE\n\{"ok":true\}\nACTIVE\nprecious\n\{"ok":true\}\n\{"ok":true\}$/m);
    await leaveNothing(server);
  },
  TIMEOUT_MS,
);

test(
  'the trade of the README is made as it is written',
  async () => {
    const [fields = ''] = await shellBlocks('Five minutes as an agent');
    const { code, output } = await runShell([fields, ...(await shellBlocks('Trade on the grid'))].join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toMatch(/^Translator\nHola\n\{"status":"COMPLETED",.*\}\nAWAITING_SETTLEMENT$/m);
  },
  TIMEOUT_MS,
);

test(
  'the skills of the README run as they are written',
  async () => {
    const [fields = ''] = await shellBlocks('Five minutes as an agent');
    const { code, output } = await runShell([fields, ...(await shellBlocks('Run a skill of the house'))].join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toMatch(/^1815\neval runs whatever its text says\n$/m);
  },
  TIMEOUT_MS,
);

test(
  'the evaluation of the README is run as it is written, and its report tells what the agent has solved',
  async () => {
    const tour = await shellBlocks('Five minutes as an agent');
    const credited = tour.findIndex((block) => block.includes('/v1/admin/credits'));
    const blocks = [...tour.slice(0, credited + 1), ...(await shellBlocks('Evaluate an agent'))];
    const { code, output } = await runShell(blocks.join('\n'));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain('my-run/report.html');
    const report = JSON.parse(await readFile(join(folder, 'my-run/report.json'), 'utf8'));
    expect(report.totals).toMatchObject({ samples: 2, solved: 1, unsolved: 1, errors: 0, waiting: 0 });
    const log = await readFile(join(folder, 'my-run/samples/starter__free-slots-2/agent.log'), 'utf8');
    expect(log).toContain('slots.py');
  },
  TIMEOUT_MS,
);

test('the answer that the tour computes is right for every kind of challenge', async () => {
  const script = (await shellBlocks('Five minutes as an agent')).join('\n');
  const [, solve = ''] = /\| (node -p '[\s\S]*?')\)\n/.exec(script) ?? [];
  const solved = new Set<string>();
  while (solved.size < 5) {
    const reply = (await (await fetch(`${server.url}/v1/auth/challenge`)).json()) as { challenge: Challenge };
    if (solved.has(reply.challenge.type)) continue;
    solved.add(reply.challenge.type);
    await writeFile(join(folder, 'challenge.json'), JSON.stringify(reply));
    const { output } = await runShell(`${solve} < challenge.json`);
    expect([reply.challenge, output.trim()]).toEqual([reply.challenge, solveChallenge(reply.challenge)]);
  }
});
