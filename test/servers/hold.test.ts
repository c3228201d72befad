import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY } from '../../src/kernel/time.ts';
import { eventually } from '../harness/agent.ts';
import { ADMIN_KEY, startApis, type Agent, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterAll(() => world.close());

const ORDER = { label: 'my-bot', planId: 'vc2-1c-1gb', regionId: 'ams' };

/** What the jobs do where they run. */
async function settle(): Promise<void> {
  const op = systemOp(world.clock.now());
  await world.compute.tick(op);
  for (const { id } of await world.db.query<{ id: never }>(`select id from servers`))
    await world.compute.settle(op, id);
}

const held = (id: string, body: unknown = { reason: 'sends spam' }) =>
  world.call('PUT', `/v1/admin/accounts/${id}/hold`, { key: ADMIN_KEY, body });
const released = (id: string) => world.call('DELETE', `/v1/admin/accounts/${id}/hold`, { key: ADMIN_KEY });

async function withServer(): Promise<{ agent: Agent; id: string; status: () => Promise<string> }> {
  const agent = await world.register('renter');
  await world.credit(agent.accountId, 1_000);
  const { body } = await world.call('POST', '/servers', { key: agent.key, body: ORDER });
  await settle();
  const { id } = body.server;
  const status = async () => (await world.call('GET', `/servers/${id}`, { key: agent.key })).body.server.status;
  return { agent, id, status };
}

/** Facts are handed on once no older transaction is open. */
const becomes = (status: () => Promise<string>, wanted: string) =>
  eventually(
    () => settle().then(status),
    (now) => now === wanted,
  );

describe('an account that is suspended', () => {
  test('may look and do nothing, in every contract, until it is released', async () => {
    const { agent, id } = await withServer();
    const { key } = agent;
    expect(await held(agent.accountId)).toMatchObject({
      status: 200,
      body: { account_id: agent.accountId, held: true, reason: 'sends spam' },
    });
    const refused = [
      ['POST', '/servers', ORDER],
      ['POST', '/servers/bulk', { ...ORDER, count: 2 }],
      ['POST', '/backups', { serverId: id }],
      ['DELETE', `/servers/${id}`, undefined],
      ['POST', '/v1/sandboxes', {}],
      ['POST', '/v1/tasks', { prompt: 'Say hello.', budget_cents: 10 }],
      ['POST', '/api/v1/sessions', { dataset: 'starter', sample_id: 'starter__csv-rows-1' }],
      ['POST', '/e2b/api/sandboxes', {}],
    ] as const;
    for (const [method, path, body] of refused)
      expect([path, (await world.call(method, path, { key, ...(body && { body }) })).status]).toEqual([path, 403]);
    expect((await world.call('POST', '/servers', { key, body: ORDER })).body).toEqual({
      error: 'This account is suspended.',
    });
    for (const path of ['/servers', '/billing', '/backups', '/v1/credits/balance'])
      expect((await world.call('GET', path, { key })).status).toBe(200);
    expect((await released(agent.accountId)).body).toEqual({ account_id: agent.accountId, held: false });
    expect((await world.call('POST', '/servers', { key, body: ORDER })).status).toBe(202);
  });

  test('has its servers off, whatever money it has, and their disks kept; released they come back', async () => {
    const { agent, status } = await withServer();
    expect(await status()).toBe('ACTIVE');
    const { body: one } = await world.call('POST', '/servers', { key: agent.key, body: ORDER });
    await held(agent.accountId);
    await becomes(status, 'SUSPENDED');
    const made = (await world.call('GET', `/servers/${one.server.id}`, { key: agent.key })).body.server;
    expect(made).toMatchObject({ status: 'ERROR', error: 'This account is suspended.' });
    await world.credit(agent.accountId, 100);
    await settle();
    expect(await status()).toBe('SUSPENDED');
    const before = (await world.call('GET', '/billing', { key: agent.key })).body;
    expect(before.hourlySpend).toBe('0');
    await world.compute.tick(systemOp(new Date(world.clock.now().getTime() + 30 * DAY)));
    expect(await status()).toBe('SUSPENDED');
    await released(agent.accountId);
    await becomes(status, 'ACTIVE');
  });

  test('is an account: another is not found, and is released once', async () => {
    const agent = await world.register('other');
    expect((await held('nobody')).status).toBe(404);
    expect((await held('01890000-0000-7000-8000-000000000000')).status).toBe(404);
    expect((await released(agent.accountId)).status).toBe(404);
    expect((await held(agent.accountId, { reason: '' })).status).toBe(400);
    await held(agent.accountId);
    expect((await held(agent.accountId, { reason: 'another' })).body).toMatchObject({ reason: 'another' });
    expect((await released(agent.accountId)).status).toBe(200);
    expect((await released(agent.accountId)).status).toBe(404);
    expect(
      (await world.call('PUT', `/v1/admin/accounts/${agent.accountId}/hold`, { key: agent.key, body: {} })).status,
    ).toBe(401);
  });
});
