import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { solve, startApis, type Reply, type TestApis } from '../harness/apis.ts';

describe('two servers over one database', () => {
  let one: TestApis;
  let two: TestApis;
  beforeAll(async () => {
    one = await startApis({ limits: requestLimits });
    two = await startApis({ limits: requestLimits, over: one });
  });
  afterAll(async () => {
    await two.close();
    await one.close();
  });
  const nextMinute = () => {
    for (const server of [one, two]) server.clock.advance(MINUTE);
  };

  test('give an account sixty requests a minute together, whichever of its keys it uses', async () => {
    const agent = await one.register();
    const { body: second } = await one.call('POST', '/v1/keys', { key: agent.key, body: { name: 'second' } });
    const ask = (server: TestApis, key: string): Promise<Reply> => server.call('GET', '/v1/account', { key });
    for (let n = 0; n < 59; n++)
      expect((await ask(n % 2 ? one : two, n % 3 ? agent.key : second.key)).status).toBe(200);
    for (const server of [one, two]) {
      for (const key of [agent.key, second.key]) {
        const refused = await ask(server, key);
        expect(refused).toMatchObject({ status: 429, body: { error: 'Rate limit exceeded' } });
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      }
    }
    nextMinute();
    expect((await ask(two, agent.key)).status).toBe(200);
  });

  test('give an account more in the environments contract, whose clients poll, and count that for itself', async () => {
    await one.db.query('delete from request_windows');
    const { key } = await one.register();
    for (let n = 0; n < 61; n++) expect((await one.call('GET', '/users/me', { key })).status).toBe(200);
    expect((await two.call('GET', '/v1/account', { key })).status).toBe(200);
    await one.db.query(`update request_windows set count = 1200 where bucket like 'environments:%'`);
    const refused = await two.call('GET', '/api/v1/users/me', { key });
    expect(refused).toMatchObject({ status: 429, body: { detail: 'Rate limit exceeded' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('let an address try thirty codes a minute together', async () => {
    await one.db.query('delete from request_windows');
    const logIn = (server: TestApis) => server.call('POST', '/api/v1/auth/github', { body: { code: 'a guess' } });
    for (let n = 0; n < 30; n++) expect((await logIn(n % 2 ? one : two)).status).toBe(503);
    expect((await logIn(one)).status).toBe(429);
    expect((await two.call('POST', '/auth/github', { body: { code: 'a guess' } })).status).toBe(429);
  });

  test('give programs that use the E2B contract more, and count them apart', async () => {
    await one.db.query('delete from request_windows');
    const { key } = await one.register();
    for (let n = 0; n < 61; n++) expect((await one.call('GET', '/e2b/api/v2/sandboxes', { key })).status).toBe(200);
    expect((await two.call('GET', '/v1/account', { key })).status).toBe(200);
  });

  test('let an address register three accounts an hour together', async () => {
    await one.db.query('delete from request_windows');
    const servers = [one, two, one, two];
    const replies: Reply[] = [];
    for (const server of servers) {
      const body = { ...(await solve(server.call)), name: 'my-agent' };
      replies.push(await server.call('POST', '/v1/auth/register', { body }));
    }
    expect(replies.map((reply) => reply.status)).toEqual([201, 201, 201, 429]);
  });

  test('both take a challenge of either, once', async () => {
    await one.db.query('delete from request_windows');
    const body = { ...(await solve(one.call)), name: 'my-agent' };
    expect((await two.call('POST', '/v1/auth/register', { body })).status).toBe(201);
    expect((await one.call('POST', '/v1/auth/register', { body })).status).toBe(401);
  });

  test('refuse a revoked key both at once', async () => {
    await one.db.query('delete from request_windows');
    const { key, keyId } = await one.register();
    expect((await two.call('GET', '/v1/account', { key })).status).toBe(200);
    expect((await one.call('DELETE', `/v1/keys/${keyId}`, { key })).status).toBe(200);
    expect((await two.call('GET', '/v1/account', { key })).status).toBe(401);
  });

  test('carry out a request under one Idempotency-Key once', async () => {
    await one.db.query('delete from request_windows');
    const agent = await one.register();
    const mint = (server: TestApis) =>
      server.call('POST', '/v1/keys', { key: agent.key, body: { name: 'k' }, headers: { 'idempotency-key': 'both' } });
    const replies = await Promise.all([mint(one), mint(two), mint(one), mint(two)]);
    for (const { status } of replies) expect([201, 409]).toContain(status);
    const again = await mint(two);
    for (const reply of replies) if (reply.status === 201) expect(reply.body).toEqual(again.body);
    expect((await one.call('GET', '/v1/keys', { key: agent.key })).body.keys).toHaveLength(2);
  });
});
