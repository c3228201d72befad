import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DAY, HOUR } from '../../src/kernel/time.ts';
import { startApis, statusesOf, type Reply, type TestApis } from '../harness/apis.ts';
import { endAll, settleAll } from './settle.ts';
import { KEY } from './world.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterEach(() => endAll(world));
afterAll(() => world.close());

const PASSWORD = 'correct horse battery staple';
const ORDER = { label: 'my-bot', planId: 'vc2-1c-1gb', regionId: 'ams' };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const OTHERS = '01890000-0000-7000-8000-000000000000';

let people = 0;

/** A person with so many cents, and what he calls. */
async function person(cents = 0) {
  const body = { email: `person-${(people += 1)}@example.com`, password: PASSWORD };
  const { user, accessToken } = (await world.call('POST', '/auth/register', { body })).body;
  if (cents > 0) await world.credit(user.id, cents);
  let key: string = accessToken;
  const call = (method: string, path: string, given?: unknown): Promise<Reply> =>
    world.call(method, path, { key, ...(given !== undefined && { body: given }) });
  const logIn = async () => void (key = (await world.call('POST', '/auth/login', { body })).body.accessToken);
  return { id: user.id as string, call, logIn };
}

async function active({ call }: Awaited<ReturnType<typeof person>>, order: object = {}): Promise<string> {
  const { status, body } = await call('POST', '/servers', { ...ORDER, ...order });
  expect(status).toBe(202);
  await settleAll(world);
  return body.server.id;
}

describe('/auth', () => {
  test('refuses what is no e-mail address or too short a password, and says which', async () => {
    const register = (body: unknown) => world.call('POST', '/auth/register', { body });
    expect(await register({ email: 'ada', password: 'short77' })).toMatchObject({
      status: 400,
      body: {
        error: expect.any(String),
        details: [
          { in: 'body', field: 'email', message: expect.stringMatching(/must be an e-mail address/) },
          { in: 'body', field: 'password', message: expect.stringMatching(/8/) },
        ],
      },
    });
    expect((await register({ email: 'eight@example.com', password: '12345678' })).status).toBe(201);
  });

  test('answers 401 to who is not logged in, or was more than 15 minutes ago', async () => {
    const me = await person();
    for (const path of ['/auth/me', '/billing', '/servers', '/backups']) {
      const reply = await world.call('GET', path);
      expect([path, reply.status, reply.body]).toEqual([path, 401, { error: expect.any(String) }]);
      expect(reply.headers.get('www-authenticate')).toBe('Bearer');
    }
    world.clock.advance(15 * 60_000);
    expect((await me.call('GET', '/billing')).status).toBe(401);
    await me.logIn();
    expect((await me.call('GET', '/billing')).status).toBe(200);
  });
});

