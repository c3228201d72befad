import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testServer, type TestServer } from '../harness/server.ts';

const ROOT = join(import.meta.dirname, '../..');

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await testServer();
  folder = await mkdtemp(join(tmpdir(), 'freehold-e2b-'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('the example of the README runs as it is written, with the stock client and three variables', async () => {
  const text = await readFile(join(ROOT, 'README.md'), 'utf8');
  const block = (language: string, after: string): string =>
    new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text.slice(text.indexOf(after)))?.[1] ?? '';
  const heading = '## Drive it with the E2B client';
  const field = /^field\(\) .*$/m.exec(text)?.[0] ?? '';
  await writeFile(join(folder, 'example.mjs'), block('js', heading));
  const { key } = await server.agent(100);
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', `${field}\n${block('sh', heading)}\nnode example.mjs`], {
    cwd: folder,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, FREEHOLD: server.url, KEY: key },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(shell, 'close')) as [number | null];
  expect({ code, output: output.trim() }).toEqual({ code: 0, output: '1048576' });
});
