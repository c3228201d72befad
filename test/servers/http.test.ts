import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOUR, MINUTE } from '../../src/kernel/time.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { ADMIN_KEY, startApis, statusesOf, type Reply, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis({ agentBonusCents: 500 })));
afterAll(() => world.close());

const PASSWORD = 'correct horse battery staple';
const ORDER = { label: 'my-bot', planId: 'vc2-1c-1gb', regionId: 'ams' };

let people = 0;
type Person = { email: string; id: string; key: string };

async function person(cents = 0): Promise<Person> {
  const email = `Person-${(people += 1)}@Example.com`;
  const { status, body } = await world.call('POST', '/auth/register', { body: { email, password: PASSWORD } });
  expect(status).toBe(201);
  if (cents > 0) await world.credit(body.user.id, cents);
  return { email, id: body.user.id, key: body.accessToken };
}

const get = ({ key }: Person, path: string): Promise<Reply> => world.call('GET', path, { key });
const post = ({ key }: Person, path: string, body: unknown): Promise<Reply> => world.call('POST', path, { key, body });

/** What the jobs do where they run. */
async function settle(): Promise<void> {
  const op = systemOp(world.clock.now());
  for (const { id } of await world.db.query<{ id: never }>(`select id from servers`))
    await world.compute.settle(op, id);
  await world.compute.tick(op);
}

