import type { Code } from '../../src/domains/ledger/index.ts';
import { currencyOf } from './world.ts';

export type Leg = { account: Code; amount: bigint };
export type Step =
  | { kind: 'open'; accounts: Code[] }
  | { kind: 'transfer'; id: string; type: string; legs: Leg[] }
  | { kind: 'hold'; id: string; type: string; from: Code; to: Code; amount: bigint; expiresAt: Date | undefined }
  | { kind: 'post'; id: string; amount: bigint | undefined }
  | { kind: 'void'; id: string }
  | { kind: 'expire'; id: string };

type Account = { posted: bigint; held: bigint; floor: bigint | undefined };
type HoldState = 'pending' | 'posted' | 'voided' | 'expired';
type Held = { from: Code; to: Code; amount: bigint; expiresAt: Date | undefined; state: HoldState; posted: bigint };

/** A ledger in a few lines, without a database: what the real one is compared with. */
export class Model {
  readonly accounts = new Map<Code, Account>();
  readonly holds = new Map<string, Held>();
  readonly #said = new Map<string, string>();

  open(account: Code, floor: bigint | undefined): void {
    if (!this.accounts.has(account)) this.accounts.set(account, { posted: 0n, held: 0n, floor });
  }

  /** The outcome, or the code of the refusal. */
  take(step: Step, now: Date): string {
    if (step.kind === 'open') return this.#openAll(step.accounts);
    if (step.kind === 'transfer') return this.#transfer(step);
    if (step.kind === 'hold') return this.#hold(step);
    return this.#resolve(step, now);
  }

  /** Lets go of what is due; answers how many holds. */
  sweep(now: Date): number {
    const ids = [...this.holds].filter(([, hold]) => hold.state === 'pending' && isDue(hold, now)).map(([id]) => id);
    for (const id of ids) this.take({ kind: 'expire', id }, now);
    return ids.length;
  }

  #openAll(accounts: Code[]): string {
    for (const account of accounts) this.open(account, 0n);
    return 'done';
  }

  #transfer({ id, type, legs }: Extract<Step, { kind: 'transfer' }>): string {
    const sums = new Map<string, bigint>();
    for (const { account, amount } of legs)
      sums.set(currencyOf(account), (sums.get(currencyOf(account)) ?? 0n) + amount);
    const names = new Set(legs.map((leg) => leg.account));
    if (legs.length < 2 || names.size !== legs.length || legs.some((leg) => leg.amount === 0n)) return 'invalid';
    if ([...sums.values()].some((sum) => sum !== 0n)) return 'invalid';
    const earlier = this.#earlier(
      id,
      `transfer ${type} ${legs
        .map((leg) => `${leg.account}=${leg.amount}`)
        .toSorted()
        .join()}`,
    );
    if (typeof earlier === 'string') return earlier;
    return this.#change(
      legs.map((leg) => ({ ...leg, held: 0n })),
      earlier.record,
    );
  }

  #hold({ id, type, from, to, amount, expiresAt }: Extract<Step, { kind: 'hold' }>): string {
    if (amount <= 0n || from === to || currencyOf(from) !== currencyOf(to)) return 'invalid';
    const earlier = this.#earlier(id, `hold ${type} ${from} ${to} ${amount}`);
    if (typeof earlier === 'string') return earlier;
    const changes = [
      { account: from, amount: 0n, held: amount },
      { account: to, amount: 0n, held: 0n },
    ];
    const outcome = this.#change(changes, earlier.record);
    if (outcome === 'done') this.holds.set(id, { from, to, amount, expiresAt, state: 'pending', posted: 0n });
    return outcome;
  }

  #resolve(step: Extract<Step, { kind: 'post' | 'void' | 'expire' }>, now: Date): string {
    if (step.kind === 'post' && (step.amount ?? 0n) < 0n) return 'invalid';
    const hold = this.holds.get(step.id);
    if (!hold) return 'not_found';
    const amount = step.kind === 'post' ? (step.amount ?? hold.amount) : 0n;
    const end = step.kind === 'expire' ? 'expired' : amount === 0n ? 'voided' : 'posted';
    if (hold.state !== 'pending') return hold.state === end && hold.posted === amount ? 'replayed' : 'conflict';
    if (amount > hold.amount || (end === 'posted' && isDue(hold, now))) return 'conflict';
    if (end === 'expired' && !isDue(hold, now)) return 'conflict';
    this.#change(
      [
        { account: hold.from, amount: -amount, held: -hold.amount },
        { account: hold.to, amount, held: 0n },
      ],
      () => {},
    );
    this.holds.set(step.id, { ...hold, state: end, posted: amount });
    return 'done';
  }

  #earlier(id: string, said: string): string | { record: () => void } {
    const before = this.#said.get(id);
    if (before !== undefined) return before === said ? 'replayed' : 'conflict';
    return { record: () => void this.#said.set(id, said) };
  }

  #change(changes: { account: Code; amount: bigint; held: bigint }[], record: () => void): string {
    const found = changes.map((change) => ({ ...change, was: this.accounts.get(change.account) }));
    if (found.some(({ was }) => was === undefined)) return 'not_found';
    const after = found.map(({ account, amount, held, was }) => {
      const before = was ?? { posted: 0n, held: 0n, floor: 0n };
      return { account, now: { ...before, posted: before.posted + amount, held: before.held + held } };
    });
    if (after.some(({ now }) => now.floor !== undefined && now.posted - now.held < now.floor)) return 'unaffordable';
    for (const { account, now } of after) this.accounts.set(account, now);
    record();
    return 'done';
  }
}

const isDue = (hold: Held, now: Date): boolean => hold.expiresAt !== undefined && hold.expiresAt <= now;
