import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterAll(() => world.close());

const ORDER = { label: 'my-bot', planId: 'vc2-1c-1gb', regionId: 'ams' };
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';

const set = (id: string, body: unknown) =>
  world.call('PUT', `/v1/admin/accounts/${id}/limits`, { key: ADMIN_KEY, body });
const limits = async (id: string) =>
  (await world.call('GET', `/v1/admin/accounts/${id}/limits`, { key: ADMIN_KEY })).body;

async function renter() {
  const { accountId, key } = await world.register('renter');
  await world.credit(accountId, 10_000);
  const bulk = async (count: number) => world.call('POST', '/servers/bulk', { key, body: { ...ORDER, count } });
  return { accountId, key, bulk };
}

describe('how many servers an account may have', () => {
  test('is ten, until the operator sets more, and fewer takes none away', async () => {
    const { accountId, bulk } = await renter();
    expect(await limits(accountId)).toEqual({ account_id: accountId, servers: 10, instances: 5 });
    expect((await bulk(10)).status).toBe(202);
    expect((await bulk(1)).body.error).toContain('this account may have 10 active servers');
    expect(await set(accountId, { servers: 12 })).toMatchObject({ status: 200, body: { servers: 12, instances: 5 } });
    expect((await bulk(3)).status).toBe(403);
    expect((await bulk(2)).status).toBe(202);
    expect((await bulk(1)).body.error).toContain('this account may have 12 active servers');
    await set(accountId, { servers: 1 });
    expect((await bulk(1)).status).toBe(403);
    const living = await world.db.query(`select from servers where account_id = $1 and state = 'provisioning'`, [
      accountId,
    ]);
    expect(living).toHaveLength(12);
    expect((await set(accountId, {})).body).toMatchObject({ servers: 10, instances: 5 });
  });

  test('is another’s own: theirs stays as it was, and instances are counted apart', async () => {
    const [ada, bob] = [await renter(), await renter()];
    await set(ada.accountId, { servers: 0, instances: 0 });
    expect((await ada.bulk(1)).status).toBe(403);
    const body = { name: 'mine', ssh_public_key: KEY };
    expect(await world.call('POST', '/v1/compute', { key: ada.key, body })).toMatchObject({
      status: 409,
      body: { error: expect.stringContaining('0 compute instances') },
    });
    expect((await bob.bulk(1)).status).toBe(202);
  });

  test('is set for an account that there is, to a number that makes sense, by the operator', async () => {
    const { accountId, key } = await renter();
    for (const servers of [-1, 1.5, 1_001, '20']) expect((await set(accountId, { servers })).status).toBe(400);
    expect((await set('nobody', { servers: 20 })).status).toBe(404);
    expect((await set('01890000-0000-7000-8000-000000000000', { servers: 20 })).status).toBe(404);
    const mine = { key, body: { servers: 20 } };
    expect((await world.call('PUT', `/v1/admin/accounts/${accountId}/limits`, mine)).status).toBe(401);
    const facts = await world.db.query(`select from facts where type = 'account.limits_set' and subject = $1`, [
      accountId,
    ]);
    expect(facts).toHaveLength(0);
    await set(accountId, { servers: 20 });
    const [fact] = await world.db.query<{ data: unknown }>(
      `select data from facts where type = 'account.limits_set'  and subject = $1`,
      [accountId],
    );
    expect(fact?.data).toEqual({ hourly: 20, monthly: 5 });
  });
});
