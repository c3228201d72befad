import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { startClient, type Client } from '../e2b/client.ts';
import { eventually } from '../harness/agent.ts';
import { visit, type Seen } from './client.ts';

/** Says which headers it saw, on a port that nobody was told to expose. */
const MIRROR = `
import http.server
class Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((self.path + '\\n' + str(self.headers)).encode())
http.server.ThreadingHTTPServer(('127.0.0.1', 3000), Mirror).serve_forever()
`;
const READY = 'for i in $(seq 100); do curl -s -o /dev/null localhost:3000 && exit; sleep 0.05; done; exit 1';

let client: Client;
let sandbox: Sandbox;
beforeAll(async () => {
  client = await startClient({ FREEHOLD_TEST_CLOCK: 'on' });
  sandbox = await serving(await client.create({ timeoutMs: 60 * MINUTE }));
});
afterAll(() => client?.stop());

async function serving(one: Sandbox): Promise<Sandbox> {
  await one.files.write('mirror.py', MIRROR);
  await one.commands.run('python3 mirror.py', { background: true });
  await one.commands.run(READY);
  return one;
}

const see = (host: string, path = '/', headers: Record<string, string> = {}): Promise<Seen> =>
  visit(Number(new URL(client.server.url).port), host, path, { headers });

const gone = (id: string) => ({ sandboxId: id, message: 'The sandbox was not found', code: 502 });

describe('a sandbox of the stock client', () => {
  test('shows every port at the host that the client names, closed ones as 502', async () => {
    expect((await see(sandbox.getHost(3_000), '/x?y=1')).body).toMatch(/^\/x\?y=1\n/);
    const closed = await see(sandbox.getHost(3_001));
    expect([closed.status, JSON.parse(closed.body)]).toEqual([
      502,
      {
        sandboxId: sandbox.sandboxId,
        message: 'The sandbox is running but port is not open',
        port: 3_001,
        code: 502,
      },
    ]);
  });

  test('is reached by the pair of headers too, through the shared URL and beside it', async () => {
    const pair = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '3000' };
    expect((await see('127.0.0.1', '/e2b/envd/x', pair)).body).toMatch(/^\/x\n/);
    expect((await see('localhost', '/x', pair)).body).toMatch(/^\/x\n/);
    expect((await see('localhost', '/x', { 'e2b-sandbox-id': sandbox.sandboxId })).status).toBe(400);
  });

  test('has its own interface at its own host, with signed addresses of files', async () => {
    expect((await see(sandbox.getHost(49_983), '/health')).status).toBe(204);
    await sandbox.files.write('/home/user/note', 'signed');
    const { pathname, search } = new URL(await sandbox.downloadUrl('/home/user/note'));
    expect((await see(sandbox.getHost(49_983), pathname + search)).body).toBe('signed');
    expect((await see(sandbox.getHost(49_983), `${pathname}?path=/home/user/note`)).status).toBe(401);
  });

  test('sees the host that its maker chose', async () => {
    const one = await serving(await client.create({ network: { maskRequestHost: 'localhost:${PORT}' } }));
    expect((await see(one.getHost(3_000))).body).toMatch(/^host: localhost:3000$/im);
    await one.kill();
  });

  test('that shuts the public out opens for its traffic token', async () => {
    const one = await serving(await client.create({ network: { allowPublicTraffic: false } }));
    const shut = await see(one.getHost(3_000));
    expect([shut.status, JSON.parse(shut.body)]).toMatchObject([403, { sandboxId: one.sandboxId, code: 403 }]);
    const token = one.trafficAccessToken ?? '';
    const seen = await see(one.getHost(3_000), '/', { 'e2b-traffic-access-token': token });
    expect(seen.status).toBe(200);
    expect(seen.body).not.toContain(token);
    await one.kill();
    expect(JSON.parse((await see(one.getHost(3_000))).body)).toEqual(gone(one.sandboxId));
  });

  test('that paused itself is woken by a visit; one that was paused is not', async () => {
    const one = await serving(
      await client.create({ timeoutMs: MINUTE, lifecycle: { onTimeout: 'pause', autoResume: true } }),
    );
    await client.advance(2 * MINUTE);
    await eventually(
      async () => (await one.getInfo()).state,
      (state) => state === 'paused',
    );
    expect((await see(one.getHost(3_000))).status).toBe(200);
    expect((await one.getInfo()).state).toBe('running');
    await one.pause();
    expect(JSON.parse((await see(one.getHost(3_000))).body)).toEqual(gone(one.sandboxId));
    await one.kill();
  });
});
