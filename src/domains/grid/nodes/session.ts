import { AppError, isAppError } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import type { AccountActor, AccountOp, Actor, Op } from '../../../kernel/op.ts';
import { MINUTE, SECOND, after } from '../../../kernel/time.ts';
import { networkOf } from '../../../platform/limits.ts';
import { saysRs256 } from '../../../platform/rs256.ts';
import type { Signing } from '../signing.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import type { Node } from './node.ts';
import { findKeyHash, findNode, findNodeOf, markActive, takeKeyHash } from './store.ts';
import { fitsHash } from './sync.ts';

/** How long a node's session token holds. */
export const SESSION_MS = 15 * MINUTE;
export const SESSION_SECONDS = SESSION_MS / SECOND;
/** The time at which a node was last here is at most this old. */
const ACTIVE_PRECISION = MINUTE;
const ROLE = 'node';
const GONE = 'Node not found or banned';

/** `bn_<node>_<secret>`; a name may have underscores, a secret has none. */
const NODE_KEY_MARK = /^bn_/;
const NODE_KEY = /^bn_(.+)_([^_]+)$/;

/** Wrong secrets of one network for nodes whose keys another system has made: each costs what a password costs. */
const WRONG_SECRETS = { name: 'grid-wrong-secret', max: 10, windowMs: MINUTE };

type Credential = { secret: string; bearer: boolean };
export type Recognise = (op: Op, credential: Credential) => Promise<Actor>;

export const issueSession = (signing: Signing, op: Op, nodeId: NodeId): Promise<string> =>
  signing.sign(op, 'session', { sub: nodeId, role: ROLE }, SESSION_MS);

/**
 * Recognises the tokens of nodes, and hands every other credential to `others`. A node's key is a key of its account,
 * as all others; one that another system has made becomes one when it is first used. Throws `unauthenticated`.
 */
export const nodeRecogniser =
  (world: GridWorld, signing: Signing, others: Recognise): Recognise =>
  async (op, credential) => {
    if (NODE_KEY_MARK.test(credential.secret)) return recogniseKey(world, op, credential, others);
    if (!saysRs256(credential.secret)) return others(op, credential);
    const claims = await signing.read(op, 'session', credential.secret);
    const nodeId = typeof claims?.['sub'] === 'string' ? parseNodeId(claims['sub']) : undefined;
    if (!nodeId) throw new AppError('unauthenticated', 'Invalid token: it is not one of ours, or has expired');
    const node = await findNode(world.db, nodeId);
    if (!node?.active) throw new AppError('unauthenticated', GONE);
    return world.identity.heldOrNot({ kind: 'account', accountId: node.accountId, scopes: null });
  };

async function recogniseKey(world: GridWorld, op: Op, credential: Credential, others: Recognise): Promise<Actor> {
  const [, name = '', secret = ''] = NODE_KEY.exec(credential.secret) ?? [];
  const nodeId = parseNodeId(name);
  if (!nodeId || secret === '') throw new AppError('unauthenticated', 'Invalid API Key structure');
  return others(op, credential).catch(async (error: unknown) => {
    if (!isAppError(error, 'unauthenticated')) throw error;
    const node = await findNode(world.db, nodeId);
    if (!node?.active) throw new AppError('unauthenticated', GONE);
    // Where no hash is left, another request with this secret may have made a key of it a moment ago.
    if ((await adoptKey(world, op, node, secret)) !== 'wrong')
      return others(op, credential).catch((again: unknown) => {
        throw isAppError(again, 'unauthenticated') ? wrongSecret() : again;
      });
    throw wrongSecret();
  });
}

const wrongSecret = (): AppError => new AppError('unauthenticated', 'Authentication failed');

/** Makes a key of ours of one that another system has made. Its hash is checked once, for that takes its time. */
async function adoptKey(
  { db, identity, limits }: GridWorld,
  op: Op,
  { id, accountId }: Node,
  secret: string,
): Promise<'adopted' | 'none' | 'wrong'> {
  const hash = await findKeyHash(db, id);
  if (hash === undefined) return 'none';
  const network = networkOf(op.address);
  await limits.refuseSpent(db, WRONG_SECRETS, network, op.now);
  if (!(await fitsHash(secret, hash))) {
    await limits.count(db, WRONG_SECRETS, network, op.now);
    return 'wrong';
  }
  await db.transact(async (tx) => {
    if (await takeKeyHash(tx, id, hash))
      await identity.adoptNodeKey(tx, op, { accountId, nodeId: id, secret: `bn_${id}_${secret}` });
  });
  return 'adopted';
}

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
