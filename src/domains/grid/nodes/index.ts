import { AppError } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import type { AccountOp, Op } from '../../../kernel/op.ts';
import { MINUTE, after } from '../../../kernel/time.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import type { Limit } from '../../../platform/limits.ts';
import { wallet } from '../../ledger/index.ts';
import type { Signing } from '../signing.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { setCanary, type CanaryChange } from './canary.ts';
import { deleteExpiredChallenges } from './challenge-store.ts';
import { signUpEarly, type EarlyAccessWish } from './early-access.ts';
import type { Node } from './node.ts';
import { register, requireEverything, type RegistrationWish } from './register.ts';
import { enter, issueSession, nodeRecogniser, requireKey, type Recognise } from './session.ts';
import { activityOf, findNode } from './store.ts';
import { syncNode, type SyncedNode } from './sync.ts';
import { verify, type Attempt } from './verify.ts';

/** Processes whose clocks differ by less than this agree on which challenges have expired. */
const CLOCK_SKEW = 10 * MINUTE;

export type Nodes = ReturnType<typeof createNodes>;

/** Nodes: how they register, who they are, and what they may spend. */
export function createNodes(world: GridWorld, signing: Signing) {
  const { db, limits } = world;
  return {
    register: (op: Op, wish: RegistrationWish) => register(world, op, wish),
    /** Answers the new node with its key, and a token for its first session. */
    verify: async (op: Op, attempt: Attempt) => {
      const verified = await verify(world, op, attempt);
      return { ...verified, session: await issueSession(signing, op, verified.nodeId) };
    },
    /** A new session token for a node that is still here. It may do everything, so a key with scopes gets none. */
    refresh: (op: NodeOp) => {
      requireEverything(op.actor);
      return issueSession(signing, op, op.node.id);
    },
    recogniser: (others: Recognise) => nodeRecogniser(world, signing, others),
    /** The caller as its node; with its key, where a token is not enough. */
    enter: async (op: AccountOp, { keyOnly }: { keyOnly: boolean }) => {
      if (keyOnly) requireKey(op.actor);
      return enter(world, op);
    },
    /** Throws `rate_limited`. */
    count: (op: NodeOp, limit: Limit) => limits.count(db, limit, op.node.id, op.now),
    /** Throws `not_found`. */
    get: (text: string) => get(world, text),
    /** Whose a node is; undefined where there is none. */
    accountOf: async (text: string) => {
      const id = parseNodeId(text);
      return id && (await findNode(db, id))?.accountId;
    },
    setCanary: (op: NodeOp, change: CanaryChange) => setCanary(world, op, change),
    /** What a node has to spend. */
    balance: async (node: Pick<Node, 'accountId'>) =>
      (await world.ledger.balance(db, wallet(node.accountId, 'TCK'))).available,
    activity: (id: NodeId) => activityOf(db, id),
    signUpEarly: (op: Op, wish: EarlyAccessWish) => signUpEarly(world, op, wish),
    /** What another system shows that names nodes. */
    syncSecret: { header: 'authorization', value: world.settings.syncToken, refusal: 'Admin authentication failed' },
    sync: (op: Op, node: SyncedNode) => syncNode(world, op, node),
    publicKey: () => signing.publicKey(),
    sweeps: [
      defineSweep({
        name: 'grid.forget-challenges',
        everySeconds: 60,
        runDue: (op) => db.transact((tx) => deleteExpiredChallenges(tx, after(op.now, -CLOCK_SKEW))),
      }),
    ],
  };
}

async function get({ db }: GridWorld, text: string): Promise<Node> {
  const id = parseNodeId(text);
  const node = id && (await findNode(db, id));
  if (!node) throw new AppError('not_found', 'Node not found');
  return node;
}
