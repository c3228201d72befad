import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { HOUR } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterAll(() => world.close());
const admin = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  world.call(method, `/v1/admin${path}`, { key: ADMIN_KEY, body, headers });

describe('the operator', () => {
  test('is who holds the admin key, as bearer and in no other way', async () => {
    const ask = async (headers: Record<string, string>) =>
      (await world.call('GET', '/v1/admin/machines', { headers })).status;
    expect(await ask({ authorization: `Bearer ${ADMIN_KEY}` })).toBe(200);
    expect(await ask({ authorization: ADMIN_KEY })).toBe(401);
    expect(await ask({ 'x-api-key': ADMIN_KEY })).toBe(401);
    expect(await ask({ authorization: `Bearer ${ADMIN_KEY}x` })).toBe(401);
    expect(await ask({})).toBe(401);
  });

  test('has no account: routes of accounts are closed to the admin key', async () => {
    expect(await world.call('GET', '/v1/account', { key: ADMIN_KEY })).toMatchObject({ status: 401 });
  });
});

describe('machines', () => {
  test('are listed with what they use while they are alive, and swept when their lease is over', async () => {
    const { accountId } = await world.register();
    const op = systemOp(world.clock.now());
    const limits = { vcpus: 1, memoryMb: 512, diskGb: 1 };
    const machine = await world.machines.start(op, {
      accountId: accountId as AccountId,
      purpose: 'test',
      limits,
      network: 'none',
      leaseMs: HOUR,
    });
    expect((await admin('GET', '/machines')).body).toEqual({
      machines: [
        {
          id: machine.id,
          driver: 'listed',
          tier: 'container',
          state: 'running',
          account_id: accountId,
          purpose: 'test',
          limits: { vcpu: 1, memory_mb: 512, disk_gb: 1, processes: expect.any(Number) },
          usage: {
            cpu_seconds: 0.5,
            memory_bytes: 4_194_304,
            disk_bytes: 1_048_576,
            processes: 1,
            network_received_bytes: 3_000,
            network_sent_bytes: 1_000,
          },
          created_at: machine.createdAt.toISOString(),
        },
      ],
    });
    expect((await admin('POST', '/machines/sweep')).body).toEqual({ removed: [] });
    world.clock.advance(HOUR);
    expect((await admin('POST', '/machines/sweep')).body).toEqual({ removed: [machine.id] });
    expect((await admin('GET', '/machines')).body).toEqual({ machines: [] });
  });
});

describe('the test clock', () => {
  const now = async () => Date.parse((await admin('GET', '/clock')).body.now);

  test('moves by seconds or to a moment, for every request that follows', async () => {
    const before = await now();
    const moved = await admin('POST', '/clock', { advance_seconds: 3_600 });
    expect(moved).toMatchObject({ status: 200, body: { now: expect.stringMatching(/Z$/), jobs_run: 0 } });
    expect(await now()).toBeGreaterThanOrEqual(before + HOUR);
    const later = new Date((await now()) + 24 * HOUR);
    await admin('POST', '/clock', { set: later.toISOString() });
    expect(await now()).toBeGreaterThanOrEqual(later.getTime());
  });

  test.each([
    ['back', { set: '2020-01-01T00:00:00Z' }],
    ['by less than nothing', { advance_seconds: -1 }],
    ['nowhere', {}],
    ['in two ways', { advance_seconds: 1, set: '2126-01-01T00:00:00Z' }],
    ['by a million years', { advance_seconds: 3e13 }],
    ['to a day that does not exist', { set: '2126-02-30T00:00:00Z' }],
  ])('does not move %s', async (_where, body) => {
    const before = await now();
    expect((await admin('POST', '/clock', body)).status).toBe(400);
    expect((await now()) - before).toBeLessThan(HOUR);
  });

  test('does not exist where it is not switched on', async () => {
    const real = await startApis({ testClock: false });
    try {
      for (const method of ['GET', 'POST'])
        expect(await real.call(method, '/v1/admin/clock', { key: ADMIN_KEY })).toMatchObject({
          status: 404,
          body: { error: 'Not found' },
        });
    } finally {
      await real.close();
    }
  });
});
