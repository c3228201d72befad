import { must, complete, HOUR_MS, sweep } from '../grid/trades.ts';
import { publish, registerNode, type TestNode } from '../grid/node.ts';
import { systemOp } from '../harness/op.ts';
import type { TestApis } from '../harness/apis.ts';

let made = 0;

/** A node with a seat among the founders once its first sale is settled. */
export async function newcomer(world: TestApis, name: string, shownName = 'Ada’s translators'): Promise<TestNode> {
  const body = { email: `founder-${++made}@example.com`, node_name: shownName };
  const { signup_token: signupToken } = must(await world.call('POST', '/v1/early-access', { body }));
  return registerNode(world, name, { signupToken });
}

/** Sales of a skill to so many different nodes, delivered, and settled when their window is over. */
export async function sold(world: TestApis, seller: TestNode, skillId: string, times: number): Promise<void> {
  for (let sale = 0; sale < times; sale++) {
    const buyer = await registerNode(world);
    const task = must(
      await buyer.call('POST', '/v1/tasks/create', { skill_id: skillId, input_data: { text: 'Hola' } }),
    );
    must(await complete(seller, task.task_id));
  }
  world.clock.advance(25 * HOUR_MS);
  await sweep(world);
  for (const { name, runDue } of world.grid.sweeps)
    if (name === 'grid.refresh-reputation') await runDue(systemOp(world.clock.now()));
}

/** Disputed by its buyer, who then waits for the operator. */
export async function disputed(world: TestApis, seller: TestNode, skillId: string): Promise<void> {
  const buyer = await registerNode(world);
  const task = must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skillId, input_data: { text: 'Hola' } }));
  must(await complete(seller, task.task_id));
  must(await buyer.call('POST', '/v1/tasks/dispute', { task_id: task.task_id, reason: 'It is not Spanish.' }));
}

/** Banned by another system that the operator trusts. */
export const banned = (world: TestApis, nodeId: string, token: string) =>
  world.call('POST', '/api/v1/admin/sync/node', {
    body: { id: nodeId, active: false },
    headers: { authorization: `Bearer ${token}` },
  });

export const METADATA = {
  category: 'translation',
  version: '2.1',
  description: 'Contracts and letters from Spanish to English, with the terms of law kept as they are.',
  input_schema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  output_schema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  validators: [{ type: 'non_empty', fields: ['text'] }],
};

export const translator = (seller: TestNode, label = 'Contract translation, Spanish to English') =>
  publish(seller, { label, price: 5, metadata: METADATA });