describe('an account with an e-mail address', () => {
  test('is opened once for an address, however it is written, and is given nothing', async () => {
    const body = { email: 'Ada@Example.com', password: PASSWORD };
    const opened = await world.call('POST', '/auth/register', { body });
    expect(opened).toMatchObject({
      status: 201,
      body: {
        accessToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
        user: { email: 'ada@example.com', balance: '0.00' },
      },
    });
    const again = await world.call('POST', '/auth/register', { body: { ...body, email: 'ada@example.COM' } });
    expect(again).toMatchObject({ status: 409, body: { error: expect.any(String) } });
    const login = await world.call('POST', '/auth/login', { body });
    expect(login).toMatchObject({ status: 200, body: { user: opened.body.user } });
    for (const wrong of [
      { ...body, password: 'wrong password' },
      { ...body, email: 'nobody@example.com' },
    ])
      expect((await world.call('POST', '/auth/login', { body: wrong })).status).toBe(401);
  });

  test('is answered again to who repeats the request, and to nobody who only knows its name', async () => {
    const body = { email: 'again@example.com', password: PASSWORD };
    const headers = { 'idempotency-key': 'register' };
    const first = await world.call('POST', '/auth/register', { body, headers });
    await world.db.query('delete from idempotency_records');
    const again = await world.call('POST', '/auth/register', { body, headers });
    expect(again).toMatchObject({ status: 201, body: { user: first.body.user } });
    await world.db.query('delete from idempotency_records');
    const other = { ...body, password: 'of somebody else' };
    expect((await world.call('POST', '/auth/register', { body: other, headers })).status).toBe(409);
  });

  test('of many who register it at once is opened for one', async () => {
    const body = { email: 'race@example.com', password: PASSWORD };
    const replies = await Promise.all(Array.from({ length: 5 }, () => world.call('POST', '/auth/register', { body })));
    expect(statusesOf(replies)).toEqual([201, 409, 409, 409, 409]);
  });

  test('opens every contract for 15 minutes', async () => {
    const me = await person();
    expect((await get(me, '/auth/me')).body).toEqual({
      user: { id: me.id, email: me.email.toLowerCase(), balance: '0.00' },
    });
    expect((await get(me, '/v1/account')).body).toMatchObject({ account_id: me.id, kind: 'person' });
    expect((await get(me, '/api/v1/users/me')).body).toMatchObject({ user_id: me.id });
    const op = { ...systemOp(new Date(world.clock.now().getTime() + 15 * MINUTE)) };
    await expect(world.identity.authenticate(op, { secret: me.key, bearer: true })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    const [header = ''] = me.key.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'HS256', typ: 'pt+jwt' });
  });

  test('is the same as the one that a person has claimed of an agent', async () => {
    const agent = await world.register('claimed');
    const link = await world.call('POST', '/v1/account/claim-link', { key: agent.key, body: {} });
    const token = link.body.claim_url?.split(/[#=/]/).at(-1) ?? link.body.token;
    const owner = { email: 'owner@example.com', password: PASSWORD };
    const claimed = await world.call('POST', '/v1/account/claim', { body: { token, ...owner } });
    expect(claimed.status).toBe(200);
    const login = await world.call('POST', '/auth/login', { body: owner });
    expect(login.body.user).toEqual({ id: agent.accountId, email: 'owner@example.com', balance: '5.00' });
    expect((await world.call('POST', '/auth/register', { body: owner })).status).toBe(409);
  });
});

describe('servers over HTTP', () => {
  test('are deployed, asked for, counted and destroyed as the document says', async () => {
    const me = await person(1_000);
    expect((await get(me, '/billing')).body).toEqual({ balance: '10.00', hourlySpend: '0' });
    const deployed = await post(me, '/servers', ORDER);
    expect(deployed.status).toBe(202);
    expect(deployed.body.server).toMatchObject({
      label: 'my-bot',
      status: 'PROVISIONING',
      region: 'ams',
      plan: 'vc2-1c-1gb',
      ipv4: null,
      hourlyPrice: '0.0137',
      rootPassword: expect.any(String),
    });
    const { id } = deployed.body.server;
    await settle();
    const { server } = (await get(me, `/servers/${id}`)).body;
    expect(server).toMatchObject({
      id,
      status: 'ACTIVE',
      ipv4: '192.0.2.10',
      ssh: { host: 'freehold.test', user: 'root', knownHosts: expect.stringContaining('ssh-ed25519') },
    });
    expect(server).not.toHaveProperty('rootPassword');
    expect((await get(me, '/servers')).body.servers).toEqual([server]);
    expect((await get(me, '/billing')).body).toEqual({ balance: '9.99', hourlySpend: '0.0137' });
    world.clock.advance(2 * HOUR);
    await settle();
    const { body: session } = await world.call('POST', '/auth/login', {
      body: { email: me.email, password: PASSWORD },
    });
    // Three hours take 10.00 to 9.96.
    expect(session.user.balance).toBe('9.96');
    const later = { ...me, key: session.accessToken };
    expect(await world.call('DELETE', `/servers/${id}`, later)).toMatchObject({ status: 202, body: { ok: true } });
    expect(await world.call('DELETE', `/servers/${id}`, later)).toMatchObject({ status: 409 });
    await settle();
    expect((await get(later, '/servers')).body).toEqual({ servers: [] });
    expect((await get(later, `/servers/${id}`)).status).toBe(404);
    world.clock.advance(-2 * HOUR);
  });

  test('in bulk are all deployed or none, within ten', async () => {
    const me = await person(4);
    const bulk = { ...ORDER, label: 'fleet', count: 3 };
    expect((await post(me, '/servers/bulk', bulk)).status).toBe(402);
    expect((await get(me, '/servers')).body.servers).toEqual([]);
    await world.credit(me.id, 100);
    const { status, body } = await post(me, '/servers/bulk', bulk);
    expect(status).toBe(202);
    expect(body.servers.map(({ label }: { label: string }) => label)).toEqual(['fleet-1', 'fleet-2', 'fleet-3']);
    expect(new Set(body.servers.map(({ rootPassword }: { rootPassword: string }) => rootPassword)).size).toBe(3);
    expect((await post(me, '/servers/bulk', { ...bulk, count: 8 })).status).toBe(403);
    expect((await post(me, '/servers/bulk', { ...bulk, label: 'x'.repeat(63) })).status).toBe(400);
    expect((await get(me, '/servers')).body.servers).toHaveLength(3);
  });

  test('say what is wrong with a request, and where', async () => {
    const me = await person(100);
    const { status, body } = await post(me, '/servers', { ...ORDER, label: 'no spaces', planId: 'huge', sshKey: 'x' });
    expect(status).toBe(400);
    expect(body.details.map(({ field }: { field: string }) => field)).toEqual(['label', 'planId', 'sshKey']);
    expect(body.details[2].message).toMatch(/^sshKey must begin with its type/);
    expect((await post(await person(), '/servers', ORDER)).body).toEqual({
      error: expect.stringMatching(/^Insufficient/),
    });
  });

  test('are carried out once under an Idempotency-Key', async () => {
    const me = await person(100);
    const headers = { 'idempotency-key': 'once' };
    const [first, second] = [
      await world.call('POST', '/servers', { key: me.key, body: ORDER, headers }),
      await world.call('POST', '/servers', { key: me.key, body: ORDER, headers }),
    ];
    expect(second.body).toEqual(first.body);
    expect((await get(me, '/servers')).body.servers).toHaveLength(1);
  });

  test('have a catalogue of five plans and 29 regions that anybody may read', async () => {
    const { plans } = (await world.call('GET', '/plans')).body;
    expect(plans[0]).toEqual({
      id: 'vc2-1c-1gb',
      name: 'Micro',
      vcpus: 1,
      memoryGb: 1,
      diskGb: 25,
      monthlyPrice: '10',
      hourlyPrice: '0.0137',
    });
    expect(plans).toHaveLength(5);
    const { regions } = (await world.call('GET', '/regions')).body;
    expect(regions.map(({ id }: { id: string }) => id).join(' ')).toBe(
      'ams fra par lon mad waw sto ewr ord dfw atl mia sea lax sjc yto mex sao scl nrt icn sgp blr bom del syd mel jnb tlv',
    );
    expect(regions[0]).toMatchObject({ city: 'Amsterdam', real: false, host: 'nowhere' });
  });

  test('are rented with a key of an agent as well', async () => {
    const { key, accountId } = await world.register('renter');
    await world.credit(accountId, 100);
    expect((await world.call('POST', '/servers', { key, body: ORDER })).status).toBe(202);
    expect((await world.call('GET', '/auth/me', { key })).body.user).toMatchObject({ id: accountId, email: null });
    expect((await world.call('POST', '/servers', { key: ADMIN_KEY, body: ORDER })).status).toBe(401);
  });
});

describe('limits', () => {
  test('are 10 a minute for all of /auth from one address, and 100 for an account', async () => {
    const limited = await startApis({ limits: requestLimits, over: world });
    const body = { email: 'limited@example.com', password: PASSWORD };
    const { body: session } = await limited.call('POST', '/auth/register', { body });
    const key: string = session.accessToken;
    for (let n = 1; n < 9; n++) expect((await limited.call('GET', '/auth/me', { key })).status).toBe(200);
    expect((await limited.call('POST', '/auth/login', { body })).status).toBe(200);
    const refused = await limited.call('POST', '/auth/login', { body });
    expect(refused).toMatchObject({ status: 429, body: { error: 'Rate limit exceeded' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const replies = [];
    for (let n = 0; n < 101; n++) replies.push((await limited.call('GET', '/billing', { key })).status);
    expect(replies.filter((status) => status === 200).length).toBeLessThanOrEqual(100);
    expect(replies.at(-1)).toBe(429);
    await limited.close();
  });
});
