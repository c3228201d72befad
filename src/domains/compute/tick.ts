import { parseId, type AccountId, type ServerId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { allParts } from '../../platform/jobs/index.ts';
import { followFacts, type Fact } from '../../platform/outbox.ts';
import { chargeOf, payOn } from './billing.ts';
import { wallet } from '../ledger/index.ts';
import { holdServers, releaseServers, switchOffHeld } from './hold.ts';
import { endWithin, failWithin } from './end.ts';
import { tell } from './facts.ts';
import { tickBackups } from './backups/tick.ts';
import { begin, periodsDue, prepay, rest } from './money.ts';
import { GRACE_MS, type Server } from './server.ts';
import {
  lockByMachine,
  lockDue,
  lockServer,
  lockSuspended,
  savePaid,
  saveServer,
  suspendedAccounts,
  suspendedBefore,
  unsettledServers,
} from './store.ts';
import type { ComputeWorld } from './world.ts';

/** Servers that are billed in one transaction. */
const BATCH = 200;
/** What is unsettled for so long was left behind. */
const LEFT_AFTER_MS = 5 * SECOND;
/** Whose machine facts it reads. */
const FOLLOWER = 'compute';

/** Does what is due by the platform's clock. Any number of processes may do it at the same time. */
export async function tick(world: ComputeWorld, op: Op): Promise<number> {
  const take = (tx: Tx, fact: Fact) => follow(world, tx, op, fact);
  return allParts([
    () => followFacts(world.db, FOLLOWER, take, (fact, error) => missed(world, fact, error)),
    () => billAll(world, op),
    () => switchOffHeld(world, op),
    () => resumePaid(world, op),
    () => endForgotten(world, op),
    () => takeUpLeft(world),
    () => tickBackups(world, op),
  ]);
}

const missed = ({ log }: ComputeWorld, { seq, subject }: Fact, error: unknown): void =>
  log.error({ seq: String(seq), subject, err: error }, 'a fact could not be taken by the servers yet');

async function follow(world: ComputeWorld, tx: Tx, op: Op, fact: Fact): Promise<void> {
  if (fact.type === 'account.held') return holdServers(tx, fact);
  if (fact.type === 'account.released') return releaseServers(tx, op, fact);
  if (fact.type !== 'machine.destroyed' && fact.type !== 'machine.recovered') return;
  const machineId = parseId('machine', fact.subject);
  const server = machineId && (await lockByMachine(tx, machineId));
  if (server?.state !== 'active' && server?.state !== 'suspended') return;
  if (fact.type === 'machine.destroyed') {
    await failWithin(world, tx, { ...op, now: fact.at }, server, 'The machine was lost together with its disk.');
  } else if (server.state === 'active' && !server.moving) {
    // It was lost with its host and is up again: what follows each start of it has to be done.
    await saveServer(tx, { ...server, moving: 'starting' });
    await world.settleLater(tx, server.id);
  }
}

/** Periods that are due. What fails is left for the next turn and stops no other. */
async function billAll(world: ComputeWorld, op: Op): Promise<number> {
  const failed: ServerId[] = [];
  let done = 0;
  for (let limit = BATCH; !op.signal.aborted;) {
    let due: Server[] = [];
    try {
      const billed = await world.db.transact(async (tx) => {
        due = await lockDue(tx, op.now, limit, failed);
        await bill(world, tx, op, due);
        return due.length;
      });
      if (billed === 0) break;
      done += billed;
      limit = BATCH;
    } catch (error) {
      const [first] = due;
      if (!first) throw error;
      // Of many it is not known which one it was.
      if (due.length === 1) {
        failed.push(first.id);
        world.log.warn({ serverId: first.id, err: error }, 'a server could not be billed yet');
      }
      limit = 1;
    }
  }
  return done;
}

/** All that is due for each in one payment, in one round trip; then those for which that was too much. */
async function bill(world: ComputeWorld, tx: Tx, op: Op, due: readonly Server[]): Promise<void> {
  const wanted = due.map((server) => ({ server, next: prepay(server.meter, periodsDue(server.meter, op.now)) }));
  const outcomes = await world.ledger.transferAll(
    tx,
    op,
    wanted.map(({ server, next }) => chargeOf(server, next)),
  );
  const isPaid = (index: number) => outcomes[index] !== 'unaffordable';
  await savePaid(
    tx,
    wanted.filter((_, index) => isPaid(index)).map(({ server, next }) => ({ ...server, meter: next })),
  );
  for (const [index, server] of due.entries()) if (!isPaid(index)) await suspend(world, tx, op, server);
}

/** It ran on for a moment after its money was used up: nobody pays for that. */
async function suspend(world: ComputeWorld, tx: Tx, op: Op, server: Server): Promise<void> {
  const paid = await payOn(world.ledger, tx, op, server, periodsDue(server.meter, op.now));
  const next: Server = { ...server, meter: rest(paid), state: 'suspended', moving: 'stopping', suspendedAt: op.now };
  await saveServer(tx, next);
  await tell(tx, op, 'server.suspended', next, { paidUntil: paid.paidUntil, periods: paid.periods });
  await world.settleLater(tx, server.id);
}

/** Servers whose next period can be paid again, the longest suspended first. */
async function resumePaid(world: ComputeWorld, op: Op): Promise<number> {
  const { db, ledger } = world;
  const waiting = await suspendedAccounts(db);
  if (waiting.length === 0) return 0;
  const purses = await ledger.balances(
    db,
    waiting.map(({ accountId }) => wallet(accountId, 'USD')),
  );
  let resumed = 0;
  for (const { accountId, least } of waiting) {
    const purse = purses.get(wallet(accountId, 'USD'));
    if (!purse || purse.available < least) continue;
    resumed += await oneOfMany(world, { accountId }, () => resumeOf(world, op, accountId));
  }
  return resumed;
}

const resumeOf = (world: ComputeWorld, op: Op, accountId: AccountId): Promise<number> =>
  world.db.transact(async (tx) => {
    let count = 0;
    for (const server of await lockSuspended(tx, accountId)) count += (await resume(world, tx, op, server)) ? 1 : 0;
    return count;
  });

/** What cannot be done for one is left for the next turn and stops no other. */
async function oneOfMany({ log }: ComputeWorld, which: object, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    log.warn({ ...which, err: error }, 'servers could not be brought to what their account can pay yet');
    return 0;
  }
}

