import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mint, REVENUE, wallet, type Code } from '../../src/domains/ledger/index.ts';
import type { AccountId, TransferId } from '../../src/kernel/ids.ts';
import type { Currency, Money } from '../../src/kernel/money.ts';
import type { Op } from '../../src/kernel/op.ts';
import { after, MINUTE } from '../../src/kernel/time.ts';
import { systemOp } from '../harness/op.ts';
import { brokenInvariants, INVARIANTS, written } from './invariants.ts';
import { Model, type Step } from './model.ts';
import { newAccountId, newTransferId, outcomeOf, useLedger } from './world.ts';

const SEQUENCES = 30;
const MAX_STEPS = 40;
const ACCOUNTS = 4;
const IDS = 10;
const world = useLedger();

/** A step before it knows the accounts and ids of its sequence. */
type Draft =
  | { does: 'open'; account: number }
  | { does: 'fund'; id: number; from: number; to: number; amount: number; tck: boolean; type: string }
  | { does: 'pay'; id: number; from: number; to: number; amount: number; tck: boolean; type: string }
  | { does: 'split'; id: number; from: number; to: number; amount: number; cut: number; type: string }
  | { does: 'exchange'; id: number; from: number; to: number; amount: number; cut: number; type: string }
  | { does: 'hold'; id: number; from: number; to: number; amount: number; minutes: number; tck: boolean; type: string }
  | { does: 'post'; id: number; amount: number | null }
  | { does: 'void'; id: number; amount: number | null }
  | { does: 'expire'; id: number; amount: number | null }
  | { does: 'again'; step: number }
  | { does: 'wait'; minutes: number }
  | { does: 'sweep' };
type Turn = { draft: Draft; way: 'submit' | 'inside' };

