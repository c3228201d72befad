import { AppError } from '../../../kernel/errors.ts';
import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { networkOf } from '../../../platform/limits.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { mint, wallet } from '../../ledger/index.ts';
import { INITIAL_BALANCE } from '../money.ts';
import type { GridWorld } from '../world.ts';
import { isSolution, MAX_TRIES, MAX_TRIES_FOR_AN_ACCOUNT } from './challenge.ts';
import { deleteChallenge, linkEarlyAccess, takeTry, type ChallengeRow } from './challenge-store.ts';
import { accountOf, checkSignupToken, NAME_TAKEN, ONE_NODE_EACH, registrantOf, type Registrant } from './register.ts';
import { findNode, insertNode } from './store.ts';

export type Verification = { nodeId: NodeId; accountId: AccountId; apiKey: string };
export type Attempt = { nodeId: NodeId; solution: number; signupToken: string | undefined };

const REFUSALS = {
  none: 'No pending challenge — call /v1/node/register first',
  expired: 'Challenge expired — register again',
  wrong: 'Challenge failed: Incorrect solution',
  foreign: 'This node was registered for an account: send its credential here as well',
} as const;

/**
 * Makes the node of a solved challenge, with its account where it has none, its first TCK and its key. A few wrong
 * answers end the challenge. Throws `invalid`, `forbidden`.
 */
export async function verify(world: GridWorld, op: Op, attempt: Attempt): Promise<Verification> {
  const earlier = await findEarlier(world, op, attempt.nodeId);
  if (earlier) return earlier;
  const { db } = world;
  if (attempt.signupToken !== undefined) await checkSignupToken(db, attempt.signupToken);
  const outcome = await db.transact(async (tx) => {
    const challenge = await takeTry(tx, attempt.nodeId);
    const refusal = refusalOf(challenge, op, attempt);
    // That a try was used up is kept, so it is an outcome here and no error.
    if (!challenge || refusal) return spendTry(tx, challenge, refusal ?? 'none');
    await deleteChallenge(tx, attempt.nodeId);
    return activate(world, tx, op, { ...(await registrantAt(tx, op, challenge)), attempt });
  });
  if (typeof outcome === 'string') throw new AppError('invalid', REFUSALS[outcome]);
  return outcome;
}

type Refusal = keyof typeof REFUSALS;

function refusalOf(challenge: ChallengeRow | undefined, op: Op, { solution }: Attempt): Refusal | undefined {
  if (!challenge) return 'none';
  if (challenge.expires_at <= op.now) return 'expired';
  if (!mayAnswer(challenge, op)) return 'foreign';
  return isSolution(challenge.payload, solution) ? undefined : 'wrong';
}

/**
 * The answer is worth a key of the account, and sums of primes can be guessed: only who shows the account's credential
 * answers for it, or asks from where the challenge was asked for.
 */
function mayAnswer({ account_id: accountId, network }: ChallengeRow, op: Op): boolean {
  if (accountId === null) return true;
  const caller = accountOf(op);
  return caller === undefined ? network === networkOf(op.address) : caller === accountId;
}

/** As it was asked for; what nobody was named for then, belongs to whoever answers. */
async function registrantAt(
  tx: Tx,
  op: Op,
  { account_id: accountId, sandbox_id: sandboxId }: ChallengeRow,
): Promise<Registrant> {
  if (accountId !== null) return { accountId };
  return { ...(sandboxId !== null && { sandboxId }), ...(await registrantOf(tx, op)) };
}

async function spendTry(tx: Tx, challenge: ChallengeRow | undefined, refusal: Refusal): Promise<Refusal> {
  if (!challenge || refusal === 'foreign') return refusal;
  const maxTries = challenge.account_id === null ? MAX_TRIES : MAX_TRIES_FOR_AN_ACCOUNT;
  if (refusal === 'expired' || challenge.tries >= maxTries) await deleteChallenge(tx, challenge.node_id);
  return refusal;
}

/** What the same request has done before, where it is carried out once more under its idempotency key. */
async function findEarlier({ db, identity }: GridWorld, op: Op, nodeId: NodeId): Promise<Verification | undefined> {
  const node = op.seed && (await findNode(db, nodeId));
  const key = node && (await identity.earlierNodeKey(op, node.accountId, nodeId));
  return node && key && { nodeId, accountId: node.accountId, apiKey: key.secret };
}

async function activate(
  world: GridWorld,
  tx: Tx,
  op: Op,
  { attempt, accountId: attachedTo, sandboxId }: Registrant & { attempt: Attempt },
): Promise<Verification> {
  const { nodeId, signupToken } = attempt;
  const accountId = attachedTo ?? (await world.identity.openForNode(tx, op, nodeId));
  const made = { id: nodeId, accountId, sandbox: false, signupToken, sandboxId, createdAt: op.now };
  const isNew = await insertNode(tx, made);
  if (!isNew) throw new AppError('invalid', (await findNode(tx, nodeId)) ? NAME_TAKEN : ONE_NODE_EACH);
  if (signupToken !== undefined && !(await linkEarlyAccess(tx, signupToken, nodeId)))
    throw new AppError('invalid', 'Signup token already linked to another node');
  await giveInitialBalance(world, tx, op, { accountId, nodeId });
  const { secret } = await world.identity.mintNodeKey(tx, op, accountId, nodeId);
  await recordFact(tx, op, {
    type: 'node.registered',
    subject: nodeId,
    accountId,
    data: { nodes: [nodeId], attached: attachedTo !== undefined },
  });
  return { nodeId, accountId, apiKey: secret };
}

const giveInitialBalance = (
  { ledger }: GridWorld,
  tx: Tx,
  op: Op,
  { accountId, nodeId }: { accountId: AccountId; nodeId: NodeId },
) =>
  ledger.transfer(tx, op, {
    id: newId(op, 'transfer', 'registration credit'),
    type: 'REGISTRATION_CREDIT',
    description: 'Initial balance of a verified node',
    metadata: { reference: nodeId, node: nodeId },
    legs: [
      { account: mint('TCK'), amount: tck(-INITIAL_BALANCE) },
      { account: wallet(accountId, 'TCK'), amount: INITIAL_BALANCE },
    ],
  });