async function resume(world: ComputeWorld, tx: Tx, op: Op, server: Server): Promise<boolean> {
  const meter = begin(server.meter, op.now);
  const [outcome] = await world.ledger.transferAll(tx, op, [chargeOf(server, meter)]);
  if (outcome === 'unaffordable') return false;
  const moving = server.power === 'on' ? 'starting' : undefined;
  const next: Server = { ...server, meter, state: 'active', moving, suspendedAt: undefined };
  await saveServer(tx, next);
  await tell(tx, op, 'server.resumed', next, { periods: meter.periods });
  if (moving) await world.settleLater(tx, server.id);
  return true;
}

/** Nobody has paid for them in all the time that their disks were kept. */
async function endForgotten(world: ComputeWorld, op: Op): Promise<number> {
  const before = after(op.now, -GRACE_MS);
  const endOne = (id: ServerId): Promise<number> =>
    world.db.transact(async (tx) => {
      const server = await lockServer(tx, id);
      if (server?.state !== 'suspended' || !server.suspendedAt || server.suspendedAt > before) return 0;
      await endWithin(world, tx, op, server, op.now);
      return 1;
    });
  let ended = 0;
  for (const id of await suspendedBefore(world.db, before, BATCH))
    ended += await oneOfMany(world, { serverId: id }, () => endOne(id));
  return ended;
}

const takeUpLeft = ({ db, settleLater }: ComputeWorld): Promise<number> =>
  db.transact(async (tx) => {
    const left = await unsettledServers.takeLeft(tx, LEFT_AFTER_MS, BATCH);
    for (const id of left) await settleLater(tx, id);
    return left.length;
  });
