import { expect, test } from 'vitest';
import { stateOf } from '../../src/domains/payments/index.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { answer, refusal } from './between.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;
const WORD = `0x${'ab'.repeat(32)}`;

/** What a provider does on a bad day. In all of it nothing is lost and nothing is made up. */
const BAD_DAYS: [string, Parameters<typeof trickWith>[0]][] = [
  ['says nothing', () => 'silence'],
  ['answers a page', () => ({ status: 502, body: '<html>Bad gateway</html>' })],
  ['asks to wait', (question) => ({ status: 429, ...refusal(question, 'rate limited') })],
  ['breaks off', (question) => ({ body: answer(question, WORD).body.slice(0, -5) })],
  ['answers another question', (question) => answer({ ...question, id: question.id + 1 }, '0x1')],
  ['answers null', (question) => answer(question, null)],
  ['answers endlessly', (question) => answer(question, 'x'.repeat(2_000_000))],
  [
    'answers logs of nobody’s',
    (question) => (question.method === 'eth_getLogs' ? answer(question, [lie()]) : undefined),
  ],
  [
    'has no such block',
    (question) =>
      question.method === 'eth_getBlockByNumber' && question.params[0] !== 'latest'
        ? answer(question, null)
        : undefined,
  ],
];
const trickWith = (trick: NonNullable<typeof world.between.trick>) => void (world.between.trick = trick);

const highest = (method: string) =>
  method === 'eth_getBlockByNumber' ? { number: `0x${'f'.repeat(64)}`, hash: WORD } : '0x7a69';

/** A payment of a million dollars to an address that nobody has asked about. */
const lie = () => ({
  address: world.coin.address,
  topics: ['0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef', WORD, WORD],
  data: `0x${(10n ** 12n).toString(16).padStart(64, '0')}`,
  blockNumber: '0x1',
  blockHash: WORD,
  transactionHash: WORD,
  logIndex: '0x0',
});

test.each(BAD_DAYS)('a node that %s: the next look that succeeds credits what was paid', async (_what, trick) => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, 2n * USDC);
  await world.node.mine(CONFIRMATIONS);
  trickWith(trick);
  expect(await world.look()).toBeGreaterThanOrEqual(0);
  expect(await world.available(account)).toBe(0n);
  expect(world.logged.join('')).toContain('the chain could not be read');
  world.between.trick = undefined;
  // It is left alone for a while after a failure.
  world.between.asked.length = 0;
  await world.look();
  expect(world.between.asked).toEqual([]);
  world.clock.advance(2 * MINUTE);
  await world.look();
  expect(await world.available(account)).toBe(2n * USDC);
  expect(await world.facts(topup.id)).toEqual(['topup.requested', 'topup.credited']);
});

test('a node that refuses wide ranges is asked about narrow ones', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.node.mine(60);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(60);
  trickWith((question) => {
    const [filter] = question.params as [{ fromBlock: string; toBlock: string }];
    const isWide = question.method === 'eth_getLogs' && BigInt(filter.toBlock) - BigInt(filter.fromBlock) >= 10n;
    return isWide ? refusal(question, 'ranges over 10 blocks are not supported on the free plan') : undefined;
  });
  await world.look();
  expect(await world.available(account)).toBe(USDC);
});

test('a provider with a node that is behind: payments in blocks that it did not have are found when they are read again', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  trickWith((question) => (question.method === 'eth_getLogs' ? answer(question, []) : undefined));
  await world.look();
  expect(await world.available(account)).toBe(0n);
  world.between.trick = undefined;
  await world.node.mine(1);
  await world.look();
  expect(await world.available(account)).toBe(USDC);
  await world.node.mine(1);
  await world.look();
  expect(await world.available(account)).toBe(USDC);
});

test('a node that has no old blocks any more delays no new payment, and what it cannot say is asked again later', async () => {
  const [account, other] = [await world.account(), await world.account()];
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(300);
  await world.payments.rescan(world.system(), { topupId: topup.id });
  const kept = await world.node.client.getBlockNumber();
  trickWith((question) => {
    const [filter] = question.params as [{ fromBlock: string; toBlock: string }];
    const isOld = question.method === 'eth_getLogs' && BigInt(filter.fromBlock) < kept - 260n;
    return isOld ? refusal(question, 'history has been pruned') : undefined;
  });
  // The reading for good has come here before, and only what is older is missing.
  await world.database.db.query(`update topup_coins set next_block = $1, last_hash = null`, [kept]);
  const newer = await world.asked(other);
  await world.look();
  for (let payments = 1n; payments < 4n; payments++) {
    await world.coin.pay(newer.address, USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.available(other)).toBe(payments * USDC);
  }
  expect(await world.available(account)).toBe(0n);
  world.between.trick = undefined;
  world.clock.advance(2 * MINUTE);
  await world.look();
  expect(await world.available(account)).toBe(USDC);
});

test('another chain behind the same address is refused loudly: nothing is asked for, read or credited', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  trickWith((question) => (question.method === 'eth_chainId' ? answer(question, '0x1') : undefined));
  await world.look();
  await expect(world.asked(account)).rejects.toMatchObject({ code: 'at_capacity' });
  expect(await world.available(account)).toBe(0n);
  const errors = world.logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error');
  expect(errors.map((line) => JSON.stringify(line)).join('')).toContain('leads to another chain');
  world.between.trick = undefined;
  world.clock.advance(MINUTE);
  await world.look();
  expect(await world.available(account)).toBe(USDC);
});

test('a node that has been set back says nothing of what it has forgotten', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  await world.look();
  trickWith((question) =>
    question.method === 'eth_getBlockByNumber' && question.params[0] === 'latest'
      ? answer(question, { number: '0x0', hash: WORD })
      : undefined,
  );
  await world.look();
  expect(stateOf(await world.again(topup), world.clock.now())).toBe('paid');
  world.between.trick = undefined;
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  world.clock.advance(MINUTE);
  await world.look();
  expect(await world.available(account)).toBe(2n * USDC);
});

test.each<[string, Parameters<typeof trickWith>[0]]>([
  ['is silent', () => 'silence'],
  ['is at a block that no chain has', (question) => answer(question, highest(question.method))],
  ['is another chain’s', (question) => (question.method === 'eth_call' ? answer(question, '0x') : undefined)],
  ['describes no coin', (question) => (question.method === 'eth_call' ? answer(question, WORD) : undefined)],
])('a top-up is refused with 503 and no address while the node or the contract %s', async (_what, trick) => {
  trickWith(trick);
  const account = await world.account();
  await expect(world.asked(account)).rejects.toMatchObject({ code: 'at_capacity', retryAfterSeconds: 60 });
  expect(await world.payments.accepted(world.op(account))).toBeUndefined();
  expect(await world.payments.list(world.op(account))).toEqual([]);
  world.between.trick = undefined;
  expect(await world.payments.accepted(world.op(account))).toMatchObject({ symbol: 'USDC', chainId: 31_337 });
});
