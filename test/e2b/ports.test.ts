import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { eventually } from '../harness/agent.ts';
import { startClient, type Client } from './client.ts';

let client: Client;
beforeAll(async () => void (client = await startClient({ FREEHOLD_TEST_CLOCK: 'on' })));
afterAll(() => client?.stop());

/** One request to a host name that no resolver of this host knows. */
async function visit(host: string, path = '/', headers: Record<string, string> = {}) {
  const { port } = new URL(client.server.url);
  const sent = request({ host: '127.0.0.1', port, path, headers: { ...headers, host } }).end();
  const reply = await new Promise<Parameters<typeof text>[0] & { statusCode?: number }>((resolve, reject) =>
    sent.once('response', resolve).once('error', reject),
  );
  return { status: reply.statusCode, body: await text(reply) };
}

const serveOn = (sandbox: Sandbox, port: number) =>
  sandbox.commands.run(`mkdir -p www; echo here > www/index.html; cd www; python3 -m http.server ${port}`, {
    background: true,
  });
const answers = (ask: () => ReturnType<typeof visit>, status: number) =>
  eventually(ask, (reply) => reply.status === status, 20_000);

test('a port of a sandbox is reached at the host name that the client tells', async () => {
  const sandbox = await client.create();
  const host = sandbox.getHost(3_000);
  expect(await visit(host)).toMatchObject({ status: 502 });
  expect(JSON.parse((await visit(host)).body)).toMatchObject({ sandboxId: sandbox.sandboxId, port: 3_000, code: 502 });
  await serveOn(sandbox, 3_000);
  expect(await answers(() => visit(host), 200)).toEqual({ status: 200, body: 'here\n' });
  await sandbox.kill();
  expect(JSON.parse((await visit(host)).body)).toMatchObject({ sandboxId: sandbox.sandboxId, code: 502 });
});

test('a sandbox whose traffic is not public is reached with its token only', async () => {
  const sandbox = await client.create({ network: { allowPublicTraffic: false } });
  await serveOn(sandbox, 3_000);
  const host = sandbox.getHost(3_000);
  expect((await visit(host)).status).toBe(403);
  const token = { 'e2b-traffic-access-token': sandbox.trafficAccessToken ?? '' };
  expect((await answers(() => visit(host, '/', token), 200)).body).toBe('here\n');
  await sandbox.kill();
});

test('traffic to a port wakes a sandbox that asks for it, and no other', async () => {
  const [awakening, resting] = await Promise.all([
    client.create({ timeoutMs: MINUTE, lifecycle: { onTimeout: 'pause', autoResume: true } }),
    client.create({ timeoutMs: MINUTE, lifecycle: { onTimeout: 'pause' } }),
  ]);
  for (const sandbox of [awakening, resting]) {
    await serveOn(sandbox, 3_000);
    await answers(() => visit(sandbox.getHost(3_000)), 200);
  }
  await client.advance(2 * MINUTE);
  expect((await visit(awakening.getHost(3_000))).body).toBe('here\n');
  expect((await awakening.getInfo()).state).toBe('running');
  expect((await visit(resting.getHost(3_000))).status).toBe(502);
  expect((await resting.getInfo()).state).toBe('paused');
  await Promise.all([awakening.kill(), resting.kill()]);
});

test('the daemon is reached at the sandbox’s own host name as well, signed files with it', async () => {
  const sandbox = await client.create();
  await sandbox.files.write('a.txt', 'hello');
  const host = sandbox.getHost(49_983);
  expect((await visit(host, '/health')).status).toBe(204);
  const { search } = new URL(await sandbox.downloadUrl('a.txt'));
  expect(await visit(host, `/files${search}`)).toEqual({ status: 200, body: 'hello' });
  expect((await visit(host, '/files?path=a.txt')).status).toBe(401);
  await sandbox.kill();
  expect((await visit(host, '/health')).status).toBe(502);
});

test('a port whose server speaks TLS is reached all the same', async () => {
  const sandbox = await client.create({ network: { httpsPorts: [3_443] } });
  await sandbox.commands.run(
    `mkdir -p www; echo safe > www/index.html; cd www
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout ../k -out ../c -days 2
cat > ../s.py <<'S'
import http.server, ssl
server = http.server.ThreadingHTTPServer(('', 3443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('../c', '../k')
server.socket = context.wrap_socket(server.socket, server_side=True); server.serve_forever()
S`,
  );
  await sandbox.commands.run('cd www && exec python3 ../s.py', { background: true });
  expect(await answers(() => visit(sandbox.getHost(3_443)), 200)).toEqual({ status: 200, body: 'safe\n' });
  expect((await sandbox.getInfo()).network).toMatchObject({ httpsPorts: [3_443] });
  await sandbox.kill();
});
