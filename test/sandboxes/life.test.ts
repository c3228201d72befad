import { describe, expect, test } from 'vitest';
import type { ListFilter } from '../../src/domains/sandboxes/index.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

const world = sandboxWorld();
const { clock, op, started, sweep, account, facts } = world;
const states = async () => (await world.driver.list()).map(({ state }) => state);

describe('the life of a sandbox', () => {
  test('goes from nothing over running to nothing, with a fact for each step', async () => {
    const owner = await account();
    const sandbox = await started(owner, { name: 'web', metadata: { a: '1' }, env: { KEY: 'value' } });
    expect(sandbox).toMatchObject({
      code: expect.stringMatching(/^[a-z][a-z0-9]{19}$/),
      accountId: owner,
      name: 'web',
      state: 'running',
      ready: true,
      template: 'base',
      limits: { vcpus: 1, memoryMb: 512, diskGb: 1 },
      metadata: { a: '1' },
      env: { KEY: 'value' },
      startedAt: clock.at,
      endAt: undefined,
    });
    expect(await world.machines.get(op(owner), sandbox.machineId)).toMatchObject({ state: 'running' });
    for (const reference of [sandbox.id, sandbox.code, `sbx-${sandbox.code}`])
      expect(await world.sandboxes.get(op(owner), reference)).toEqual(sandbox);
    await world.sandboxes.destroy(op(owner), sandbox.id);
    expect(await facts(sandbox.id)).toEqual(['sandbox.started', 'sandbox.destroyed']);
    expect(await states()).toEqual([]);
    await expect(world.sandboxes.get(op(owner), sandbox.id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await world.database.db.query(`select env from sandboxes`)).toEqual([{ env: {} }]);
  });

  test('ends at its timeout, by the platform’s clock', async () => {
    const owner = await account();
    const { id, endAt } = await started(owner, { timeoutMs: 90 * SECOND });
    expect(endAt).toEqual(new Date(clock.at.getTime() + 90 * SECOND));
    clock.advance(90 * SECOND - 1);
    await sweep();
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
    clock.advance(1);
    await sweep();
    await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await states()).toEqual([]);
  });

  test('is made longer or shorter by its timeout, and longer only by keeping it alive', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: HOUR });
    const at = (ms: number) => new Date(clock.at.getTime() + ms);
    expect((await world.sandboxes.keepAlive(op(owner), id, MINUTE)).sandbox.endAt).toEqual(at(HOUR));
    expect((await world.sandboxes.keepAlive(op(owner), id, 2 * HOUR)).sandbox.endAt).toEqual(at(2 * HOUR));
    expect((await world.sandboxes.setTimeout(op(owner), id, MINUTE)).endAt).toEqual(at(MINUTE));
    await world.sandboxes.setTimeout(op(owner), id, 0);
    await sweep();
    expect(await states()).toEqual([]);
  });

  test('is nobody else’s: for another account it does not exist', async () => {
    const [owner, stranger] = [await account(), await account()];
    const { id } = await started(owner);
    const attempts = [
      world.sandboxes.get(op(stranger), id),
      world.sandboxes.destroy(op(stranger), id),
      world.sandboxes.setTimeout(op(stranger), id, MINUTE),
      world.sandboxes.keepAlive(op(stranger), id, MINUTE),
      world.sandboxes.pause(op(stranger), id, { keepMemory: true }),
      world.sandboxes.snapshot(op(stranger), id, {}),
      world.sandboxes.fork(op(stranger), id, { count: 1 }),
      world.sandboxes.setNetwork(op(stranger), id, {
        allowOut: [],
        denyOut: [],
        internet: false,
        headers: {},
        egressProxy: undefined,
      }),
      world.sandboxes.expose(op(stranger), id, { port: 80 }),
      world.sandboxes.unexpose(op(stranger), id, 80),
      world.sandboxes.ports(op(stranger), id),
    ];
    const missing = { code: 'not_found', message: 'Sandbox not found' };
    await Promise.all(attempts.map((attempt) => expect(attempt).rejects.toMatchObject(missing)));
    expect((await world.sandboxes.list(op(stranger), { order: 'asc', limit: 10 })).rows).toEqual([]);
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
  });
});

