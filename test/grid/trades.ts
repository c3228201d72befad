import type { Op } from '../../src/kernel/op.ts';
import type { Reply, TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { nodeWith, publish, registerNode, type TestNode } from './node.ts';

export const HOUR_MS = 3_600_000;
export const PROOF = 'a'.repeat(64);

export type Pair = { buyer: TestNode; seller: TestNode };
export type Ordered = Pair & { skillId: string; taskId: string; escrowId: string };

/** Two nodes that have not met. */
export async function pair(world: TestApis): Promise<Pair> {
  const [buyer, seller] = await Promise.all([registerNode(world), registerNode(world)]);
  return { buyer, seller };
}

/** A task of a skill that costs 5 TCK, where nothing else is said. */
export async function ordered(
  world: TestApis,
  skill: { price?: number; metadata?: unknown; label?: string } = {},
  extra: Record<string, unknown> = {},
  between?: Pair,
): Promise<Ordered> {
  const both = between ?? (await pair(world));
  const skillId = await publish(both.seller, skill);
  const body = { skill_id: skillId, input_data: { text: 'Hola' }, ...extra };
  const reply = must(await both.buyer.call('POST', '/v1/tasks/create', body));
  return { ...both, skillId, taskId: reply.task_id, escrowId: reply.escrow_id };
}

export const complete = (seller: TestNode, taskId: string, output: unknown = { text: 'Hello' }, proof = PROOF) =>
  seller.call('POST', '/v1/tasks/complete', { task_id: taskId, output_data: output, proof_hash: proof });

/** A task that is delivered and waits for its window to end. */
export async function delivered(
  world: TestApis,
  skill: Parameters<typeof ordered>[1] = {},
  { output, ...extra }: Record<string, unknown> = {},
  between?: Pair,
): Promise<Ordered> {
  const task = await ordered(world, skill, extra, between);
  must(await complete(task.seller, task.taskId, output));
  return task;
}

export const settle = (node: TestNode, escrowId: string) =>
  node.call('POST', '/v1/trade/escrow/settle', { escrow_id: escrowId, proof_hash: PROOF });

/** The body of a reply that has to be a success. */
export function must({ status, body }: Reply): Reply['body'] {
  if (status !== 200) throw new Error(`answers ${status}: ${JSON.stringify(body)}`);
  return body;
}

const SWEEPS = ['grid.settle', 'grid.judge', 'grid.judge-played', 'grid.refund-overdue'];

const opOf = (world: TestApis): Op => systemOp(world.clock.now());

/** One run of one sweep. */
export async function runSweep(world: TestApis, name: string): Promise<number> {
  const found = world.grid.sweeps.find((each) => each.name === name);
  if (!found) throw new Error(`there is no sweep ${name}`);
  return found.runDue(opOf(world));
}

/** A node that only plays. */
export async function sandboxNode(world: TestApis): Promise<TestNode> {
  const { body } = await world.call('POST', '/v1/sandbox/nodes', { body: {} });
  return nodeWith(world, body.node_id, body);
}

/** Does whatever is due, as the sweeps do. */
export async function sweep(world: TestApis): Promise<void> {
  for (const { name, runDue } of world.grid.sweeps) if (SWEEPS.includes(name)) while ((await runDue(opOf(world))) > 0);
}
