import { NotFoundError, Sandbox, SandboxNotFoundError } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOUR, MINUTE } from '../../src/kernel/time.ts';
import { eventually, request } from '../harness/agent.ts';
import { startClient, type Client } from './client.ts';

let client: Client;
/** One that forks and snapshots are made of. */
let sandbox: Sandbox;
beforeAll(async () => {
  client = await startClient({ FREEHOLD_TEST_CLOCK: 'on' });
  sandbox = await client.create({ timeoutMs: 24 * HOUR });
});
afterAll(() => client?.stop());

const bootId = async (one: Sandbox) => (await one.commands.run('cat /proc/sys/kernel/random/boot_id')).stdout;
const balance = async () => {
  const { body } = await request(client.server.url, 'GET', '/v1/credits/balance', { key: client.agent.key });
  return body.balance_cents as number;
};

describe('a paused sandbox', () => {
  test('goes on where it stopped: its processes, their memory, its files', async () => {
    const one = await client.create({ envs: { COLOUR: 'blue' } });
    const counter = await one.commands.run('n=0; while true; do n=$((n+1)); echo $n > count; sleep 0.05; done', {
      background: true,
    });
    expect(await one.pause()).toBe(true);
    expect(await one.pause()).toBe(false);
    expect([(await one.getInfo()).state, await one.isRunning()]).toEqual(['paused', false]);
    await expect(one.commands.run('true')).rejects.toThrow();
    await one.connect({ timeoutMs: 10 * MINUTE });
    expect(await one.isRunning()).toBe(true);
    expect(await one.commands.list()).toContainEqual(expect.objectContaining({ pid: counter.pid }));
    const before = Number(await one.files.read('count'));
    await eventually(
      async () => Number(await one.files.read('count')),
      (count) => count > before,
    );
    expect((await one.commands.run('echo $COLOUR')).stdout).toBe('blue\n');
    await one.kill();
  });

  test('costs nothing, however long it rests', async () => {
    const one = await client.create();
    await one.pause();
    await sandbox.pause();
    const before = await balance();
    await client.advance(12 * HOUR);
    expect(await balance()).toBe(before);
    expect((await one.getInfo()).state).toBe('paused');
    await sandbox.connect({ timeoutMs: 24 * HOUR });
    expect(await one.kill()).toBe(true);
  });

  test('without its memory starts anew from its disk', async () => {
    const one = await client.create();
    await one.files.write('kept', 'on disk');
    await one.commands.run('sleep 1000', { background: true });
    await one.pause({ keepMemory: false });
    await one.connect();
    expect(await one.files.read('kept')).toBe('on disk');
    expect(await one.commands.list()).toEqual([]);
    await one.pause();
    await one.commands.run('true').catch(() => {});
    await Sandbox.connect(one.sandboxId, { ...client.access, onResume: 'reboot' });
    expect(await one.files.read('kept')).toBe('on disk');
    await one.kill();
  });

  test.each(['/v2/sandboxes/ID/connect', '/sandboxes/ID/connect', '/sandboxes/ID/resume'])(
    'is woken at %s for as long as is said, which tells that it was asleep',
    async (path) => {
      const one = await client.create({ timeoutMs: HOUR });
      const { endAt } = await one.getInfo();
      await one.pause();
      const { status, body } = await request(
        client.server.url,
        'POST',
        `/e2b/api${path.replace('ID', one.sandboxId)}`,
        { key: client.agent.key, body: { timeout: 60 } },
      );
      expect([status, body.sandboxID]).toEqual([201, one.sandboxId]);
      expect((await one.getInfo()).endAt.getTime()).toBeLessThan(endAt.getTime() - 50 * MINUTE);
      // With the token that it had.
      expect((await one.commands.run('echo awake')).stdout).toBe('awake\n');
      await one.kill();
    },
  );

  test('can be killed as it is', async () => {
    const one = await client.create();
    await one.pause();
    expect(await one.kill()).toBe(true);
    await expect(one.getInfo()).rejects.toBeInstanceOf(SandboxNotFoundError);
  });
});

describe('at its timeout', () => {
  test('a sandbox that is to be paused is paused, and connecting wakes it', async () => {
    const one = await client.create({ timeoutMs: MINUTE, lifecycle: { onTimeout: 'pause' } });
    expect((await one.getInfo()).lifecycle).toEqual({ onTimeout: 'pause', autoResume: false });
    await client.advance(2 * MINUTE);
    expect([(await one.getInfo()).state, await one.isRunning()]).toEqual(['paused', false]);
    await expect(one.files.read('x')).rejects.toThrow();
    await one.connect();
    expect(await one.isRunning()).toBe(true);
    await one.kill();
  });

  test('traffic wakes one that asks for it, with its processes', async () => {
    const lifecycle = { onTimeout: 'pause', autoResume: true } as const;
    const one = await client.create({ timeoutMs: MINUTE, lifecycle });
    const sleeper = await one.commands.run('sleep 1000', { background: true });
    await client.advance(2 * MINUTE);
    expect((await one.getInfo()).state).toBe('paused');
    expect(await one.isRunning()).toBe(false);
    expect((await one.commands.run('echo awake')).stdout).toBe('awake\n');
    expect((await one.getInfo()).state).toBe('running');
    expect(await one.commands.list()).toContainEqual(expect.objectContaining({ pid: sleeper.pid }));
    await one.kill();
  });

  test('one that keeps only its disk is not woken by traffic', async () => {
    const lifecycle = { onTimeout: { action: 'pause', keepMemory: false } } as const;
    const one = await client.create({ timeoutMs: MINUTE, lifecycle });
    await one.files.write('kept', 'on disk');
    const before = await bootId(one);
    await client.advance(2 * MINUTE);
    await expect(one.files.read('kept')).rejects.toThrow();
    await one.connect();
    expect(await one.files.read('kept')).toBe('on disk');
    expect(before).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(await bootId(one)).not.toBe(before);
    await one.kill();
  });
});

