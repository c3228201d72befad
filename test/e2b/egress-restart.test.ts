import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { credit, eventually, registerAgent, type Agent } from '../harness/agent.ts';
import { prepareTestHost } from '../machines/host.ts';
import { visit } from '../proxy/client.ts';
import { accessOf } from './client.ts';
import { HERE, startOutside, type Outside } from './outside.ts';

const PORT = 3_000;
/** Long enough for several attempts to get out meanwhile. */
const DOWN_MS = 4_000;
const PATIENCE_MS = 20_000;

/** Holds one connection through the gateway, and says when it is cut. */
const HOLD = `exec 3<>/dev/tcp/${HERE}/80
printf 'GET / HTTP/1.1\\r\\nHost: allowed.example\\r\\n\\r\\n' >&3
head -c 15 <&3 > held; echo >> held; cat <&3 > /dev/null; echo cut >> held`;
/** Tries again and again to reach a host that is allowed and one that is not, and notes what came of it. */
const TRY = `while :; do for name in allowed evil; do
  curl -s -f -m 1 -o /dev/null --resolve $name.example:80:${HERE} http://$name.example/ && echo open >> $name || echo shut >> $name
done; sleep 0.1; done`;

let outside: Outside;
let dataDir: string;
let server: ServerProcess;
let agent: Agent;
const adminKey = randomBytes(24).toString('hex');

const start = async () => {
  server = await startServer({
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: adminKey,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
    FREEHOLD_EGRESS_NAME_SERVERS: outside.nameServer,
  });
};

beforeAll(async () => {
  await prepareTestHost();
  outside = await startOutside();
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-egress-'));
  await start();
  agent = await registerAgent(server.url);
  await credit(server.url, adminKey, agent.accountId, 1_000);
}, 900_000);
afterAll(async () => {
  await server?.stop();
  await outside?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test('a server that is killed cuts what goes out by name, opens nothing meanwhile, and lets out again what may', async () => {
  const first = await Sandbox.create({
    ...(await accessOf(agent)),
    network: { allowOut: ['allowed.example'], denyOut: ['0.0.0.0/0'] },
  });
  for (const command of [HOLD, TRY, `exec python3 -m http.server ${PORT}`])
    await first.commands.run(command, { background: true, timeoutMs: 0 });
  const noted = async (sandbox: Sandbox, name: string) => (await sandbox.files.read(name)).trim().split('\n');
  const soon = (sandbox: Sandbox, name: string, has: (lines: string[]) => boolean) =>
    eventually(() => noted(sandbox, name).catch(() => []), has, PATIENCE_MS);
  await soon(first, 'allowed', (lines) => lines.includes('open'));
  expect(await soon(first, 'held', ([line]) => line !== '')).toEqual(['HTTP/1.1 200 OK']);

  await server.stop('SIGKILL');
  await sleep(DOWN_MS);
  await start();
  const { sandboxId } = first;
  const again = await Sandbox.connect(sandboxId, await accessOf({ ...agent, url: server.url }));
  await soon(again, 'allowed', (lines) => lines.at(-1) === 'open');
  const runs = (await noted(again, 'allowed')).filter((line, index, lines) => line !== lines[index - 1]);
  expect(runs).toEqual(['open', 'shut', 'open']);
  expect(new Set(await noted(again, 'evil'))).toEqual(new Set(['shut']));
  expect(await soon(again, 'held', (lines) => lines.length > 1)).toEqual(['HTTP/1.1 200 OK', 'cut']);
  // It is found as it was: its processes, its rules, the way in to its port.
  expect(await again.commands.list()).toHaveLength(2);
  expect((await again.getInfo()).network).toMatchObject({ allowOut: ['allowed.example'] });
  const { port } = new URL(server.url);
  expect((await visit(Number(port), again.getHost(PORT), '/held')).body).toContain('cut');
  await again.kill();
}, 180_000);