describe('what is asked for', () => {
  test.each([
    ['a timeout of a month and a millisecond', { timeoutMs: 30 * DAY + 1 }],
    ['a timeout below nothing', { timeoutMs: -1 }],
    ['no number as timeout', { timeoutMs: Number.NaN }],
    ['65 entries of metadata', { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`k${n}`, 'v'])) }],
    ['too much metadata', { metadata: { k: 'v'.repeat(8_192) } }],
    ['a variable without a name', { env: { '': 'x' } }],
    ['a variable of a strange name', { env: { 'A=B': 'x' } }],
    ['too large an environment', { env: { K: 'v'.repeat(70_000) } }],
    ['five processors', { limits: { vcpus: 5, memoryMb: 512, diskGb: 1 } }],
    ['no memory', { limits: { vcpus: 1, memoryMb: 0, diskGb: 1 } }],
    ['a disk of a terabyte', { limits: { vcpus: 1, memoryMb: 512, diskGb: 1_000 } }],
    ['to be woken although it is killed', { lifecycle: { autoResume: true } }],
    ['to be woken without memory', { lifecycle: { onTimeout: 'pause', keepMemory: false, autoResume: true } }],
    ['a name as an address', { network: { denyOut: ['example.com'] } }],
    ['half an address', { network: { allowOut: ['10.1'] } }],
    ['a network that is written in a strange way', { network: { denyOut: ['10.0.0.0/008'] } }],
    ['a network that is none', { network: { denyOut: ['10.0.0.0/33'] } }],
    ['a name of a kilobyte', { name: 'x'.repeat(1_000) }],
  ] as const)('%s is refused, and nothing is made or paid', async (_what, request) => {
    const owner = await account();
    await expect(started(owner, request)).rejects.toMatchObject({ code: 'invalid' });
    expect(world.driver.asked).toEqual([]);
    expect(await world.available(owner)).toBe(1_000_000n);
  });

  test('a template that is not there is not found', async () => {
    const owner = await account();
    for (const template of ['snp_0198f0c2a7b47cc2b0d1e2f3a4b5c6d7', ''])
      await expect(started(owner, { template })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('the hundred and first sandbox of an account is one too many, also when many ask at once', async () => {
    const owner = await account(100_000_000n);
    await world.database.db.query(
      `insert into sandboxes (id, code, account_id, machine_id, origin, state, template, vcpus, memory_mb, disk_gb, pids,
                              metadata, env, lifecycle, network, created_at, lease_until, size, hourly_micros)
       select gen_random_uuid(), 'a' || substr(md5(n::text), 1, 19), $1, n, 'agents', 'starting', 'base', 1, 512, 1, 1,
              '{}', '{}', '{}', '{}', now(), now(), 'x', 1 from generate_series(1, 98) n`,
      [owner],
    );
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => started(owner)));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.map(({ reason }) => reason.code)).toEqual(['rate_limited', 'rate_limited', 'rate_limited']);
    expect(await started(await account())).toMatchObject({ state: 'running' });
  });
});

describe('a list', () => {
  test('is in order of their beginning, filtered, and in pages without an empty last one', async () => {
    const owner = await account();
    const [a, b, c, d] = [
      await started(owner, { metadata: { team: 'x', n: '1' } }),
      await started(owner, { metadata: { team: 'x', n: '2' } }),
      await started(owner, { metadata: { team: 'y' } }),
      await (clock.advance(SECOND), started(owner)),
    ].map(({ id }) => id);
    await world.sandboxes.pause(op(owner), b as string, { keepMemory: true });
    const ids = async (filter: Partial<ListFilter>) => {
      const { rows } = await world.sandboxes.list(op(owner), { order: 'desc', limit: 10, ...filter });
      return rows.map(({ id }) => id);
    };
    expect(await ids({})).toEqual([d, c, b, a]);
    expect(await ids({ order: 'asc' })).toEqual([a, b, c, d]);
    expect(await ids({ states: ['running'] })).toEqual([d, c, a]);
    expect(await ids({ states: ['paused'] })).toEqual([b]);
    expect(await ids({ metadata: { team: 'x' } })).toEqual([b, a]);
    expect(await ids({ metadata: { team: 'x', n: '1' } })).toEqual([a]);
    expect(await ids({ metadata: { team: 'z' } })).toEqual([]);
    expect(await ids({ template: 'other' })).toEqual([]);
    expect(await ids({ startedAfter: clock.at })).toEqual([d]);
    const pages: string[][] = [];
    let after: ListFilter['after'];
    do {
      const { rows, next } = await world.sandboxes.list(op(owner), { order: 'desc', limit: 2, after });
      pages.push(rows.map(({ id }) => id));
      after = next;
    } while (after);
    expect(pages).toEqual([
      [d, c],
      [b, a],
    ]);
  });
});

describe('under an idempotency seed', () => {
  const seed = Buffer.alloc(32, 3);

  test('the same sandbox is answered and paid once', async () => {
    const owner = await account();
    const request = { origin: 'e2b' as const };
    const first = await world.sandboxes.create(op(owner, seed), request);
    clock.advance(SECOND);
    const second = await world.sandboxes.create(op(owner, seed), request);
    expect(second).toEqual(first);
    expect(await states()).toEqual(['running']);
    expect(await world.history(owner)).toHaveLength(2);
    const other = await world.sandboxes.create(op(owner), request);
    expect([other.id === first.id, other.code === first.code]).toEqual([false, false]);
  });

  test('a first try that failed stands in the way of no second one', async () => {
    const owner = await account();
    const broken = world.over({ machines: { start: () => Promise.reject(new Error('the host burns')) } });
    await expect(broken.create(op(owner, seed), { origin: 'agents' })).rejects.toMatchObject({
      code: 'internal',
      message: 'Failed to create sandbox',
    });
    expect(await world.sandboxes.create(op(owner, seed), { origin: 'agents' })).toMatchObject({ state: 'running' });
  });

  test('a fork makes the same sandboxes again', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const idsOf = (forks: object[]) =>
      forks.map((fork) => ('sandbox' in fork ? (fork.sandbox as { id: string }).id : ''));
    const first = idsOf(await world.sandboxes.fork(op(owner, seed), id, { count: 3 }));
    expect(new Set(first).size).toBe(3);
    expect(await states()).toHaveLength(4);
    expect(idsOf(await world.sandboxes.fork(op(owner, seed), id, { count: 3 }))).toEqual(first);
    expect(await states()).toHaveLength(4);
    expect((await world.machines.listSnapshots(op(owner), { limit: 10 })).rows).toEqual([]);
  });
});