describe('a snapshot', () => {
  test('outlives its sandbox, and any number of new ones begin as it was', async () => {
    const source = await client.create();
    await source.files.write('state', 'then');
    const { snapshotId } = await source.createSnapshot();
    await source.files.write('state', 'later');
    await source.kill();
    const [one, two] = await Promise.all([
      client.create({ template: snapshotId }),
      Sandbox.create(snapshotId, client.access),
    ]);
    await one.files.write('state', 'changed');
    expect([await one.files.read('state'), await two.files.read('state')]).toEqual(['changed', 'then']);
    expect((await two.getInfo()).templateId).toBe(snapshotId);
    await Promise.all([one.kill(), two.kill()]);
    expect(await Sandbox.deleteSnapshot(snapshotId, client.access)).toBe(true);
    expect(await Sandbox.deleteSnapshot(snapshotId, client.access)).toBe(false);
    await expect(Sandbox.create(snapshotId, client.access)).rejects.toThrow();
  });

  test('has a name by which it is found, used and deleted', async () => {
    await sandbox.files.write('named', 'yes');
    const snapshot = await sandbox.createSnapshot({ name: 'my-base' });
    expect(snapshot.names).toEqual([`${client.agent.accountId}/my-base:default`]);
    const found = async (name: string) =>
      (await Sandbox.listSnapshots({ ...client.access, name }).nextItems()).map(({ snapshotId }) => snapshotId);
    for (const name of ['my-base', 'my-base:default', ...snapshot.names])
      expect(await found(name)).toEqual([snapshot.snapshotId]);
    expect(await found('another')).toEqual([]);
    const one = await Sandbox.create('my-base', client.access);
    expect(await one.files.read('named')).toBe('yes');
    await one.kill();
    expect(await Sandbox.deleteSnapshot(snapshot.names[0]!, client.access)).toBe(true);
    expect(await found('my-base')).toEqual([]);
  });

  test('taken again under its name stands for it, and with the name all of them are deleted', async () => {
    for (const state of ['older', 'newer']) {
      await sandbox.files.write('again', state);
      await sandbox.createSnapshot({ name: 'again' });
    }
    const one = await Sandbox.create('again', client.access);
    expect(await one.files.read('again')).toBe('newer');
    await one.kill();
    expect(await Sandbox.deleteSnapshot('again', client.access)).toBe(true);
    await expect(Sandbox.create('again', client.access)).rejects.toThrow(/Template not found/);
    expect(await Sandbox.deleteSnapshot('again', client.access)).toBe(false);
  });

  test('is listed, newest first and page by page, of all or of one sandbox', async () => {
    const made = [await sandbox.createSnapshot(), await sandbox.createSnapshot()].map(({ snapshotId }) => snapshotId);
    const pages = sandbox.listSnapshots({ limit: 1 });
    const listed: string[] = [];
    while (pages.hasNext) listed.push(...(await pages.nextItems()).map(({ snapshotId }) => snapshotId));
    expect(listed).toEqual(made.toReversed());
    const all = await Sandbox.listSnapshots(client.access).nextItems();
    expect(all.map(({ snapshotId }) => snapshotId)).toEqual(expect.arrayContaining(made));
    for (const id of made) expect(await Sandbox.deleteSnapshot(id, client.access)).toBe(true);
  });

  test('of another account does not exist', async () => {
    const { snapshotId } = await sandbox.createSnapshot();
    const { key } = await client.server.agent(100);
    const theirs = { ...client.access, apiKey: key };
    expect(await Sandbox.deleteSnapshot(snapshotId, theirs)).toBe(false);
    await expect(Sandbox.create(snapshotId, theirs)).rejects.toThrow();
    expect(await Sandbox.listSnapshots(theirs).nextItems()).toEqual([]);
    expect(await Sandbox.deleteSnapshot(snapshotId, client.access)).toBe(true);
  });
});