describe('/servers', () => {
  test('shows a server with these fields and no others, in each of its states', async () => {
    const me = await person(1_000);
    const { body } = await me.call('POST', '/servers', { ...ORDER, sshKey: KEY });
    const fields = {
      id: expect.stringMatching(UUID),
      label: 'my-bot',
      status: 'PROVISIONING',
      region: 'ams',
      plan: 'vc2-1c-1gb',
      ipv4: null,
      hourlyPrice: '0.0137',
      createdAt: expect.stringMatching(INSTANT),
      power: 'on',
      ssh: null,
      paidUntil: null,
      suspendedAt: null,
      error: null,
    };
    expect(body).toEqual({ server: fields });
    await settleAll(world);
    const path = `/servers/${body.server.id}`;
    const ssh = {
      host: 'freehold.test',
      port: expect.any(Number),
      user: 'root',
      fingerprint: expect.stringMatching(/^SHA256:/),
      knownHosts: expect.stringMatching(/^\[freehold\.test\]:\d+ ssh-ed25519 /),
    };
    const up = { ...fields, status: 'ACTIVE', ipv4: '192.0.2.10', ssh, paidUntil: expect.stringMatching(INSTANT) };
    expect((await me.call('GET', path)).body).toEqual({ server: up });
    // All that it can pay, and no hour more.
    world.clock.advance(800 * HOUR);
    await settleAll(world);
    await me.logIn();
    expect((await me.call('GET', path)).body.server).toMatchObject({
      status: 'SUSPENDED',
      paidUntil: null,
      suspendedAt: expect.stringMatching(INSTANT),
    });
    expect((await me.call('GET', '/billing')).body).toEqual({ balance: '0.01', hourlySpend: '0' });
    expect((await me.call('DELETE', path)).body).toEqual({ ok: true });
    expect((await me.call('GET', path)).body.server).toMatchObject({ status: 'DESTROYING', ipv4: null, ssh: null });
    expect(await me.call('DELETE', path)).toMatchObject({
      status: 409,
      body: { error: 'This server is already being destroyed.' },
    });
    expect((await me.call('GET', '/servers')).body.servers).toHaveLength(1);
    await settleAll(world);
    expect((await me.call('GET', '/servers')).body).toEqual({ servers: [] });
    expect(await me.call('GET', path)).toMatchObject({ status: 404, body: { error: 'Server not found' } });
  });

  test('costs what its plan says, all together what they cost each', async () => {
    const me = await person(1_000);
    const plans = ['vc2-1c-1gb', 'vc2-1c-2gb', 'vc2-2c-4gb', 'vc2-4c-8gb', 'vc2-6c-16gb'];
    const prices = [];
    for (const planId of plans)
      prices.push((await me.call('POST', '/servers', { ...ORDER, planId })).body.server.hourlyPrice);
    expect(prices).toEqual(['0.0137', '0.0247', '0.0466', '0.0849', '0.1644']);
    await settleAll(world);
    const spend = (await me.call('GET', '/servers')).body.servers
      .filter(({ status }: { status: string }) => status === 'ACTIVE')
      .reduce((sum: number, { hourlyPrice }: { hourlyPrice: string }) => sum + Number(hourlyPrice) * 10_000, 0);
    expect(Number((await me.call('GET', '/billing')).body.hourlySpend) * 10_000).toBeCloseTo(spend, 6);
  });

  test('takes labels of the pattern up to 64 characters, and from one to ten at once', async () => {
    const me = await person(10_000);
    const refused = [
      { ...ORDER, label: '' },
      { ...ORDER, label: 'x'.repeat(65) },
      { ...ORDER, label: 'ü' },
      { ...ORDER, regionId: 'lhr' },
      { label: 'x', planId: ORDER.planId },
    ];
    for (const body of refused) expect([body, (await me.call('POST', '/servers', body)).status]).toEqual([body, 400]);
    for (const count of [0, 11, 1.5, '2', undefined])
      expect([count, (await me.call('POST', '/servers/bulk', { ...ORDER, count })).status]).toEqual([count, 400]);
    const longest = await me.call('POST', '/servers', { ...ORDER, label: `A.b_c-${'9'.repeat(58)}` });
    expect([longest.status, longest.body.server.label.length]).toEqual([202, 64]);
    // Of ten the last has two digits.
    const suffixed = (length: number, count: number) =>
      me.call('POST', '/servers/bulk', { ...ORDER, label: 'x'.repeat(length), count });
    expect((await suffixed(62, 10)).status).toBe(400);
    expect((await suffixed(62, 9)).body.servers.at(-1).label).toBe(`${'x'.repeat(62)}-9`);
    expect((await me.call('GET', '/servers')).body.servers).toHaveLength(10);
  });

  test('counts a suspended one, and none that is in error, among the ten', async () => {
    const me = await person(14);
    expect((await me.call('POST', '/servers/bulk', { ...ORDER, count: 10 })).status).toBe(202);
    await settleAll(world);
    await world.db.query(
      `update servers set state = 'error', failure = 'x', machine_removed = true, paid_until = null, ended_at = now()
        where id = (select id from servers where account_id = $1 and state = 'active' limit 1)`,
      [me.id],
    );
    world.clock.advance(HOUR);
    await settleAll(world);
    await me.logIn();
    await world.credit(me.id, 2);
    const one = await me.call('POST', '/servers', ORDER);
    expect(one.status).toBe(202);
    const another = await me.call('POST', '/servers', ORDER);
    expect(another).toMatchObject({
      status: 403,
      body: { error: expect.stringMatching(/^Server limit reached: .* 10 active servers/) },
    });
  });

  test('of somebody else does not exist, whatever is asked of it', async () => {
    const owner = await person(100);
    const id = await active(owner);
    const { backup } = (await owner.call('POST', '/backups', { serverId: id })).body;
    await settleAll(world);
    const stranger = await person(100);
    const asked = [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/reboot'],
      ['POST', '/stop'],
      ['POST', '/start'],
      ['PUT', '/ssh-key', { sshKey: KEY }],
      ['GET', '/console'],
      ['GET', '/backup-schedule'],
      ['PUT', '/backup-schedule', { everyHours: 1 }],
      ['DELETE', '/backup-schedule'],
    ] as const;
    for (const [method, below, body] of asked)
      for (const server of [id, OTHERS, 'no-id'])
        expect([method, below, (await stranger.call(method, `/servers/${server}${below}`, body)).status]).toEqual([
          method,
          below,
          404,
        ]);
    expect((await stranger.call('POST', '/backups', { serverId: id })).status).toBe(404);
    expect((await stranger.call('POST', `/backups/${backup.id}/restore`)).status).toBe(404);
    expect((await stranger.call('DELETE', `/backups/${backup.id}`)).status).toBe(404);
    expect((await owner.call('GET', '/backups')).body.backups).toMatchObject([{ status: 'AVAILABLE' }]);
  });

  test('in two calls at once that the limit, or the money, allows one of: one is whole, and nothing is of the other', async () => {
    const rich = await person(10_000);
    // Seven hours of $0.0137 are less than ten cents, ten are more.
    const poor = await person(10);
    for (const [me, count] of [
      [rich, 6],
      [poor, 5],
    ] as const) {
      const before = (await me.call('GET', '/billing')).body.balance;
      const replies = await Promise.all([1, 2].map(() => me.call('POST', '/servers/bulk', { ...ORDER, count })));
      expect(statusesOf(replies)).toEqual([202, me === rich ? 403 : 402]);
      expect((await me.call('GET', '/servers')).body.servers).toHaveLength(count);
      for (const { id } of (await me.call('GET', '/servers')).body.servers)
        expect((await me.call('DELETE', `/servers/${id}`)).status).toBe(202);
      // None of them was ever up: all of it is back.
      expect((await me.call('GET', '/billing')).body.balance).toBe(before);
    }
    expect((await world.ledger.reconcile(world.db)).USD).toMatchObject({ valid: true });
  });
});

