import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { credit, eventually, registerAgent, request, type Agent, type Reply } from '../harness/agent.ts';
import { prepareTestHost } from '../machines/host.ts';

/** What is shown of the server's output when a test fails. */
const MAX_SHOWN = 20_000;
const CYCLES = 6;
const ROUNDS = 4;

describe('sandboxes of a server that is killed', { timeout: 300_000 }, () => {
  const adminKey = randomBytes(24).toString('hex');
  let dataDir: string;
  let server: ServerProcess;
  let agent: Agent;

  const start = async () => {
    server = await startServer({
      FREEHOLD_DATA_DIR: dataDir,
      FREEHOLD_PORT: '0',
      FREEHOLD_ADMIN_KEY: adminKey,
      FREEHOLD_RATE_LIMITS: 'off',
      FREEHOLD_TEST_CLOCK: 'on',
      FREEHOLD_POOL_SIZE: '0',
    });
  };
  const restart = async () => {
    await server.stop('SIGKILL');
    await start();
  };
  const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
    request(server.url, method, path, { key: agent.key, body });
  const sh = async (id: string, command: string): Promise<string> =>
    (await call('POST', `/v1/sandboxes/${id}/exec`, { command })).body.stdout;
  const create = async (): Promise<string> => (await call('POST', '/v1/sandboxes', {})).body.id;

  beforeAll(async () => {
    await prepareTestHost();
    dataDir = await mkdtemp(join(tmpdir(), 'freehold-sandboxes-'));
    await start();
    agent = await registerAgent(server.url);
    await credit(server.url, adminKey, agent.accountId, 1_000);
  }, 900_000);
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(server.output().slice(-MAX_SHOWN));
  });
  afterAll(async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('run on, are reached again, and go on to be paid', async () => {
    const id = await create();
    const { body: run } = await call('POST', `/v1/sandboxes/${id}/runs`, { command: 'echo mine > f; sleep 600' });
    await restart();
    expect((await call('GET', `/v1/sandboxes/${id}`)).body).toMatchObject({ status: 'running' });
    expect(await sh(id, 'cat f')).toBe('mine\n');
    expect((await call('GET', `/v1/sandboxes/${id}/runs`)).body.runs).toMatchObject([{ pid: run.pid }]);
    const charges = async () => (await call('GET', '/v1/credits/history')).body.transactions.length;
    const before = await charges();
    await request(server.url, 'POST', '/v1/admin/clock', { key: adminKey, body: { advance_seconds: 120 } });
    expect(await charges()).toBeGreaterThan(before);
    await call('DELETE', `/v1/sandboxes/${id}`);
  });

  test('lose no process and no byte by being paused and woken while it is killed again and again', async () => {
    const id = await create();
    const { body: run } = await call('POST', `/v1/sandboxes/${id}/runs`, {
      command: 'n=0; while :; do n=$((n+1)); echo $n >> count; sleep 0.05; done',
    });
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const asked = call('POST', `/v1/sandboxes/${id}/${cycle % 2 ? 'resume' : 'pause'}`).catch(() => undefined);
      await sleep(cycle * 4);
      await restart();
      await asked;
      await eventually(
        () => call('POST', `/v1/sandboxes/${id}/resume`),
        ({ status }) => status === 200,
      );
      expect(await sh(id, 'sort -n count | uniq -c | awk \'$1 != 1 || $2 != NR {print "wrong"}\'')).toBe('');
    }
    expect((await call('GET', `/v1/sandboxes/${id}/runs`)).body.runs).toMatchObject([{ pid: run.pid }]);
    await call('DELETE', `/v1/sandboxes/${id}`);
  });

  test('that were being made or removed leave no machine, and the ledger is whole', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const kept = await create();
      const making = Array.from({ length: 3 }, () => create().catch(() => undefined));
      const removing = call('DELETE', `/v1/sandboxes/${kept}`).catch(() => undefined);
      await sleep(round * 40);
      await restart();
      await Promise.all([...making, removing]);
    }
    const { body } = await call('GET', '/v1/sandboxes');
    for (const { id } of body.sandboxes) await call('DELETE', `/v1/sandboxes/${id}`);
    await eventually(
      () => request(server.url, 'GET', '/v1/admin/machines', { key: adminKey }),
      // Those of the pool wait for others.
      (reply) => reply.body.machines.every(({ purpose }: { purpose: string }) => !purpose.startsWith('sandbox:')),
      150_000,
      1_000,
    );
    const { body: proof } = await request(server.url, 'GET', '/v1/admin/ledger/reconcile', { key: adminKey });
    expect(proof.currencies.USD).toMatchObject({ valid: true, discrepancies: [] });
    const history = (await call('GET', '/v1/credits/history?limit=1000')).body.transactions;
    const sum = history.reduce((cents: number, one: { amount_cents: number }) => cents + one.amount_cents, 0);
    expect((await call('GET', '/v1/credits/balance')).body).toEqual({ balance_cents: sum });
  });
});