const account = fc.nat({ max: ACCOUNTS - 1 });
const amount = fc.constantFrom(0, 1, 3, 10, 40, 100, -5);
const common = {
  id: fc.nat({ max: IDS - 1 }),
  from: account,
  to: account,
  amount,
  type: fc.constantFrom('one', 'two'),
};
const draft: fc.Arbitrary<Draft> = fc.oneof(
  fc.record({ does: fc.constant('open' as const), account }),
  { weight: 3, arbitrary: fc.record({ does: fc.constant('fund' as const), ...common, tck: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('pay' as const), ...common, tck: fc.boolean() }) },
  fc.record({ does: fc.constant('split' as const), ...common, cut: fc.nat({ max: 3 }) }),
  fc.record({ does: fc.constant('exchange' as const), ...common, cut: fc.nat({ max: 9 }) }),
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('hold' as const),
      ...common,
      tck: fc.boolean(),
      minutes: fc.nat({ max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constantFrom('post' as const, 'void' as const, 'expire' as const),
      id: common.id,
      amount: fc.option(amount, { freq: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('again' as const), step: fc.nat({ max: MAX_STEPS }) }) },
  fc.record({ does: fc.constant('wait' as const), minutes: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ does: fc.constant('sweep' as const) }),
);
const turn: fc.Arbitrary<Turn> = fc.record({ draft, way: fc.constantFrom('submit' as const, 'inside' as const) });

/** One sequence on accounts of its own, and beside it the model. */
class Sequence {
  readonly model = new Model();
  readonly #accounts: AccountId[] = Array.from({ length: ACCOUNTS }, newAccountId);
  readonly #ids: TransferId[] = Array.from({ length: IDS }, newTransferId);
  readonly #taken: Step[] = [];
  #now = new Date();
  #before = new Set<string>();

  constructor(mints: Map<Code, bigint>) {
    for (const [code, posted] of mints)
      this.model.accounts.set(code, { posted, held: 0n, floor: code.startsWith('mint') ? undefined : 0n });
  }

  async take({ draft: given, way }: Turn): Promise<void> {
    if (given.does === 'wait') this.#now = after(this.#now, given.minutes * MINUTE);
    else if (given.does === 'sweep')
      expect(await world.ledger.expireDueHolds(systemOp(this.#now))).toBe(this.model.sweep(this.#now));
    else {
      const step = given.does === 'again' ? this.#taken[given.step] : this.#stepOf(given);
      if (!step) return;
      this.#taken.push(step);
      expect([step, await outcomeOf(carryOut(step, systemOp(this.#now), way))]).toEqual([
        step,
        this.model.take(step, this.#now),
      ]);
    }
    await this.check();
  }

  async check(): Promise<void> {
    expect(await brokenInvariants(world.db)).toEqual([]);
    const now = await written(world.db);
    expect(this.#before.isSubsetOf(now), 'what was written stays as it was').toBe(true);
    this.#before = now;
    expect(await this.#found(), 'the ledger is what the model says').toEqual(this.#expected());
  }

  #expected() {
    return {
      accounts: Object.fromEntries([...this.model.accounts].map(([code, { posted, held }]) => [code, [posted, held]])),
      holds: Object.fromEntries([...this.model.holds].map(([id, { state, posted }]) => [id, [state, posted]])),
    };
  }

  async #found() {
    const accounts = await world.db.query<{ code: string; posted: bigint; held: bigint }>(
      `select code, posted, held from ledger_accounts where kind <> 'wallet' or split_part(code, ':', 2) = any ($1)`,
      [this.#accounts],
    );
    const holds = await world.db.query<{ id: string; state: string; posted: bigint }>(
      `select id, state, coalesce(posted_amount, 0) as posted from ledger_holds where id = any ($1)`,
      [this.#ids],
    );
    return {
      accounts: Object.fromEntries(accounts.map(({ code, posted, held }) => [code, [posted, held]])),
      holds: Object.fromEntries(holds.map(({ id, state, posted }) => [id, [state, posted]])),
    };
  }

  #wallet(n: number, currency: Currency): Code {
    return wallet(this.#accounts[n] as AccountId, currency);
  }

  #stepOf(given: Exclude<Draft, { does: 'again' | 'wait' | 'sweep' }>): Step {
    if (given.does === 'open')
      return { kind: 'open', accounts: [this.#wallet(given.account, 'USD'), this.#wallet(given.account, 'TCK')] };
    const id = this.#ids[given.id] as TransferId;
    if (given.does === 'post')
      return { kind: 'post', id, amount: given.amount === null ? undefined : BigInt(given.amount) };
    if (given.does === 'void' || given.does === 'expire') return { kind: given.does, id };
    const currency: Currency = 'tck' in given && given.tck ? 'TCK' : 'USD';
    const sum = BigInt(given.amount);
    const [from, to] = [this.#wallet(given.from, currency), this.#wallet(given.to, currency)];
    if (given.does === 'hold') {
      const expiresAt = given.minutes === 0 ? undefined : after(this.#now, given.minutes * MINUTE);
      // Every fourth is for an account of another currency.
      const receiver = given.minutes === 3 ? this.#wallet(given.to, 'TCK') : given.minutes === 2 ? REVENUE : to;
      return { kind: 'hold', id, type: given.type, from, to: receiver, amount: sum, expiresAt };
    }
    return { kind: 'transfer', id, type: given.type, legs: this.#legsOf(given, sum, from, to, currency) };
  }

  #legsOf(
    given: Extract<Draft, { does: 'fund' | 'pay' | 'split' | 'exchange' }>,
    sum: bigint,
    from: Code,
    to: Code,
    currency: Currency,
  ) {
    if (given.does === 'fund')
      return [
        { account: mint(currency), amount: -sum },
        { account: to, amount: sum },
      ];
    const pair = [
      { account: from, amount: -sum },
      { account: to, amount: sum },
    ];
    if (given.does === 'pay') return pair;
    const cut = BigInt(given.cut);
    if (given.does === 'split')
      return [
        { account: from, amount: -sum },
        { account: to, amount: sum - cut },
        { account: REVENUE, amount: cut },
      ];
    // Dollars one way, TCK the other; with a cut of 9 the dollars alone do not add up.
    return [
      { account: from, amount: -sum },
      { account: to, amount: cut === 9n ? sum + 1n : sum },
      { account: this.#wallet(given.from, 'TCK'), amount: cut === 9n ? -1n : 2n },
      { account: mint('TCK'), amount: cut === 9n ? 0n : -2n },
    ].filter((leg) => leg.amount !== 0n);
  }
}

async function carryOut(step: Step, op: Op, way: Turn['way']): Promise<{ outcome: string }> {
  const { ledger, db } = world;
  const described = { type: 'type' in step ? step.type : '', description: 'A step', metadata: { of: 'the model' } };
  if (step.kind === 'open') {
    const owner = step.accounts[0]?.split(':')[1] as AccountId;
    await db.transact((tx) => ledger.openWallet(tx, owner));
    return { outcome: 'done' };
  }
  const id = step.id as TransferId;
  if (step.kind === 'transfer') {
    const transfer = { ...described, id, legs: step.legs.map((leg) => ({ ...leg, amount: leg.amount as Money })) };
    return way === 'submit'
      ? ledger.submit(op, transfer)
      : db.transact(async (tx) => ledger.transfer(tx, op, transfer));
  }
  if (step.kind === 'hold') {
    const { from, to, expiresAt } = step;
    const hold = { ...described, id, from, to, amount: step.amount as Money, releaseType: 'release', expiresAt };
    return way === 'submit' ? ledger.submitHold(op, hold) : db.transact(async (tx) => ledger.hold(tx, op, hold));
  }
  const part = step.kind === 'post' ? (step.amount as Money | undefined) : undefined;
  if (way === 'submit' || step.kind === 'expire')
    return ledger.submitResolution(op, id, step.kind === 'post' ? { kind: 'post', amount: part } : { kind: step.kind });
  return db.transact(async (tx) =>
    step.kind === 'post' ? ledger.postHold(tx, op, id, part) : ledger.voidHold(tx, op, id),
  );
}

test('there are ten invariants', () => {
  expect(new Set(INVARIANTS).size).toBe(10);
});

test('whatever is done in whatever order, the ledger does what the model does and ten invariants hold after each step', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(turn, { minLength: 10, maxLength: MAX_STEPS, size: 'max' }), async (turns) => {
      // What is posted on the accounts that all sequences share goes on from the sequence before.
      const shared = await world.db.query<{ code: Code; posted: bigint; held: bigint }>(
        `select code, posted, held from ledger_accounts where kind <> 'wallet'`,
      );
      const sequence = new Sequence(new Map(shared.map(({ code, posted }) => [code, posted])));
      await sequence.take({ draft: { does: 'open', account: 0 }, way: 'inside' });
      await sequence.take({ draft: { does: 'open', account: 1 }, way: 'inside' });
      for (const each of turns) await sequence.take(each);
      // Holds left behind would come up in the sweeps of the next sequence.
      for (const id of sequence.model.holds.keys())
        await outcomeOf(carryOut({ kind: 'void', id }, systemOp(), 'submit'));
      for (const proof of Object.values(await world.ledger.reconcile(world.db)))
        expect(proof.discrepancies).toEqual([]);
    }),
    { numRuns: SEQUENCES },
  );
}, 300_000);
