import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AppError } from '../../../kernel/errors.ts';
import type { NodeId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { abandonBounties, readoptBounties } from '../bounties/store.ts';
import type { GridWorld } from '../world.ts';
import { findNode, insertNode, putSynced } from './store.ts';

/** What another system that names nodes says of one. Money is not among it: that is ours to keep. */
export type SyncedNode = {
  id: NodeId;
  keyHash?: string | undefined;
  reputation?: number | undefined;
  active?: boolean | undefined;
  ipAddress?: string | undefined;
  createdAt?: Date | undefined;
};

/** Takes over a node of another system, or what it says anew of one. A new one has an account of its own, and no TCK. */
export function syncNode({ db, identity }: GridWorld, op: Op, given: SyncedNode): Promise<void> {
  return db.transact(async (tx) => {
    if (!(await findNode(tx, given.id))) {
      const accountId = await identity.openForNode(tx, op, given.id);
      const createdAt = given.createdAt ?? op.now;
      await insertNode(tx, { id: given.id, accountId, sandbox: false, signupToken: undefined, createdAt });
    }
    await putSynced(tx, given);
    // Who is not here can neither award nor cancel.
    if (given.active === false) await abandonBounties(tx, given.id, op.now);
    if (given.active === true) await readoptBounties(tx, given.id);
    await recordFact(tx, op, { type: 'node.synced', subject: given.id, data: { nodes: [given.id] } });
  });
}

/** `$pbkdf2-sha256$rounds$salt$hash` with the base 64 of passlib, which has dots for pluses and no padding. */
const FORMAT = /^\$pbkdf2-sha256\$(\d{1,7})\$([A-Za-z0-9./]+)\$([A-Za-z0-9./]+)$/;
/** More would let one request occupy a thread for seconds. */
const MAX_ROUNDS = 1_000_000;
const derive = promisify(pbkdf2);
/** Secrets that are checked or wait for it: they are checked one after the other, on one of this process's threads. */
const MAX_CHECKED = 8;
const RETRY_SECONDS = 5;

let checked = 0;
let last: Promise<unknown> = Promise.resolve();

/**
 * Whether a secret is the one that another system has hashed. Nothing fits a hash that is none. Throws `at_capacity`
 * where too many are being checked: they take their time, and other work needs the threads too.
 */
export async function fitsHash(secret: string, hash: string): Promise<boolean> {
  if (checked >= MAX_CHECKED)
    throw new AppError('at_capacity', 'Too many keys are being checked', { retryAfterSeconds: RETRY_SECONDS });
  checked += 1;
  const checking = last.then(() => check(secret, hash));
  last = checking.catch(() => {}); // whoever asked hears of it, the next must not
  return checking.finally(() => (checked -= 1));
}

async function check(secret: string, hash: string): Promise<boolean> {
  const [, rounds = '', salt = '', expected = ''] = FORMAT.exec(hash) ?? [];
  if (expected === '' || Number(rounds) < 1 || Number(rounds) > MAX_ROUNDS) return false;
  const [saltBytes, expectedBytes] = [decode(salt), decode(expected)];
  if (expectedBytes.length === 0) return false;
  const derived = await derive(secret, saltBytes, Number(rounds), expectedBytes.length, 'sha256');
  return timingSafeEqual(derived, expectedBytes);
}

const decode = (text: string): Buffer => Buffer.from(text.replaceAll('.', '+'), 'base64');
