import type { NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { mint, wallet } from '../../ledger/index.ts';
import { abandonBounties } from '../bounties/store.ts';
import type { GridWorld } from '../world.ts';
import { SANDBOX_LIFE } from './sandbox.ts';
import { retireNode, sandboxNodesBefore } from './store.ts';

/** Nodes that one run of the sweep retires. */
const BATCH = 100;

/** Ends the sandbox nodes that have played long enough. Answers how many. */
export async function retireDue(world: GridWorld, op: Op): Promise<number> {
  let retired = 0;
  for (const id of await sandboxNodesBefore(world.db, after(op.now, -SANDBOX_LIFE), BATCH))
    if (await retire(world, op, id)) retired++;
  return retired;
}

/** What it has left goes back to where it came from; what comes to it later has nobody who could spend it. */
const retire = ({ db, ledger }: GridWorld, op: Op, id: NodeId): Promise<boolean> =>
  db.transact(async (tx) => {
    const accountId = await retireNode(tx, id);
    if (!accountId) return false;
    await abandonBounties(tx, id, op.now);
    const purse = wallet(accountId, 'TCK');
    const { available } = await ledger.balance(tx, purse);
    if (available > 0n)
      await ledger.transfer(tx, op, {
        id: newId(op, 'transfer', `sandbox end ${id}`),
        type: 'CONFISCATION',
        description: 'What a sandbox node has not spent',
        metadata: { reference: id, sandbox: true },
        legs: [
          { account: purse, amount: tck(-available) },
          { account: mint('TCK'), amount: available },
        ],
      });
    await recordFact(tx, op, { type: 'node.retired', subject: id, accountId, data: { nodes: [id] } });
    return true;
  });
