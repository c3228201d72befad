import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DAY } from '../../src/kernel/time.ts';
import { startApis, type Agent, type Reply, type TestApis } from '../harness/apis.ts';
import { endAll, settleAll } from './settle.ts';
import { KEY } from './world.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterEach(() => endAll(world));
afterAll(() => world.close());

const ORDER = { name: 'my-server', ssh_public_key: KEY };

async function renter(cents: number) {
  const agent: Agent = await world.register('renter');
  if (cents > 0) await world.credit(agent.accountId, cents);
  const call = (method: string, path = '', body?: unknown): Promise<Reply> =>
    world.call(method, `/v1/compute${path}`, { key: agent.key, ...(body !== undefined && { body }) });
  const cash = async () => (await world.call('GET', '/v1/credits/balance', { key: agent.key })).body.balance_cents;
  return { agent, call, cash };
}

/** A key as ssh-keygen makes it, with the fingerprint that it prints. */
function keyOf(...options: string[]): { key: string; fingerprint: string } {
  const folder = mkdtempSync(join(tmpdir(), 'freehold-keys-'));
  try {
    const file = join(folder, 'id');
    execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'me@home', '-f', file, ...options]);
    const printed = execFileSync('ssh-keygen', ['-lf', `${file}.pub`]).toString();
    return { key: readFileSync(`${file}.pub`, 'utf8').trim(), fingerprint: printed.split(' ')[1] ?? '' };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a rented computer (clause 1.5)', () => {
  test('is shown with these fields and no others: short in the list, whole when it is made, with suspended_at by itself', async () => {
    const { call, cash } = await renter(1_000);
    const made = await call('POST', '', { ...ORDER, slug: 'my-site' });
    expect(made.status).toBe(201);
    const { ssh, ...fields } = made.body;
    expect(fields).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      name: 'my-server',
      slug: 'my-site',
      status: 'running',
      vcpu: 1,
      memory_mb: 1_024,
      disk_gb: 10,
      monthly_price_cents: 500,
      subdomain: 'vm-my-site',
      created_at: expect.any(String),
      next_billing_at: expect.any(String),
    });
    expect(ssh).toEqual({
      host: 'freehold.test',
      port: expect.any(Number),
      user: 'agent',
      fingerprint: expect.stringMatching(/^SHA256:/),
      command: `ssh -p ${ssh.port} agent@freehold.test`,
      host_fingerprint: expect.stringMatching(/^SHA256:/),
      known_hosts: expect.stringMatching(/^\[freehold\.test\]:\d+ ssh-ed25519 /),
    });
    expect(await cash()).toBe(500);
    const { host, port, user } = ssh;
    expect((await call('GET')).body).toEqual({ instances: [{ ...fields, ssh: { host, port, user } }] });
    expect((await call('GET', `/${fields.id}`)).body).toEqual({ ...made.body, suspended_at: null });
    expect(await call('DELETE', `/${fields.id}`)).toMatchObject({ status: 200, body: { status: 'deleted' } });
    for (const method of ['GET', 'DELETE']) expect((await call(method, `/${fields.id}`)).status).toBe(404);
    // The month is not given back.
    expect([(await call('GET')).body, await cash()]).toEqual([{ instances: [] }, 500]);
  });

  test.each([
    [{}, 500],
    [{ vcpu: 4 }, 1_400],
    [{ memory_mb: 8_192 }, 1_900],
    [{ memory_mb: 1_025 }, 700],
    [{ disk_gb: 50 }, 1_300],
    [{ disk_gb: 11 }, 600],
    [{ vcpu: 2, memory_mb: 4_096, disk_gb: 20 }, 1_600],
  ])('with %j costs %i cents for thirty days', async (size, price) => {
    const { call, cash } = await renter(price - 1);
    expect((await call('POST', '', { ...ORDER, ...size })).status).toBe(402);
    expect([(await call('GET')).body, await cash()]).toEqual([{ instances: [] }, price - 1]);
    const rich = await renter(price);
    const made = await rich.call('POST', '', { ...ORDER, ...size });
    expect(made).toMatchObject({ status: 201, body: { ...size, monthly_price_cents: price } });
    expect(await rich.cash()).toBe(0);
    await rich.call('DELETE', `/${made.body.id}`);
    await settleAll(world);
  });

  test('is refused, with the reason, where a field is not what it may be', async () => {
    const { call } = await renter(10_000);
    const { key: weak } = keyOf('-t', 'rsa', '-b', '1024');
    const wrong = [
      ['name', { name: 'no.dots' }],
      ['name', { name: 'x'.repeat(129) }],
      ['name', { name: ' ' }],
      ['slug', { slug: 'ab' }],
      ['slug', { slug: 'x'.repeat(65) }],
      ['slug', { slug: '-abc' }],
      ['vcpu', { vcpu: 0 }],
      ['vcpu', { vcpu: 5 }],
      ['memory_mb', { memory_mb: 1_023 }],
      ['memory_mb', { memory_mb: 8_193 }],
      ['disk_gb', { disk_gb: 9 }],
      ['disk_gb', { disk_gb: 51 }],
      ['ssh_public_key', { ssh_public_key: 'ssh-dss AAAAB3NzaC1kc3MAAACB' }],
      ['ssh_public_key', { ssh_public_key: `command="rm" ${KEY}` }],
      ['ssh_public_key', { ssh_public_key: `${KEY}\n${KEY}` }],
      ['ssh_public_key', { ssh_public_key: KEY.slice(0, 50) }],
      ['ssh_public_key', { ssh_public_key: weak }],
    ] as const;
    for (const [field, body] of wrong) {
      const reply = await call('POST', '', { ...ORDER, ...body });
      expect([body, reply.status]).toEqual([body, 400]);
      expect(JSON.stringify(reply.body)).toContain(field);
    }
    expect((await call('GET')).body).toEqual({ instances: [] });
  });

  test('takes keys of every kind that OpenSSH has, at first and later, by PUT and POST, and tells them as OpenSSH does', async () => {
    const { call } = await renter(500);
    const [first, ...later] = [
      keyOf('-t', 'ed25519'),
      keyOf('-t', 'rsa', '-b', '2048'),
      keyOf('-t', 'ecdsa', '-b', '256'),
      keyOf('-t', 'ecdsa', '-b', '521'),
    ];
    const { body: made } = await call('POST', '', { ...ORDER, ssh_public_key: first?.key });
    expect(made.ssh.fingerprint).toBe(first?.fingerprint);
    for (const [index, { key, fingerprint }] of later.entries()) {
      const changed = await call(index % 2 ? 'PUT' : 'POST', `/${made.id}/ssh-key`, { ssh_public_key: key });
      expect(changed).toMatchObject({ status: 200, body: { status: 'updated', fingerprint } });
      expect((await call('GET', `/${made.id}`)).body.ssh.fingerprint).toBe(fingerprint);
    }
  });

  test('is suspended when its next thirty days are not paid, takes no key then, and runs again after a top-up', async () => {
    const { agent, call } = await renter(999);
    const { body: made } = await call('POST', '', ORDER);
    expect(Date.parse(made.next_billing_at) - Date.parse(made.created_at)).toBeGreaterThanOrEqual(30 * DAY);
    world.clock.advance(30 * DAY);
    await settleAll(world);
    const shown = async () => (await call('GET', `/${made.id}`)).body;
    expect(await shown()).toMatchObject({
      status: 'suspended',
      suspended_at: expect.any(String),
      next_billing_at: null,
    });
    expect((await call('PUT', `/${made.id}/ssh-key`, { ssh_public_key: KEY })).status).toBe(409);
    await world.credit(agent.accountId, 1);
    await settleAll(world);
    expect(await shown()).toMatchObject({ status: 'running', suspended_at: null, next_billing_at: expect.any(String) });
    // Unpaid for a week after that, it is deleted.
    world.clock.advance(30 * DAY);
    await settleAll(world);
    world.clock.advance(7 * DAY);
    await settleAll(world);
    expect((await call('GET', `/${made.id}`)).status).toBe(404);
  });

  test('is one of five at the most, with a slug that no other has, and another’s does not exist', async () => {
    const { call } = await renter(10_000);
    const { body: one } = await call('POST', '', { ...ORDER, slug: 'taken' });
    expect((await call('POST', '', { ...ORDER, slug: 'taken' })).status).toBe(409);
    for (let n = 1; n < 5; n++) expect((await call('POST', '', ORDER)).status).toBe(201);
    expect((await call('POST', '', ORDER)).status).toBe(409);
    const other = await renter(0);
    for (const [method, path, body] of [
      ['GET', `/${one.id}`],
      ['PUT', `/${one.id}/ssh-key`, { ssh_public_key: KEY }],
      ['DELETE', `/${one.id}`],
    ] as const)
      expect((await other.call(method, path, body)).status).toBe(404);
    expect((await other.call('GET')).body).toEqual({ instances: [] });
  });
});
