import { AppError } from '../../../kernel/errors.ts';
import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { AccountActor, Op } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import type { Db } from '../../../platform/db.ts';
import { networkOf } from '../../../platform/limits.ts';
import type { GridWorld } from '../world.ts';
import { CHALLENGE_MS, newPayload } from './challenge.ts';
import { findEarlyAccess, putChallenge } from './challenge-store.ts';
import { HOUSE } from './node.ts';
import { findNode, findNodeOf } from './store.ts';

export type Registration = { nodeId: NodeId; payload: number[]; issuedAt: Date };
export type RegistrationWish = { nodeId: NodeId; signupToken: string | undefined };

export const NAME_TAKEN = 'Node ID already registered';
export const ONE_NODE_EACH = 'This account has a node already';

/**
 * Begins a registration: the name is the caller's when the challenge is solved. Who calls with a credential gets the
 * node for that account; with that of a sandbox node it has one of its own. Throws `invalid`, `forbidden`.
 */
export async function register({ db }: GridWorld, op: Op, wish: RegistrationWish): Promise<Registration> {
  const { nodeId, signupToken } = wish;
  if (HOUSE.includes(nodeId) || (await findNode(db, nodeId))) throw new AppError('invalid', NAME_TAKEN);
  const { accountId, sandboxId } = await registrantOf(db, op);
  if (signupToken !== undefined) await checkSignupToken(db, signupToken);
  const payload = newPayload(op);
  await db.transact((tx) =>
    putChallenge(tx, {
      node_id: nodeId,
      account_id: accountId ?? null,
      sandbox_id: sandboxId ?? null,
      network: networkOf(op.address),
      payload,
      expires_at: after(op.now, CHALLENGE_MS),
    }),
  );
  return { nodeId, payload, issuedAt: op.now };
}

/** Whose a node will be, or the sandbox node that its maker has played with: neither is there for a stranger. */
export type Registrant = { accountId?: AccountId; sandboxId?: NodeId };

/** What is played for is never the same account's as what is worth something. Throws `invalid`, `forbidden`. */
export async function registrantOf(db: Db, op: Op): Promise<Registrant> {
  const accountId = accountOf(op);
  const node = accountId && (await findNodeOf(db, accountId));
  if (node?.sandbox) return { sandboxId: node.id };
  if (node) throw new AppError('invalid', ONE_NODE_EACH);
  return accountId ? { accountId } : {};
}

/**
 * Whose a node will be. It comes with a key that may do everything, so a credential that may not has none made. Throws
 * `forbidden`.
 */
export function accountOf({ actor }: Op): AccountId | undefined {
  if (actor.kind !== 'account') return undefined;
  if (actor.isHeld) throw new AppError('forbidden', 'This account is suspended.');
  requireEverything(actor);
  return actor.accountId;
}

/** Throws `forbidden` for a key that may do only some things. */
export function requireEverything({ scopes }: AccountActor): void {
  if (scopes !== null) throw new AppError('forbidden', 'Insufficient permissions: requires a key without scopes');
}

/** Throws `invalid` for a token that there is not, and for one that has its node. */
export async function checkSignupToken(db: Db, token: string): Promise<void> {
  const early = await findEarlyAccess(db, token);
  if (!early) throw new AppError('invalid', 'Invalid signup_token: ask for one with POST /v1/early-access');
  if (early.node_id !== null) throw new AppError('invalid', 'Signup token already linked to another node');
}
