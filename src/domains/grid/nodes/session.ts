import { AppError } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import type { AccountActor, AccountOp, Actor, Op } from '../../../kernel/op.ts';
import { MINUTE, SECOND, after } from '../../../kernel/time.ts';
import { saysRs256 } from '../../../platform/rs256.ts';
import type { Signing } from '../signing.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { findNode, findNodeOf, markActive } from './store.ts';

/** How long a node's session token holds. */
export const SESSION_MS = 15 * MINUTE;
export const SESSION_SECONDS = SESSION_MS / SECOND;
/** The time at which a node was last here is at most this old. */
const ACTIVE_PRECISION = MINUTE;
const ROLE = 'node';
const GONE = 'Node not found or banned';

type Credential = { secret: string; bearer: boolean };
export type Recognise = (op: Op, credential: Credential) => Promise<Actor>;

export const issueSession = (signing: Signing, op: Op, nodeId: NodeId): Promise<string> =>
  signing.sign(op, 'session', { sub: nodeId, role: ROLE }, SESSION_MS);

/**
 * Recognises the tokens of nodes, and hands every other credential to `others`. A node's key is a key of its account,
 * as all others. Throws `unauthenticated`.
 */
export const nodeRecogniser =
  (world: GridWorld, signing: Signing, others: Recognise): Recognise =>
  async (op, credential) => {
    if (!saysRs256(credential.secret)) return others(op, credential);
    const claims = await signing.read(op, 'session', credential.secret);
    const nodeId = typeof claims?.['sub'] === 'string' ? parseNodeId(claims['sub']) : undefined;
    if (!nodeId) throw new AppError('unauthenticated', 'Invalid token: it is not one of ours, or has expired');
    const node = await findNode(world.db, nodeId);
    if (!node?.active) throw new AppError('unauthenticated', GONE);
    return { kind: 'account', accountId: node.accountId, scopes: null };
  };

/** The caller as its node. Throws `unauthenticated` for an account that has none, and for one that is banned. */
export async function enter({ db }: GridWorld, op: AccountOp): Promise<NodeOp> {
  const node = await findNodeOf(db, op.actor.accountId);
  if (!node?.active) throw new AppError('unauthenticated', GONE);
  const unlessSince = after(op.now, -ACTIVE_PRECISION);
  if (node.lastActiveAt < unlessSince) await db.transact((tx) => markActive(tx, node.id, op.now, unlessSince));
  return { ...op, node };
}

/** A token is no key: what moves money at once asks for one that can be revoked. Throws `unauthenticated`. */
export function requireKey({ keyId }: AccountActor): void {
  if (keyId === undefined) throw new AppError('unauthenticated', 'Invalid API Key format');
}
