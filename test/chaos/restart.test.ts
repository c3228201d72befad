import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { credit, eventually, registerAgent, request, type Agent } from '../harness/agent.ts';

const CREDIT_CENTS = 10_000;
const BUDGET_CENTS = 50;
/** What is shown of the server's output when a test fails. */
const MAX_SHOWN = 40_000;
const FINAL = ['succeeded', 'failed', 'timed_out', 'cancelled'];
const SCRIPT = 'Count slowly.\n```sh\nfor n in 1 2 3; do echo $n; sleep 0.5; done\n```\n```sh\necho done\n```';

describe('a server that is killed at any moment', { timeout: 400_000 }, () => {
  const adminKey = randomBytes(24).toString('hex');
  let dataDir: string;
  let server: ServerProcess;
  let agent: Agent;

  const start = async () => {
    server = await startServer({
      FREEHOLD_DATA_DIR: dataDir,
      FREEHOLD_PORT: '0',
      FREEHOLD_POOL_SIZE: '0',
      FREEHOLD_ADMIN_KEY: adminKey,
      FREEHOLD_RATE_LIMITS: 'off',
    });
    if (agent) agent = { ...agent, url: server.url };
  };
  const admin = (path: string) => request(server.url, 'GET', path, { key: adminKey });
  const submit = (n: number) =>
    request(server.url, 'POST', '/v1/tasks', {
      key: agent.key,
      body: {
        prompt: SCRIPT,
        budget_cents: BUDGET_CENTS,
        timeout_seconds: 120,
        model_slug: 'script',
        idempotency_key: `task-${n}`,
      },
    });

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'freehold-chaos-'));
    await start();
    agent = await registerAgent(server.url);
    await credit(server.url, adminKey, agent.accountId, CREDIT_CENTS);
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(server.output().slice(-MAX_SHOWN));
  });
  afterAll(async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('kill -9 again and again: every task comes to an end, every cent is accounted for, no machine is left', async () => {
    const accepted: string[] = [];
    for (let round = 0; round < 6; round++) {
      const reply = await submit(round);
      expect([200, 202]).toContain(reply.status);
      accepted.push(reply.body.id);
      await sleep(round * 600);
      await server.stop('SIGKILL');
      await start();
    }
    // A repetition of each after all the restarts finds the same task and makes none.
    for (const [n, id] of accepted.entries()) expect((await submit(n)).body.id).toBe(id);
    const tasks = await Promise.all(
      accepted.map((id) =>
        eventually(
          () => request(server.url, 'GET', `/v1/tasks/${id}`, { key: agent.key }),
          (reply) => FINAL.includes(reply.body.status),
          180_000,
        ),
      ),
    );
    for (const { body } of tasks) expect(body.cost.spent_cents + body.cost.refunded_cents).toBe(BUDGET_CENTS);
    const spent = tasks.reduce((sum, { body }) => sum + body.cost.spent_cents, 0);
    const { body: balance } = await request(server.url, 'GET', '/v1/credits/balance', { key: agent.key });
    expect(balance.balance_cents).toBe(CREDIT_CENTS - spent);
    const { body: proof } = await admin('/v1/admin/ledger/reconcile');
    expect(proof.currencies.USD).toMatchObject({ valid: true, discrepancies: [] });
    expect(Number(proof.currencies.USD.sum_of_holds)).toBe(0);
    await eventually(
      () => admin('/v1/admin/machines'),
      (reply) => reply.body.machines.length === 0,
    );
  });

  test('the death of PostgreSQL alone is survived: requests get 503 meanwhile and are answered again by themselves', async () => {
    const pid = /"pid":(\d+)[^\n]*postgres ready/.exec(server.output())?.[1];
    process.kill(Number(pid), 'SIGKILL');
    const statuses = new Set<number>();
    const answered = async () => {
      const { status } = await request(server.url, 'GET', '/v1/credits/balance', { key: agent.key });
      statuses.add(status);
      return status;
    };
    // PostgreSQL may be back in less than the usual pause between two looks.
    await eventually(answered, (status) => status === 503, 60_000, 0);
    await eventually(answered, (status) => status === 200);
    // Being away for a moment is told as that, and never as a defect.
    expect([...statuses].filter((status) => ![200, 503].includes(status))).toEqual([]);
  });

  test('SIGTERM ends it with exit code 0, and the next start goes on with the same accounts', async () => {
    expect(await server.stop('SIGTERM')).toBe(0);
    await start();
    expect((await request(server.url, 'GET', '/v1/credits/balance', { key: agent.key })).status).toBe(200);
  });
});

test(
  'a server that is told to stop leaves no machine that only waited for somebody',
  { timeout: 120_000 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'freehold-stop-'));
    const key = randomBytes(24).toString('hex');
    const env = { FREEHOLD_DATA_DIR: dataDir, FREEHOLD_PORT: '0', FREEHOLD_ADMIN_KEY: key, FREEHOLD_POOL_SIZE: '1' };
    const server = await startServer(env);
    const states = async () => {
      const { body } = await request(server.url, 'GET', '/v1/admin/machines', { key });
      return body.machines.map((machine: { state: string }) => machine.state);
    };
    await eventually(states, (found) => found.includes('pooled'));
    expect(await server.stop('SIGTERM')).toBe(0);
    expect(await readdir(join(dataDir, 'machines'))).toEqual([]);
    await rm(dataDir, { recursive: true, force: true });
  },
);
