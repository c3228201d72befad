import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startApis, statusesOf, type Agent, type Reply, type TestApis } from '../harness/apis.ts';

let world: TestApis;
let agent: Agent;
beforeAll(async () => void (world = await startApis()));
beforeEach(async () => void (agent = await world.register()));
afterAll(() => world.close());

const PATH = '/api/v1/users/me/api-keys';
const make = (body: unknown = {}, key = agent.key, headers: Record<string, string> = {}): Promise<Reply> =>
  world.call('POST', PATH, { key, body, headers });
const revoke = (keyId: unknown, key = agent.key): Promise<Reply> =>
  world.call('DELETE', PATH, { key, body: { key_id: keyId } });
const opens = async (key: string): Promise<boolean> => (await world.call('GET', '/users/me', { key })).status === 200;

describe('a key', () => {
  test('is made, opens every contract, and is shown with its secret only once', async () => {
    const { status, body } = await make({ name: 'laptop' });
    expect([status, body]).toEqual([
      200,
      {
        key_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        key: expect.stringMatching(/^bod_live_[0-9a-f]{32}$/),
        name: 'laptop',
        created_at: expect.stringMatching(/Z$/),
        expires_at: null,
        is_active: true,
      },
    ]);
    expect((await world.call('GET', '/v1/account', { key: body.key })).body.account_id).toBe(agent.accountId);
    const listed = (await world.call('GET', '/v1/keys', { key: agent.key })).body.keys;
    expect(listed).toContainEqual(expect.objectContaining({ id: body.key_id, name: 'laptop' }));
    expect(JSON.stringify(listed)).not.toContain(body.key);
  });

  test.each([[{}], [{ name: null }], [undefined]])('needs no name: %j', async (body) => {
    const reply = await world.call('POST', PATH, { key: agent.key, body });
    expect(reply).toMatchObject({ status: 200, body: { name: 'API key' } });
  });

  test('of a key with scopes has the same scopes, and none where the maker may not write', async () => {
    const scoped = async (scopes: string[]) =>
      (await world.call('POST', '/v1/keys', { key: agent.key, body: { name: 'scoped', scopes } })).body.key;
    const made = await make({}, await scoped(['write', 'exec']));
    const listed = (await world.call('GET', '/v1/keys', { key: agent.key })).body.keys;
    expect(listed.find((key: { id: string }) => key.id === made.body.key_id).scopes).toEqual(['write', 'exec']);
    expect((await make({}, await scoped(['read']))).body).toEqual({
      detail: "Insufficient permissions: requires 'write' scope",
    });
  });

  test('is the sixth only after one was revoked; of many at once, five are made', async () => {
    const replies = await Promise.all(Array.from({ length: 9 }, () => make()));
    expect(statusesOf(replies)).toEqual([200, 200, 200, 200, 409, 409, 409, 409, 409]);
    expect(replies.find(({ status }) => status === 409)?.body).toEqual({
      detail: 'An account may have 5 active API keys',
    });
    await revoke(agent.keyId);
    expect((await make({}, replies.find(({ status }) => status === 200)?.body.key)).status).toBe(200);
  });

  test('named by an Idempotency-Key is made once; the name for something else is wrong input', async () => {
    const headers = { 'idempotency-key': 'one' };
    const [first, again] = [
      await make({ name: 'a' }, agent.key, headers),
      await make({ name: 'a' }, agent.key, headers),
    ];
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    const other = await make({ name: 'b' }, agent.key, headers);
    expect([other.status, other.body]).toEqual([
      422,
      {
        detail: [
          {
            loc: ['header', 'Idempotency-Key'],
            msg: 'This Idempotency-Key was used for a different request',
            type: 'value_error',
          },
        ],
      },
    ]);
  });
});

describe('revoking a key', () => {
  test('takes its id in the body of a DELETE, at either path, and holds at once and for good', async () => {
    const [one, two] = [(await make()).body, (await make()).body];
    const reply = await revoke(one.key_id);
    expect([reply.status, reply.body]).toEqual([200, { message: 'API key revoked', revoked_key_id: one.key_id }]);
    expect(await opens(one.key)).toBe(false);
    const atRoot = await world.call('DELETE', '/users/me/api-keys', { key: agent.key, body: { key_id: two.key_id } });
    expect(atRoot.body.revoked_key_id).toBe(two.key_id);
    expect(await opens(two.key)).toBe(false);
    expect((await revoke(one.key_id)).status).toBe(200);
    expect(await opens(agent.key)).toBe(true);
  });

  test('of another account, of nobody and of no id says the same, and changes nothing', async () => {
    const other = await world.register();
    for (const id of [other.keyId, '01890000-0000-7000-8000-000000000000', 'nonsense', "1' or '1'='1"]) {
      const reply = await revoke(id);
      expect([reply.status, reply.body]).toEqual([404, { detail: 'API key not found' }]);
    }
    expect(await opens(other.key)).toBe(true);
  });

  test('several times at once ends it once', async () => {
    const { key_id: id } = (await make()).body;
    expect(statusesOf(await Promise.all(Array.from({ length: 5 }, () => revoke(id))))).toEqual([
      200, 200, 200, 200, 200,
    ]);
    const told = await world.db.query(`select 1 from facts where type = 'key.revoked' and subject = $1`, [id]);
    expect(told).toHaveLength(1);
  });
});
