import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publish, registerNode } from '../grid/node.ts';
import { testServer, type TestServer } from '../harness/server.ts';

let server: TestServer;
let dataDir: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-pages-'));
  await mkdir(join(dataDir, 'transmissions'));
  await writeFile(
    join(dataDir, 'transmissions', 'moved.md'),
    '---\ntitle: Moved\nauthor: Ada\ndate: 2026-01-01\n---\nHi.',
  );
  server = await testServer({ FREEHOLD_DATA_DIR: dataDir });
}, 120_000);
afterAll(async () => {
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test('the whole application serves a seller’s page, its picture and the operator’s words at its own address', async () => {
  const seller = await registerNode(server);
  const skill = await publish(seller);
  const page = await (await fetch(`${server.url}/skills/${skill}`)).text();
  const [, picture = ''] = /property="og:image" content="([^"]+)"/.exec(page) ?? [];
  expect(picture).toBe(`${server.url}/skills/${skill}/preview.png`);
  expect((await fetch(picture)).headers.get('content-type')).toBe('image/png');
  expect(await (await fetch(`${server.url}/transmissions/rss.xml`)).text()).toContain(
    `<link>${server.url}/transmissions/moved</link>`,
  );
  expect((await fetch(`${server.url}/mission.pdf`)).status).toBe(200);
});
