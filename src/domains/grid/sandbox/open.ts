import { assert } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import { newId, secretBytes, type Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { mint, wallet } from '../../ledger/index.ts';
import { findNode, insertNode } from '../nodes/store.ts';
import type { GridWorld } from '../world.ts';
import { SANDBOX_BALANCE } from './sandbox.ts';

const NAME_BYTES = 8;

export type SandboxNode = { nodeId: NodeId; apiKey: string };

/**
 * Makes a node that plays: without a challenge, with much money that is worth nothing. It trades with other sandbox
 * nodes only.
 */
export async function openSandboxNode(world: GridWorld, op: Op): Promise<SandboxNode> {
  const nodeId = parseNodeId(`sandbox-${secretBytes(op, 'sandbox node').subarray(0, NAME_BYTES).toString('hex')}`);
  assert(nodeId, 'the name of a sandbox node is one');
  const { db, identity } = world;
  const earlier = op.seed && (await findNode(db, nodeId));
  const key = earlier
    ? await identity.earlierNodeKey(op, earlier.accountId, nodeId)
    : await db.transact((tx) => make(world, tx, op, nodeId));
  assert(key, 'a sandbox node has the key that it was made with');
  return { nodeId, apiKey: key.secret };
}

async function make({ identity, ledger }: GridWorld, tx: Tx, op: Op, nodeId: NodeId) {
  const accountId = await identity.openForNode(tx, op, nodeId);
  await insertNode(tx, { id: nodeId, accountId, sandbox: true, signupToken: undefined, createdAt: op.now });
  await ledger.transfer(tx, op, {
    id: newId(op, 'transfer', 'sandbox credit'),
    type: 'REGISTRATION_CREDIT',
    description: 'Balance of a sandbox node',
    metadata: { reference: nodeId, sandbox: true },
    legs: [
      { account: mint('TCK'), amount: tck(-SANDBOX_BALANCE) },
      { account: wallet(accountId, 'TCK'), amount: SANDBOX_BALANCE },
    ],
  });
  const data = { nodes: [nodeId], sandbox: true };
  await recordFact(tx, op, { type: 'node.registered', subject: nodeId, accountId, data });
  return identity.mintNodeKey(tx, op, accountId, nodeId);
}
