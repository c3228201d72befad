import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { eventually, request } from '../harness/agent.ts';
import { CACHE_DIR, prepareTestHost } from '../machines/host.ts';
import { startBetween, type Between } from './between.ts';
import { startNode, type TestCoin, type TestNode } from './node.ts';

const ADMIN_KEY = 'admin-key-of-the-tests';
const CONFIRMATIONS = 2;
const USDC = 1_000_000n;
const PATIENCE_MS = 150_000;
/** At which question of a look at the chain the server is killed, and how long after it: before, in and after the credit. */
const KILLED_AT: [method: string, afterMs: number][] = [
  ['eth_chainId', 0],
  ['eth_getLogs', 0],
  ['eth_getLogs', 15],
  ['eth_getLogs', 30],
  ['eth_getLogs', 60],
];
const TOPUPS = 2;

let dataDir: string;
let node: TestNode;
let between: Between;
let coin: TestCoin;
let server: ServerProcess;

const start = async () =>
  void (server = await startServer({
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_CACHE_DIR: CACHE_DIR,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
    FREEHOLD_EVM_RPC_URL: between.url,
    FREEHOLD_EVM_TOKEN: coin.address,
    FREEHOLD_EVM_CONFIRMATIONS: String(CONFIRMATIONS),
  }));

beforeAll(async () => {
  await prepareTestHost();
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-payments-crash-'));
  node = await startNode();
  between = await startBetween(node.url);
  coin = await node.coin();
  await start();
}, 900_000);
afterAll(async () => {
  await server?.stop();
  await between?.stop();
  await node?.stop();
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

async function killedAt(method: string, afterMs: number): Promise<void> {
  await new Promise<void>((asked) => {
    between.trick = (question) => void (question.method === method && asked());
  });
  between.trick = undefined;
  await sleep(afterMs);
  await server.stop('SIGKILL');
}

test('payments whose server is killed again and again while they arrive are each credited once', async () => {
  const body = { email: 'ada@example.com', password: 'correct horse battery staple' };
  const { accessToken: key } = (await request(server.url, 'POST', '/auth/register', { body })).body;
  const call = async (method: string, path: string, sent?: unknown) =>
    (await request(server.url, method, path, { key, ...(sent !== undefined && { body: sent }) })).body;
  const addresses: string[] = [];
  for (let count = 0; count < TOPUPS; count++)
    addresses.push((await call('POST', '/billing/topups', { amountUsd: '10.00', coin: 'USDC' })).address);

  let paid = 0n;
  const paySome = async () => {
    for (const [place, address] of addresses.entries()) {
      const amount = (BigInt(place) + 1n) * USDC;
      await coin.pay(address, amount);
      paid += amount;
    }
  };
  for (const [method, afterMs] of KILLED_AT) {
    await paySome();
    await node.mine(CONFIRMATIONS);
    await killedAt(method, afterMs);
    await paySome();
    await start();
  }
  await node.mine(CONFIRMATIONS);

  const expected = addresses.map((_, place) => `${(place + 1) * 2 * KILLED_AT.length}.00`);
  const received = async (): Promise<string[]> =>
    (await call('GET', '/billing/topups')).topups.map((one: { receivedUsd: string }) => one.receivedUsd).toReversed();
  await eventually(received, (now) => JSON.stringify(now) === JSON.stringify(expected), PATIENCE_MS);
  // Nothing comes twice later on.
  await node.mine(1);
  await eventually(
    async () => (await call('GET', '/billing/topups')).topups[0].confirmations,
    (confirmations) => confirmations > CONFIRMATIONS,
    PATIENCE_MS,
  );
  expect(await received()).toEqual(expected);
  expect((await call('GET', '/billing')).balance).toBe(`${paid / USDC}.00`);
  const proof = (await request(server.url, 'GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY })).body;
  expect(proof.currencies.USD.valid).toBe(true);
}, 800_000);
