import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { startClient, type Client } from './client.ts';
import { ELSEWHERE, HERE, startOutside, type Outside } from './outside.ts';

const EVERYTHING = '0.0.0.0/0';
const SECRET = 'Bearer of-the-owner-alone';

let outside: Outside;
let client: Client;
beforeAll(async () => {
  outside = await startOutside();
  client = await startClient({ FREEHOLD_EGRESS_NAME_SERVERS: outside.nameServer });
}, 120_000);
afterAll(async () => {
  await client?.stop();
  await outside?.stop();
});

type Told = { at: string; scheme?: string; headers?: Record<string, string>; user?: string; asked?: string };

/** What a server outside tells of a request from inside, which takes the name for that address. */
async function ask(sandbox: Sandbox, url: string, address: string, options = ''): Promise<Told | 'refused'> {
  const { hostname, port, protocol } = new URL(url);
  const number = port || (protocol === 'https:' ? '443' : '80');
  const command = `curl -sS -f -m 8 ${options} --resolve ${hostname}:${number}:${address} ${url}`;
  const { exitCode, stdout } = await sandbox.commands
    .run(command)
    .catch((error: { exitCode: number; stdout: string }) => error);
  return exitCode === 0 ? JSON.parse(stdout) : 'refused';
}

describe('a sandbox that may reach some hosts by name', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await client.create({
      network: {
        allowOut: ['allowed.example', '*.wild.example', 'inner.example', 'ours.example', 'unknown.example'],
        denyOut: [EVERYTHING],
      },
    });
  }, 60_000);
  afterAll(() => sandbox?.kill());

  test('reaches them over HTTP and TLS, and what is below a wildcard', async () => {
    for (const [url, options] of [
      ['http://allowed.example/', ''],
      ['https://allowed.example/', '-k'],
      ['http://deep.below.wild.example/', ''],
      ['https://deep.below.wild.example/', '-k'],
    ] as const)
      expect({ url, told: await ask(sandbox, url, HERE, options) }).toMatchObject({ url, told: { at: HERE } });
  });

  test('reaches nothing else: no other name, no wildcard’s own name, no address, no other port', async () => {
    for (const url of [
      'http://evil.example/',
      'https://evil.example/',
      'https://wild.example/',
      `http://${HERE}/`,
      `https://${HERE}/`,
      'http://allowed.example:8080/',
      'http://unknown.example/',
    ])
      expect({ url, told: await ask(sandbox, url, HERE, '-k') }).toEqual({ url, told: 'refused' });
  });

  test('does not get elsewhere by a lie about the name', async () => {
    expect(await ask(sandbox, 'https://allowed.example/', ELSEWHERE, '-k')).toMatchObject({ at: HERE });
    expect(await ask(sandbox, 'http://allowed.example/', ELSEWHERE)).toMatchObject({ at: HERE });
    expect(await ask(sandbox, `http://${ELSEWHERE}/`, ELSEWHERE, '-H "Host: allowed.example"')).toMatchObject({
      at: HERE,
    });
    expect(await ask(sandbox, 'http://allowed.example/', HERE, '-H "Host: evil.example"')).toBe('refused');
    const second = `curl -sS -m 8 --resolve allowed.example:80:${HERE} http://allowed.example/ -o /dev/null --next \
      -m 8 --resolve allowed.example:80:${HERE} -H "Host: evil.example" -w "%{http_code}" -o /dev/null http://allowed.example/`;
    expect((await sandbox.commands.run(second)).stdout).toBe('403');
  });

  test('does not reach private networks nor this server by a name that leads there', async () => {
    const { port } = new URL(client.server.url);
    for (const url of ['http://inner.example/', 'https://inner.example/', 'https://ours.example/'])
      expect({ url, told: await ask(sandbox, url, HERE, '-k') }).toEqual({ url, told: 'refused' });
    expect(await ask(sandbox, `http://ours.example:${port}/`, '127.0.0.1')).toBe('refused');
  });

  test('is held to other rules at once, also over connections that are open', async () => {
    const hold = await sandbox.commands.run(
      `exec 3<>/dev/tcp/${HERE}/80; printf 'GET / HTTP/1.1\\r\\nHost: allowed.example\\r\\n\\r\\n' >&3; head -c 15 <&3; cat <&3 >/dev/null; echo cut`,
      { background: true, timeoutMs: 60_000 },
    );
    await eventually(
      async () => hold.stdout,
      (text) => text.startsWith('HTTP/1.1 200'),
      10_000,
    );
    await sandbox.updateNetwork({ allowOut: [`${ELSEWHERE}/32`, 'evil.example'], denyOut: [EVERYTHING] });
    expect(await ask(sandbox, 'http://allowed.example/', HERE)).toBe('refused');
    expect(await ask(sandbox, 'http://evil.example/', HERE)).toMatchObject({ at: ELSEWHERE });
    expect(await ask(sandbox, `http://${ELSEWHERE}/`, ELSEWHERE)).toMatchObject({ at: ELSEWHERE });
    await eventually(
      async () => hold.stdout,
      (text) => text.includes('cut'),
      10_000,
    );
    await sandbox.updateNetwork({});
    expect(await ask(sandbox, 'http://allowed.example:8080/', HERE)).toMatchObject({ at: HERE });
  });

  test('keeps its rules through pause and resume, and its forks have them', async () => {
    await sandbox.updateNetwork({ allowOut: ['allowed.example'], denyOut: [EVERYTHING] });
    await sandbox.pause();
    await sandbox.connect();
    const [fork] = await sandbox.fork();
    if (!fork || fork instanceof Error) throw new Error('no fork', { cause: fork });
    for (const each of [sandbox, fork]) {
      expect(await ask(each, 'http://allowed.example/', HERE)).toMatchObject({ at: HERE });
      expect(await ask(each, 'http://evil.example/', ELSEWHERE)).toBe('refused');
    }
    await fork.kill();
    await sandbox.pause({ keepMemory: false });
    await sandbox.connect();
    expect(await ask(sandbox, 'https://allowed.example/', HERE, '-k')).toMatchObject({ at: HERE });
    expect(await ask(sandbox, 'https://evil.example/', ELSEWHERE, '-k')).toBe('refused');
  });
});

