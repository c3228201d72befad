import { afterAll, describe, expect, test } from 'vitest';
import { startApis } from '../harness/apis.ts';
import { registerNode, solutionOf } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

const begin = async (name: string) => {
  const { body } = await world.call('POST', '/v1/node/register', { body: { node_id: name } });
  return body.verification_challenge;
};
const answer = (name: string, solution: number) =>
  world.call('POST', '/v1/node/verify', { body: { node_id: name, solution } });

describe('a node', () => {
  test('is registered with the sum of the primes, and has its key, its session and 100 TCK', async () => {
    const challenge = await begin('first-node');
    expect(challenge).toMatchObject({ type: 'PRIME_SUM_HASH', timeout_ms: 30_000 });
    expect(challenge.payload.length).toBeGreaterThanOrEqual(6);
    expect(challenge.payload.length).toBeLessThanOrEqual(14);
    const { status, body } = await answer('first-node', solutionOf(challenge.payload));
    expect([status, body.status, body.unlocked_balance]).toEqual([200, 'NODE_ACTIVE', '100.00']);
    expect(body.api_key).toMatch(/^bn_first-node_[0-9a-f]{32}$/);
    expect(JSON.parse(Buffer.from(body.session_token.split('.')[1], 'base64url').toString())).toMatchObject({
      sub: 'first-node',
      role: 'node',
      iss: 'botnode-orchestrator',
      aud: 'botnode-grid',
    });
  });

  test('has a key that opens every contract', async () => {
    const { key } = await registerNode(world);
    expect((await world.call('GET', '/v1/account', { key })).status).toBe(200);
  });

  test('belongs to the account whose credential registers it', async () => {
    const agent = await world.register();
    const node = await registerNode(world, undefined, { as: agent.key });
    expect((await world.call('GET', '/v1/account', { key: node.key })).body.account_id).toBe(agent.accountId);
  });
});
