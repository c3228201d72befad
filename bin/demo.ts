/** The main job from end to end, as an agent that has never seen this server does it: over HTTP and nothing else. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer } from './server-process.ts';
import { solveChallenge } from '../src/cli/solve-challenge.ts';

const CREDIT_CENTS = 500;
const BUDGET_CENTS = 50;
const POLL_MS = 250;
const PATIENCE_MS = 300_000;
const FINAL = ['succeeded', 'failed', 'timed_out', 'cancelled'];
/** 2²⁰, which a model cannot print without having counted or known, and a shell prints in one line. */
const EXPECTED = '1048576';
const PROMPT = `Compute two to the power of twenty in the shell and report the number.

\`\`\`sh
uname -sr
echo "the answer is $((2 ** 20))"
\`\`\``;

type Json = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any -- replies of a server that the demo only knows by its documents
type Client = { url: string; key?: string };

async function call({ url, key }: Client, method: string, path: string, body?: Json): Promise<Json> {
  const response = await fetch(url + path, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...(key && { authorization: `Bearer ${key}` }) },
    ...(body && { body: JSON.stringify(body) }),
  }).catch((cause: Error) => {
    throw new Error(`Nothing answers at ${url}.`, { cause });
  });
  const reply = (await response.json()) as Json;
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${JSON.stringify(reply)}`);
  return reply;
}

async function step<Result>(
  title: string,
  work: () => Promise<Result>,
  show: (result: Result) => string,
): Promise<Result> {
  const started = performance.now();
  const result = await work();
  const seconds = ((performance.now() - started) / 1_000).toFixed(2).padStart(6);
  console.log(`${seconds} s  ${title.padEnd(22)} ${show(result)}`);
  return result;
}

const dollars = (cents: number): string => `$${(cents / 100).toFixed(2)}`;

function require(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

async function register(server: Client): Promise<Json> {
  const { challenge, token } = await call(server, 'GET', '/v1/auth/challenge');
  return call(server, 'POST', '/v1/auth/register', {
    answer: solveChallenge(challenge as never),
    token,
    name: 'demo-agent',
  });
}

async function finished(agent: Client, path: string): Promise<Json> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const task = await call(agent, 'GET', path);
    if (FINAL.includes(task.status)) return task;
    require(Date.now() < giveUpAt, `The task is still ${task.status} after ${PATIENCE_MS / 1_000} seconds.`);
    await sleep(POLL_MS);
  }
}

function printReceipt(task: Json, balance: number): void {
  const { cost } = task;
  const micro = (amount: number) => `$${(amount / 1e6).toFixed(6)}`;
  console.log(`
Receipt of task ${task.id}
  reserved                 ${dollars(task.budget_cents)}
  machine, ${String(cost.compute_seconds).padStart(4)} s          ${micro(cost.compute_microcents)}
  model                    ${micro(cost.inference_microcents)}
  markup                   ${cost.markup_bps / 100} % on each, each rounded up to the cent
  spent                    ${dollars(cost.spent_cents)}
  returned                 ${dollars(cost.refunded_cents)}
  balance                  ${dollars(balance)}`);
}

async function run(server: Client, adminKey: string): Promise<void> {
  const account = await step(
    'registered',
    () => register(server),
    (reply) => `account ${reply.account_id}`,
  );
  const agent = { url: server.url, key: account.api_key as string };
  const before = account.balance_cents + CREDIT_CENTS;
  const credit = { account_id: account.account_id, amount_cents: CREDIT_CENTS, description: 'Demo credit' };
  await step(
    'credited',
    () => call({ url: server.url, key: adminKey }, 'POST', '/v1/admin/credits', credit),
    (reply) => `balance ${dollars(reply.balance_cents)}`,
  );
  const { data: models } = await call(agent, 'GET', '/v1/models');
  const order = {
    prompt: PROMPT,
    budget_cents: BUDGET_CENTS,
    ...(models.length === 1 && { model_slug: models[0].slug }),
  };
  const queued = await step(
    'task accepted',
    () => call(agent, 'POST', '/v1/tasks', order),
    (reply) => `${reply.id}, ${dollars(reply.budget_cents)} reserved`,
  );
  const task = await step(
    'task finished',
    () => finished(agent, queued.status_url),
    (reply) => reply.status,
  );
  console.log(`\n${(task.result?.text ?? task.error?.message ?? '').trim().replace(/^/gm, '  | ')}`);
  require(task.status === 'succeeded', `The task ended as ${task.status}: ${task.error?.message}`);
  require(task.result.text.replaceAll(',', '').includes(EXPECTED), `The result does not name ${EXPECTED}.`);
  await checkMoney(agent, task, before);
}

async function checkMoney(agent: Client, task: Json, before: number): Promise<void> {
  const { balance_cents: balance } = await call(agent, 'GET', '/v1/credits/balance');
  const { transactions } = await call(agent, 'GET', '/v1/credits/history');
  const { cost } = task;
  printReceipt(task, balance);
  require(cost.spent_cents + cost.refunded_cents ===
    task.budget_cents, 'Spent and returned do not add up to the budget.');
  require(balance ===
    before - cost.spent_cents, `The balance is ${balance} cents and should be ${before - cost.spent_cents}.`);
  const booked = transactions.reduce((sum: number, row: Json) => sum + row.amount_cents, 0);
  require(booked === balance, `The history adds up to ${booked} cents, the balance is ${balance}.`);
  console.log(`\nThe history of ${transactions.length} transactions adds up to the balance.`);
}

async function main(): Promise<void> {
  const given = process.env.FREEHOLD_URL;
  if (given) {
    const adminKey = process.env.FREEHOLD_ADMIN_KEY;
    if (!adminKey)
      throw new Error('With FREEHOLD_URL, set FREEHOLD_ADMIN_KEY too: the demo has to credit its account.');
    return run({ url: given.replace(/\/+$/, '') }, adminKey);
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-demo-'));
  const adminKey = randomBytes(24).toString('hex');
  const env = {
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_PORT: '0',
    FREEHOLD_HOST: '127.0.0.1',
    FREEHOLD_ADMIN_KEY: adminKey,
  };
  const server = await step(
    'server started',
    () => startServer(env),
    ({ url }) => url,
  );
  try {
    await run({ url: server.url }, adminKey);
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main().catch((error: Error) => {
  console.error(`\nThe demo failed: ${error.message}`);
  process.exitCode = 1;
});
