import type { AccountId, NodeId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import type { Db, Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Account } from './account.ts';
import type { IdentityDeps } from './index.ts';
import { keyOf, makeKey, rowOf, secretOf, type KeyWish, type MintedKey } from './key.ts';
import { findKey, insertAccount, insertIdentity, insertKey } from './store.ts';

/** A node's key as another system has made it. */
export type NodeKey = { accountId: AccountId; nodeId: NodeId; secret: string };

const wishOf = (nodeId: NodeId): KeyWish => ({ name: nodeId, scopes: null, nodeId });

/** Opens the account of a node that belongs to nobody yet. */
export async function openForNode(
  { onAccountOpened }: Pick<IdentityDeps, 'onAccountOpened'>,
  tx: Tx,
  op: Op,
  nodeId: NodeId,
): Promise<AccountId> {
  const account: Account = { id: newId(op, 'account'), kind: 'agent', name: nodeId, createdAt: op.now };
  const { id, kind, name } = account;
  await insertAccount(tx, account);
  await insertIdentity(tx, { kind: 'node', subject: nodeId, account_id: id, secret: null, created_at: op.now });
  await onAccountOpened(tx, op, id, 'node');
  const data = { kind, name, with: 'node' };
  await recordFact(tx, op, { type: 'account.opened', subject: id, accountId: id, data });
  return id;
}

/** The key that the same request has made before, under its idempotency key. */
export async function earlierNodeKey(
  db: Db,
  op: Op,
  accountId: AccountId,
  nodeId: NodeId,
): Promise<MintedKey | undefined> {
  const row = op.seed && (await findKey(db, newId(op, 'key')));
  return row?.account_id === accountId ? { ...keyOf(row), secret: secretOf(op, { nodeId }) } : undefined;
}

/** The key that a node gets when it is verified; the same one again under the request's idempotency key. */
export async function mintNodeKey(tx: Tx, op: Op, accountId: AccountId, nodeId: NodeId): Promise<MintedKey> {
  const earlier = await earlierNodeKey(tx, op, accountId, nodeId);
  if (earlier) return earlier;
  const { row, secret } = makeKey(op, accountId, wishOf(nodeId));
  await insertKey(tx, row);
  const { id, prefix, scopes } = row;
  await recordFact(tx, op, { type: 'key.minted', subject: id, accountId, data: { prefix, scopes } });
  return { ...keyOf(row), secret };
}

/** Takes over a key that another system has made, under its own secret. */
export async function adoptNodeKey(tx: Tx, op: Op, { accountId, nodeId, secret }: NodeKey): Promise<void> {
  const row = rowOf(op, accountId, wishOf(nodeId), secret);
  await insertKey(tx, row);
  const { id, prefix, scopes } = row;
  await recordFact(tx, op, { type: 'key.adopted', subject: id, accountId, data: { prefix, scopes } });
}