describe('/backups', () => {
  test('shows a backup with these fields and no others, and restores and deletes it as the document says', async () => {
    const me = await person(10);
    const { body: made } = await me.call('POST', '/servers', ORDER);
    const serverId = made.server.id;
    expect(await me.call('POST', '/backups', { serverId })).toMatchObject({
      status: 409,
      body: { error: 'This server is still being made.' },
    });
    expect((await me.call('POST', '/backups', {})).status).toBe(400);
    await settleAll(world);
    const asked = await me.call('POST', '/backups', { serverId });
    const fields = {
      id: expect.stringMatching(UUID),
      label: 'my-bot',
      status: 'PENDING',
      region: 'ams',
      plan: 'vc2-1c-1gb',
      createdAt: expect.stringMatching(INSTANT),
      expiresAt: expect.stringMatching(INSTANT),
      serverId,
      scheduled: false,
      sizeBytes: null,
      error: null,
    };
    expect([asked.status, asked.body]).toEqual([202, { backup: fields }]);
    const { id, createdAt, expiresAt } = asked.body.backup;
    expect(Date.parse(expiresAt) - Date.parse(createdAt)).toBe(7 * DAY);
    const restore = (body?: unknown) => me.call('POST', `/backups/${id}/restore`, body);
    expect(await restore()).toMatchObject({ status: 409, body: { error: 'This backup is still being made.' } });
    expect((await me.call('POST', '/backups', { serverId })).status).toBe(409);
    await settleAll(world);
    expect((await me.call('GET', '/backups')).body).toEqual({
      backups: [{ ...fields, status: 'AVAILABLE', sizeBytes: expect.any(Number) }],
    });
    const restored = await restore();
    expect(restored).toMatchObject({
      status: 202,
      body: { server: { status: 'PROVISIONING', plan: 'vc2-1c-1gb', region: 'ams', rootPassword: expect.any(String) } },
    });
    expect(restored.body.server.id).not.toBe(serverId);
    expect((await restore({ sshKey: 'ssh-ed25519 nothing' })).body.details).toMatchObject([{ field: 'sshKey' }]);
    await me.call('POST', '/servers/bulk', { ...ORDER, count: 5 });
    expect((await restore()).status).toBe(402);
    await world.credit(me.id, 100);
    await me.call('POST', '/servers/bulk', { ...ORDER, count: 3 });
    expect((await restore()).status).toBe(403);
    expect(await me.call('DELETE', `/backups/${id}`)).toMatchObject({ status: 202, body: { ok: true } });
    expect((await me.call('GET', '/backups')).body.backups).toMatchObject([{ status: 'EXPIRED' }]);
    expect(await restore()).toMatchObject({ status: 409, body: { error: 'This backup has expired.' } });
    expect((await me.call('DELETE', `/backups/${id}`)).status).toBe(409);
  });
});
