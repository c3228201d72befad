import { expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { serversWorld } from './world.ts';

const world = serversWorld();

const ACCOUNTS = 200;
const STEPS = 26;
const YEAR = 365 * DAY;
/** Every fourth account has too little, and is paid in for now and then. */
const isPoor = (index: number): boolean => index % 4 === 0;
const PLANS = ['vc2-1c-1gb', 'vc2-1c-2gb', 'vc2-2c-4gb', 'vc2-4c-8gb', 'vc2-6c-16gb'] as const;

/** The same numbers each time. */
function dice(seed: number) {
  let state = seed;
  return (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** Machines that are there at once, and stop and start at once; states are what the test asks the rows for. */
const instantMachines = {
  start: async (_op, { id }) => ({ id }),
  get: async (_op, id) => ({ id, state: 'stopped' }),
  boot: async (_op, id) => ({ id }),
  stop: async (_op, id) => ({ id }),
  destroy: async () => {},
} as Partial<Record<keyof Machines, (...args: never[]) => Promise<unknown>>> as Partial<Machines>;

type Row = {
  id: string;
  account_id: AccountId;
  state: string;
  period_micros: bigint;
  periods: number;
  active_at: Date | null;
  paid_until: Date | null;
  ended: Date | null;
};
type FactRow = { type: string; at: Date; data: { paidUntil?: string } };

const hoursBegun = (from: Date, until: Date): number => Math.ceil((until.getTime() - from.getTime()) / HOUR);

test('a year of two thousand servers, with outages and jumps of the clock, is exact to the micro-dollar', async () => {
  const roll = dice(20_261_126);
  world.compute = world.over({ machines: instantMachines });
  const paidIn = new Map<AccountId, bigint>();
  for (let n = 0; n < ACCOUNTS; n++) {
    const micros = isPoor(n) ? BigInt(5_000_000 + roll(20_000_000)) : 30_000_000_000n;
    const owner = await world.account(micros);
    paidIn.set(owner, micros);
    const planId = PLANS[n % PLANS.length] ?? PLANS[0];
    const orders = Array.from({ length: 10 }, (_, at) => ({ name: `s-${at}`, planId, regionId: 'fra' }) as const);
    await world.compute.deploy(world.op(owner), orders);
    world.clock.advance(roll(3 * MINUTE));
    await world.sweep();
  }
  const owners = [...paidIn.keys()];
  const destroyedAt = new Map<string, Date>();
  const begin = world.clock.at.getTime();
  for (let step = 0; step < STEPS; step++) {
    // Seldom a look each few minutes, often days in which nobody looks.
    const left = begin + YEAR - world.clock.at.getTime();
    world.clock.advance(
      step === STEPS - 1 ? left : roll(5) === 0 ? roll(HOUR) : Math.min(left, roll((2 * YEAR) / STEPS)),
    );
    const owner = owners[roll(owners.length)];
    const [server] = owner ? await world.compute.list(world.op(owner), 'hourly') : [];
    if (owner && server?.state === 'active') {
      await world.compute.destroy(world.op(owner), 'hourly', server.id);
      destroyedAt.set(server.id, world.clock.now());
    }
    await world.sweep();
    for (let n = 0; n < ACCOUNTS; n += 4) {
      const poor = owners[n];
      if (!poor || roll(3) > 0) continue;
      const micros = BigInt(roll(3_000_000) + 1);
      await world.pay(poor, micros);
      paidIn.set(poor, (paidIn.get(poor) ?? 0n) + micros);
    }
    await world.sweep();
  }

  const { db } = world.database;
  const rows = await db.query<Row>(`select *, ended_at as ended from servers order by seq`);
  expect(rows).toHaveLength(ACCOUNTS * 10);
  const cost = new Map<AccountId, bigint>();
  const facts = new Map<string, FactRow[]>();
  for (const fact of await db.query<FactRow & { subject: string }>(
    `select subject, type, at, data from facts where type like 'server.%' order by seq`,
  ))
    facts.set(fact.subject, [...(facts.get(fact.subject) ?? []), fact]);
  let suspensions = 0;
  for (const row of rows) {
    cost.set(row.account_id, (cost.get(row.account_id) ?? 0n) + row.period_micros * BigInt(row.periods));
    // Each time in which it was up, from its facts: so many hours were begun in it, and no more and no less are paid.
    let hours = 0;
    let since: Date | undefined;
    for (const { type, at, data } of facts.get(row.id) ?? []) {
      if (type === 'server.activated' || type === 'server.resumed') since = at;
      if (type === 'server.suspended' && since) {
        suspensions++;
        hours += hoursBegun(since, new Date(data.paidUntil ?? 0));
        since = undefined;
      }
      if (type === 'server.destroying' && since) {
        expect(at).toEqual(destroyedAt.get(row.id));
        hours += hoursBegun(since, at);
        since = undefined;
      }
    }
    if (since) {
      expect(row.state).toBe('active');
      expect(row.paid_until?.getTime()).toBeGreaterThan(world.clock.at.getTime());
      hours += hoursBegun(since, row.paid_until ?? since);
      expect(row.paid_until?.getTime()).toBeLessThanOrEqual(world.clock.at.getTime() + HOUR);
    }
    expect([row.id, row.periods]).toEqual([row.id, hours]);
  }
  expect(suspensions).toBeGreaterThan(200);
  for (const [owner, micros] of paidIn) expect(await world.available(owner)).toBe(micros - (cost.get(owner) ?? 0n));
  // Nobody is off who could pay, and the whole ledger agrees.
  for (const row of rows)
    if (row.state === 'suspended') expect(await world.available(row.account_id)).toBeLessThan(row.period_micros);
  expect((await world.ledger.reconcile(db)).USD).toMatchObject({ valid: true, discrepancies: [] });
}, 900_000);