describe('a fork', () => {
  test('begins with the source’s files, is a sandbox of its own, and leaves the source as it is', async () => {
    await sandbox.files.write('state', 'before');
    const { endAt } = await sandbox.getInfo();
    const forks = await sandbox.fork({ count: 2, timeoutMs: 10 * MINUTE });
    const [one, two] = forks.filter((fork) => fork instanceof Sandbox);
    expect(new Set([sandbox.sandboxId, one!.sandboxId, two!.sandboxId]).size).toBe(3);
    await one!.files.write('state', 'in the fork');
    expect(await Promise.all([sandbox, two!].map((each) => each.files.read('state')))).toEqual(['before', 'before']);
    expect([await sandbox.isRunning(), (await sandbox.getInfo()).endAt]).toEqual([true, endAt]);
    const hosts = await Promise.all([sandbox, one!, two!].map((each) => each.files.read('/etc/machine-id')));
    expect(new Set(hosts).size).toBe(3);
    await Promise.all([one!.kill(), two!.kill()]);
  });

  test('of what is gone is not made', async () => {
    const gone = await client.create();
    await gone.kill();
    await expect(gone.fork()).rejects.toBeInstanceOf(SandboxNotFoundError);
  });
});

describe('the figures of a sandbox', () => {
  test('are there within seconds, in the span that is asked for', async () => {
    const metrics = await eventually(
      () => sandbox.getMetrics(),
      (all) => all.length > 0,
      20_000,
      500,
    );
    const [first] = metrics;
    expect(first).toMatchObject({ cpuCount: 1, memTotal: 512 * 1_024 * 1_024 });
    expect(first!.memUsed).toBeGreaterThan(0);
    expect(first!.memUsed).toBeLessThan(first!.memTotal);
    expect(first!.diskUsed).toBeLessThan(first!.diskTotal);
    const { startedAt } = await sandbox.getInfo();
    const before = { start: new Date(startedAt.getTime() - HOUR), end: new Date(startedAt.getTime() - HOUR / 2) };
    expect(await sandbox.getMetrics(before)).toEqual([]);
    const batch = await request(
      client.server.url,
      'GET',
      `/e2b/api/sandboxes/metrics?sandbox_ids=${sandbox.sandboxId},nonsense`,
      {
        key: client.agent.key,
      },
    );
    expect(Object.keys(batch.body.sandboxes)).toEqual([sandbox.sandboxId]);
  });

  test('of a sandbox that is gone are not found', async () => {
    await expect(Sandbox.getMetrics('i0123456789012345678', client.access)).rejects.toBeInstanceOf(NotFoundError);
  });

  test('are told inside as well', async () => {
    const named = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '49983' };
    const inside = { ...named, 'x-access-token': sandboxToken(sandbox) };
    const { body } = await request(client.access.sandboxUrl, 'GET', '/metrics', { headers: inside });
    expect(body).toMatchObject({ cpu_count: 1, mem_total: 512 * 1_024 * 1_024, ts: expect.any(Number) });
    const envs = await request(client.access.sandboxUrl, 'GET', '/envs', { headers: inside });
    expect(envs.body).toMatchObject({ E2B_SANDBOX: 'true', E2B_SANDBOX_ID: sandbox.sandboxId });
    expect((await request(client.access.sandboxUrl, 'GET', '/envs', { headers: named })).status).toBe(401);
  });
});

/** What the client sends; it does not show it. */
const sandboxToken = (one: Sandbox): string => (one as unknown as { envdAccessToken: string }).envdAccessToken;

describe('what a sandbox may reach', () => {
  test('is said at its creation and replaced as a whole', async () => {
    const one = await client.create({
      network: { denyOut: ({ allTraffic }) => [allTraffic], allowOut: ['192.0.2.1'] },
    });
    expect((await one.getInfo()).network).toMatchObject({ allowOut: ['192.0.2.1'], denyOut: ['0.0.0.0/0'] });
    await one.updateNetwork({ denyOut: ['198.51.100.0/24'] });
    expect((await one.getInfo()).network).toMatchObject({ allowOut: [], denyOut: ['198.51.100.0/24'] });
    await one.updateNetwork({});
    expect((await one.getInfo()).network).toMatchObject({ allowOut: [], denyOut: [] });
    await one.pause();
    await expect(one.updateNetwork({})).rejects.toThrow(/409/);
    await one.kill();
  });

  test('needs a token to be reached itself where its traffic is not public', async () => {
    const one = await client.create({
      network: { allowPublicTraffic: false, maskRequestHost: 'host.example:${PORT}' },
    });
    expect(one.trafficAccessToken).toMatch(/^\S{20,}$/);
    expect((await one.getInfo()).network).toMatchObject({
      allowPublicTraffic: false,
      maskRequestHost: 'host.example:${PORT}',
    });
    expect(sandbox.trafficAccessToken).toBeUndefined();
    await one.updateNetwork({ denyOut: ['198.51.100.0/24'] });
    expect((await one.getInfo()).network).toMatchObject({
      denyOut: ['198.51.100.0/24'],
      allowPublicTraffic: false,
      maskRequestHost: 'host.example:${PORT}',
    });
    await one.kill();
  });
});

test('a port has a host name below the domain of apps', () => {
  expect(sandbox.getHost(3_000)).toBe(`3000-${sandbox.sandboxId}.apps.localhost:${new URL(client.server.url).port}`);
});