test('a sandbox without the internet reaches none of it, until it is given it, and says what it has', async () => {
  const sandbox = await client.create({ allowInternetAccess: false });
  expect(await sandbox.getInfo()).toMatchObject({ allowInternetAccess: false });
  for (const url of ['http://allowed.example/', 'http://allowed.example:8080/'])
    expect({ url, told: await ask(sandbox, url, HERE) }).toEqual({ url, told: 'refused' });
  await sandbox.updateNetwork({ allowInternetAccess: true });
  expect(await ask(sandbox, 'http://allowed.example:8080/', HERE)).toMatchObject({ at: HERE });
  expect(await sandbox.getInfo()).toMatchObject({ allowInternetAccess: true });
  await sandbox.updateNetwork({ allowInternetAccess: false });
  expect(await ask(sandbox, 'http://allowed.example/', HERE)).toBe('refused');
  await sandbox.kill();
}, 90_000);

test('requests are given headers on their way that nothing inside ever has', async () => {
  const sandbox = await client.create({
    network: { rules: { 'secret.example': [{ transform: { headers: { Authorization: SECRET } } }] } },
  });
  const own = '-H "Authorization: mine"';
  for (const url of ['http://secret.example/', 'https://secret.example/'])
    // No -k: the certificate that it sees is one that it trusts.
    expect({ url, told: await ask(sandbox, url, ELSEWHERE, own) }).toMatchObject({
      url,
      told: { at: HERE, headers: { authorization: SECRET } },
    });
  expect(await ask(sandbox, 'http://allowed.example/', HERE, own)).toMatchObject({
    headers: { authorization: 'mine' },
  });
  // The connection is for one host: another is not asked over it, and so cannot get its headers.
  expect(await ask(sandbox, 'https://secret.example/', HERE, '-H "Host: evil.example"')).toBe('refused');
  const found = await sandbox.commands.run(
    `env | grep -c of-the-owner; grep -rl of-the-owner /etc /home /tmp /run | wc -l`,
  );
  expect(found.stdout).toBe('0\n0\n');
  expect(JSON.stringify(await sandbox.getInfo())).not.toContain('of-the-owner');
  const [{ facts }] = (await client.server.db.query<{ facts: string }>(
    `select count(*)::text as facts from facts where data::text like '%of-the-owner%'`,
  )) as [{ facts: string }];
  expect(facts).toBe('0');
  // A rule opens nothing.
  await sandbox.updateNetwork({
    denyOut: [EVERYTHING],
    rules: { 'secret.example': [{ transform: { headers: { Authorization: SECRET } } }] },
  });
  expect(await ask(sandbox, 'https://secret.example/', HERE)).toBe('refused');
  await sandbox.kill();
}, 90_000);

test('all TCP goes through the proxy of its owner, whatever its port, and nothing beside it', async () => {
  const proxy = { address: 'proxy.example:1080', username: 'me', password: 'pass' };
  const sandbox = await client.create({ network: { egressProxy: proxy } });
  expect(await ask(sandbox, 'http://allowed.example:8080/', HERE)).toMatchObject({
    at: 'proxy',
    user: 'me:pass',
    asked: `${HERE}:8080`,
  });
  await sandbox.updateNetwork({ allowOut: ['allowed.example'], denyOut: [EVERYTHING], egressProxy: proxy });
  expect(await ask(sandbox, 'http://allowed.example/', HERE)).toMatchObject({ asked: 'allowed.example:80' });
  expect(await ask(sandbox, 'http://evil.example/', HERE)).toBe('refused');
  expect(JSON.stringify((await sandbox.getInfo()).network)).not.toContain('pass');
  await sandbox.updateNetwork({ egressProxy: { address: `${HERE}:9` } });
  expect(await ask(sandbox, 'http://allowed.example/', HERE)).toBe('refused');
  await sandbox.kill();
}, 90_000);
