import { describe, expect, test } from 'vitest';
import type { Sandbox } from '../../src/domains/sandboxes/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { HOUR } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

const world = sandboxWorld();
const { clock, op, started, sweep, account } = world;

describe('a snapshot', () => {
  test('outlives its sandbox, and new ones begin from it, by id or by name, with its limits', async () => {
    const owner = await account();
    const { id } = await started(owner, { limits: { vcpus: 2, memoryMb: 1_024, diskGb: 2 } });
    const snapshot = await world.sandboxes.snapshot(op(owner), id, { name: 'ready' });
    await world.sandboxes.destroy(op(owner), id);
    for (const template of [snapshot.id, 'ready']) {
      const sandbox = await started(owner, { template });
      expect(sandbox).toMatchObject({ template, limits: { vcpus: 2, memoryMb: 1_024, diskGb: 2 } });
      expect(await world.machines.get(op(owner), sandbox.machineId)).toMatchObject({ snapshotId: snapshot.id });
    }
    const stranger = await account();
    await expect(started(stranger, { template: snapshot.id })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('is taken of a paused one too', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    expect(await world.sandboxes.snapshot(op(owner), id, {})).toMatchObject({ accountId: owner, name: undefined });
  });
});

describe('a fork', () => {
  test('makes sandboxes like this one with lives of their own, and leaves no snapshot', async () => {
    const owner = await account();
    const source = await started(owner, { name: 'a', metadata: { k: 'v' }, env: { E: '1' }, timeoutMs: HOUR });
    const forks = await world.sandboxes.fork(op(owner), source.id, { count: 3, timeoutMs: 2 * HOUR });
    const made = forks.flatMap((fork) => ('sandbox' in fork ? [fork.sandbox] : []));
    expect(made).toHaveLength(3);
    for (const sandbox of made)
      expect(sandbox).toMatchObject({
        name: 'a',
        template: 'base',
        metadata: { k: 'v' },
        env: { E: '1' },
        endAt: new Date(clock.at.getTime() + 2 * HOUR),
      });
    const distinct = (of: (sandbox: Sandbox) => string) => new Set([source, ...made].map(of)).size;
    expect([distinct(({ code }) => code), distinct(world.sandboxes.accessToken)]).toEqual([4, 4]);
    expect(world.driver.copies.size).toBe(0);
    expect((await world.machines.listSnapshots(op(owner), { limit: 10 })).rows).toEqual([]);
    expect(await world.sandboxes.get(op(owner), source.id)).toEqual(source);
  });

  test('says in its place why one could not be made', async () => {
    const owner = await account(2_000n);
    const { id } = await started(owner);
    const forks = await world.sandboxes.fork(op(owner), id, { count: 3 });
    expect(forks.filter((fork) => 'sandbox' in fork)).toHaveLength(1);
    const errors = forks.flatMap((fork) => ('error' in fork ? [fork.error.code] : []));
    expect(errors).toEqual(['unaffordable', 'unaffordable']);
  });

  test('of none or of too many is refused', async () => {
    const owner = await account();
    const { id } = await started(owner);
    for (const count of [0, -1, 1.5, 101])
      await expect(world.sandboxes.fork(op(owner), id, { count })).rejects.toMatchObject({ code: 'invalid' });
  });

  test('whose snapshot could not be removed leaves it to the sweep', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const broken = world.over({ machines: { removeSnapshot: () => Promise.reject(new Error('busy')) } });
    await broken.fork(op(owner), id, { count: 1 });
    expect(world.driver.copies.size).toBe(1);
    await sweep();
    expect(world.driver.copies.size).toBe(1);
    await world.abandon();
    await sweep();
    expect(world.driver.copies.size).toBe(0);
  });
});

describe('ports', () => {
  test('have an address by number, and by a name of their own', async () => {
    const owner = await account();
    const { id, code } = await started(owner);
    expect(await world.sandboxes.byHostLabel(`8080-${code}`)).toBeUndefined();
    expect(await world.sandboxes.expose(op(owner), id, { port: 8_080, subdomain: 'my-app' })).toEqual({
      port: 8_080,
      subdomain: 'my-app',
      visibility: 'public',
    });
    for (const label of [`8080-${code}`, 'my-app'])
      expect(await world.sandboxes.byHostLabel(label)).toMatchObject({
        sandbox: { id },
        port: 8_080,
        visibility: 'public',
      });
    for (const label of ['my-other-app', `8081-${code}`, `0-${code}`, `99999-${code}`, code, ''])
      expect([label, await world.sandboxes.byHostLabel(label)]).toEqual([label, undefined]);
    await world.sandboxes.unexpose(op(owner), id, 8_080);
    expect(await world.sandboxes.byHostLabel('my-app')).toBeUndefined();
    await expect(world.sandboxes.unexpose(op(owner), id, 8_080)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('of an E2B sandbox all have an address, private where its traffic is', async () => {
    const owner = await account();
    const [open, closed] = [
      await started(owner, { origin: 'e2b' }),
      await started(owner, { origin: 'e2b', network: { publicTraffic: false } }),
    ];
    expect(await world.sandboxes.byHostLabel(`3000-${open.code}`)).toMatchObject({ visibility: 'public' });
    expect(await world.sandboxes.byHostLabel(`3000-${closed.code}`)).toMatchObject({ visibility: 'private' });
    // One of its ports may still be exposed as private, and is then opened by its token.
    await world.sandboxes.expose(op(owner), open.id, { port: 3_001, visibility: 'private' });
    expect(await world.sandboxes.byHostLabel(`3001-${open.code}`)).toMatchObject({ visibility: 'private' });
    expect(world.sandboxes.trafficToken(open)).toMatch(/^[0-9a-f]{40}$/);
    expect(world.sandboxes.trafficToken(open)).not.toBe(world.sandboxes.trafficToken(closed));
    expect(world.sandboxes.trafficToken(closed)).toMatch(/^[0-9a-f]{40}$/);
    expect(world.sandboxes.trafficToken(closed)).not.toBe(world.sandboxes.accessToken(closed));
  });

  test('a second subdomain replaces the first, and moves with its port', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.expose(op(owner), id, { port: 1, subdomain: 'first' });
    await world.sandboxes.expose(op(owner), id, { port: 2, subdomain: 'second' });
    await world.sandboxes.expose(op(owner), id, { port: 3, visibility: 'private' });
    expect(await world.sandboxes.ports(op(owner), id)).toEqual([
      { port: 1, subdomain: undefined, visibility: 'public' },
      { port: 2, subdomain: 'second', visibility: 'public' },
      { port: 3, subdomain: undefined, visibility: 'private' },
    ]);
    await world.sandboxes.expose(op(owner), id, { port: 1, subdomain: 'second' });
    expect(await world.sandboxes.byHostLabel('second')).toMatchObject({ port: 1 });
    expect(await world.sandboxes.byHostLabel('first')).toBeUndefined();
  });

  test('a subdomain is one sandbox’s, also when two ask at once, and free again when that is gone', async () => {
    const [one, two] = [await account(), await account()];
    const [first, second] = [await started(one), await started(two)];
    const results = await Promise.allSettled([
      world.sandboxes.expose(op(one), first.id, { port: 80, subdomain: 'shared' }),
      world.sandboxes.expose(op(two), second.id, { port: 80, subdomain: 'shared' }),
    ]);
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toMatchObject([{ code: 'conflict', message: 'Subdomain unavailable' }]);
    const winner = await world.sandboxes.byHostLabel('shared');
    await world.sandboxes.destroy(world.system(), winner?.sandbox.id ?? '');
    const [loser, their] = winner?.sandbox.id === first.id ? [two, second] : [one, first];
    expect(await world.sandboxes.expose(op(loser), their.id, { port: 80, subdomain: 'shared' })).toBeDefined();
  });

  test.each(['www', 'api', 'admin', 'xn--caf-dma', '49983-mine', `3000-a${'b'.repeat(19)}`])(
    'the subdomain %s is nobody’s',
    async (subdomain) => {
      const owner = await account();
      const { id } = await started(owner);
      await expect(world.sandboxes.expose(op(owner), id, { port: 80, subdomain })).rejects.toMatchObject({
        code: 'conflict',
        message: 'Subdomain unavailable',
      });
    },
  );

  test.each(['ab', '-abc', 'abc-', 'ABC', 'a.b', 'a_b', 'x'.repeat(64), ''])(
    '%j is no subdomain',
    async (subdomain) => {
      const owner = await account();
      const { id } = await started(owner);
      await expect(world.sandboxes.expose(op(owner), id, { port: 80, subdomain })).rejects.toMatchObject({
        code: 'invalid',
      });
    },
  );

  test.each([0, -1, 1.5, 65_536, Number.NaN])('%d is no port', async (port) => {
    const owner = await account();
    const { id } = await started(owner);
    await expect(world.sandboxes.expose(op(owner), id, { port })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('tokens', () => {
  test('belong to one sandbox each, are the same in every process, and find it', async () => {
    const owner = await account();
    const [one, two] = [await started(owner), await started(owner)];
    const token = world.sandboxes.accessToken(one);
    expect(token).toMatch(/^[0-9a-f]{40}$/);
    expect(world.over({}).accessToken(one)).toBe(token);
    expect(world.sandboxes.accessToken(two)).not.toBe(token);
    expect(await world.sandboxes.byAccessToken((candidate) => candidate === token)).toMatchObject({ id: one.id });
    await world.sandboxes.destroy(op(owner), one.id);
    expect(await world.sandboxes.byAccessToken((candidate) => candidate === token)).toBeUndefined();
    expect(await world.sandboxes.byCode(one.code)).toBeUndefined();
    expect(await world.sandboxes.byCode(two.code)).toMatchObject({ id: two.id });
  });

  test('are looked through for one who asks at a time', async () => {
    const owner = await account();
    await world.database.db.query(
      `insert into sandboxes (id, code, account_id, machine_id, origin, state, template, vcpus, memory_mb, disk_gb, pids,
                              metadata, env, lifecycle, network, created_at, started_at, paused_at, paused_by, lease_until,
                              size, hourly_micros)
       select gen_random_uuid(), 'b' || substr(md5(n::text), 1, 19), $1, n, 'agents', 'paused', 'base', 1, 512, 1, 1,
              '{}', '{}', '{}', '{}', now(), now(), now(), 'request', now(), 'x', 1 from generate_series(1, 1200) n`,
      [owner],
    );
    const seen: string[] = [];
    const search = (name: string) =>
      world.sandboxes.byAccessToken(() => {
        if (seen.at(-1) !== name) seen.push(name);
        return false;
      });
    await Promise.all(['one', 'another', 'a third'].map(search));
    expect(seen).toEqual(['one', 'another', 'a third']);
    await world.database.db.query(`delete from sandboxes where account_id = $1`, [owner]);
  });
});

describe('what a sandbox may reach', () => {
  const everywhere = { allow: [], deny: ['0.0.0.0/0'] };

  test('is said when it is made, and replaced as a whole', async () => {
    const owner = await account();
    const { id, machineId } = await started(owner, { network: { internet: false } });
    const rules = async () => (await world.machines.get(op(owner), machineId)).rules;
    expect(await rules()).toEqual(everywhere);
    const changed = await world.sandboxes.setNetwork(op(owner), id, {
      allowOut: ['1.1.1.1'],
      denyOut: ['10.0.0.0/8', '2001:db8::/32'],
      internet: undefined,
      headers: {},
      egressProxy: undefined,
    });
    expect(changed.network).toMatchObject({ allowOut: ['1.1.1.1'], internet: undefined, publicTraffic: true });
    expect(await rules()).toEqual({ allow: ['1.1.1.1'], deny: ['10.0.0.0/8'] });
    await world.sandboxes.setNetwork(op(owner), id, {
      allowOut: [],
      denyOut: [],
      internet: undefined,
      headers: {},
      egressProxy: undefined,
    });
    expect(await rules()).toEqual({ allow: [], deny: [] });
  });

  test('stays as it was where the machine refuses', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const broken = world.over({ machines: { setRules: () => Promise.reject(new AppError('conflict', 'Busy')) } });
    const blocked = { allowOut: [], denyOut: [], internet: false, headers: {}, egressProxy: undefined };
    await expect(broken.setNetwork(op(owner), id, blocked)).rejects.toMatchObject({ code: 'conflict' });
    expect((await world.sandboxes.get(op(owner), id)).network.internet).toBeUndefined();
  });
});
