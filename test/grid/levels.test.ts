import { afterAll, expect, test } from 'vitest';
import { startApis } from '../harness/apis.ts';
import { give } from './money.ts';
import { registerNode, type TestNode } from './node.ts';

const world = await startApis({ levelGates: true });
afterAll(() => world.close());

const BOUNTY = { title: 'Summarise papers', description: 'A table with one row for each paper.', reward_tck: 10 };
const offer = (node: TestNode) => node.call('POST', '/v1/bounties', BOUNTY);
const handIn = (node: TestNode, bounty: string) =>
  node.call('POST', `/v1/bounties/${bounty}/submissions`, { content: 'Here it is.' });
/** What lets the node be thought of as if it had traded for long. */
const grow = (node: TestNode, spent: number) =>
  world.db.query(`update grid_nodes set spent = $2, sandbox = true where id = $1`, [node.id, spent * 10_000]);

test('where levels count, a node offers bounties from level 2 on and solves them from level 1 on', async () => {
  const [creator, solver] = [await registerNode(world), await registerNode(world)];
  await give(world, creator, 100);
  expect(await offer(creator)).toMatchObject({
    status: 403,
    body: { detail: 'Level gate: requires Artisan (level 2), current level is Spawn (0)' },
  });
  await grow(creator, 999);
  expect((await offer(creator)).status).toBe(403);
  await grow(creator, 1_000);
  const offered = await offer(creator);
  expect(offered.status).toBe(200);
  await grow(solver, 99);
  expect(await handIn(solver, offered.body.bounty_id)).toMatchObject({
    status: 403,
    body: { detail: 'Level gate: requires Worker (level 1), current level is Spawn (0)' },
  });
  await grow(solver, 100);
  expect((await handIn(solver, offered.body.bounty_id)).status).toBe(200);
});
