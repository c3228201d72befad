import { afterAll, expect, test } from 'vitest';
import { PLAY_VAULT, VAULT } from '../../src/domains/ledger/index.ts';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { expectSound, give, has, units } from './money.ts';
import { publish, registerNode } from './node.ts';
import { complete, delivered, must, sandboxNode, sweep } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const pioneers = async () => must(await world.call('GET', '/v1/verifier-pioneers')).pioneers;
const reconcile = async () => must(await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY }));

test('fees, taxes and bounties of sandbox nodes never come to the vault that bonuses are paid from', async () => {
  const players = { buyer: await sandboxNode(world), seller: await sandboxNode(world) };
  const { buyer, seller } = players;
  await delivered(world, { price: 100 }, {}, players);
  world.clock.advance(61_000);
  await sweep(world);
  const wish = { title: 'A bounty', description: 'Something to be done.', reward_tck: 100 };
  const path = `/v1/bounties/${must(await buyer.call('POST', '/v1/bounties', wish)).bounty_id}`;
  const made = must(await seller.call('POST', `${path}/submissions`, { content: 'Here it is.' }));
  must(await buyer.call('POST', `${path}/award`, { submission_id: made.submission_id }));
  // Half a TCK for the listing, three of each hundred.
  expect([await has(world, VAULT), await has(world, PLAY_VAULT)]).toEqual([0, 6.5]);
  expect(await reconcile()).toMatchObject({ valid: true, discrepancy: '0.0000', total_in_vault: '6.5000' });
  const entries = async (account: string) =>
    must(await world.call('GET', `/v1/admin/transactions?account=${account}`, { key: ADMIN_KEY })).count;
  expect([await entries('VAULT'), await entries('VAULT:SANDBOX')]).toEqual([0, 3]);
});

test('a receipt of a sandbox trade reads like every other', async () => {
  const players = { buyer: await sandboxNode(world), seller: await sandboxNode(world) };
  const { taskId } = await delivered(world, { price: 100 }, {}, players);
  world.clock.advance(61_000);
  await sweep(world);
  const { ledger_movements: movements } = must(await players.buyer.call('GET', `/v1/tasks/${taskId}/receipt`));
  expect(movements).toContainEqual(
    expect.objectContaining({ type: 'CREDIT', account: 'VAULT', amount: '3.0000', reference_type: 'PROTOCOL_TAX' }),
  );
});

test('no pioneer is made by jobs that were paid with play money, nor paid by it', async () => {
  const seller = await registerNode(world, 'a-verifier');
  const skill_id = await publish(seller, { price: 1, metadata: { category: 'verification' } });
  const buyer = await registerNode(world);
  const job = async () => {
    const { task_id: id } = must(await buyer.call('POST', '/v1/tasks/create', { skill_id, input_data: {} }));
    must(await complete(seller, id));
  };
  for (let n = 0; n < 10; n++) await job();
  // As a house of the operator's is paid, which sells to sandbox nodes as well.
  await world.db.query(`update grid_escrows set sandbox = true where seller_id = $1`, [seller.id]);
  const rich = await sandboxNode(world);
  await give(world, rich, 1_000_000);
  await delivered(world, { price: 10_000 }, {}, { buyer: rich, seller: await sandboxNode(world) });
  world.clock.advance(86_400_000);
  await sweep(world);
  expect(await pioneers()).toEqual([]);
  const real = await registerNode(world);
  await give(world, real, 20_000);
  const other = await registerNode(world);
  const { escrow_id: id } = must(
    await real.call('POST', '/v1/trade/escrow/init', { seller_id: other.id, amount: 20_000 }),
  );
  must(await other.call('POST', `/v1/trade/escrow/${id}/deliver`, { proof_hash: 'a' }));
  await job();
  world.clock.advance(86_400_000);
  await sweep(world);
  // The vault could pay, but one job for money of worth is not ten.
  expect(units(await has(world, VAULT))).toBeGreaterThan(units(500));
  expect(await pioneers()).toEqual([]);
  await expectSound(world);
});
