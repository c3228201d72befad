/** Every operation of the grid's document and of its sheet: that it is there, in the OpenAPI document, and for whom. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openApiDocument } from '../../src/apis/openapi.ts';
import { ADMIN_KEY, startApis, type Reply, type TestApis } from '../harness/apis.ts';
import { registerNode, type TestNode } from './node.ts';

/** Who is let in: everybody; a node with its key or a session; a node with its key; the operator; another program. */
type Access = 'none' | 'jwt' | 'key' | 'admin' | 'sync';
type Operation = [method: string, path: string, access: Access];

/** Skills and the pages of nodes, skills and founders, which have tests of their own, are not among them. */
const OPERATIONS: Operation[] = [
  ['POST', '/v1/node/register', 'none'],
  ['POST', '/v1/node/verify', 'none'],
  ['POST', '/v1/node/refresh', 'key'],
  ['GET', '/v1/nodes/{node_id}', 'none'],
  ['GET', '/v1/node/me', 'jwt'],
  ['GET', '/v1/node/canary', 'jwt'],
  ['PUT', '/v1/node/canary', 'jwt'],
  ['POST', '/v1/nodes/me/canary', 'key'],
  ['GET', '/v1/node/{node_id}/badge.svg', 'none'],
  ['POST', '/v1/early-access', 'none'],
  ['GET', '/v1/levels', 'none'],
  ['GET', '/v1/nodes/{node_id}/level', 'none'],
  ['GET', '/v1/leaderboard', 'none'],
  ['GET', '/v1/nodes/{node_id}/cri', 'none'],
  ['GET', '/v1/nodes/{node_id}/cri/certificate', 'none'],
  ['POST', '/v1/cri/verify', 'none'],
  ['GET', '/.well-known/jwks.json', 'none'],
  ['GET', '/v1/marketplace', 'none'],
  ['POST', '/v1/marketplace/publish', 'jwt'],
  ['POST', '/v1/trade/escrow/init', 'jwt'],
  ['POST', '/v1/trade/escrow/settle', 'jwt'],
  ['POST', '/v1/trade/escrow/{id}/deliver', 'jwt'],
  ['POST', '/v1/trade/escrow/{id}/dispute', 'jwt'],
  ['GET', '/v1/trade/escrow/{id}', 'jwt'],
  ['POST', '/v1/tasks/create', 'key'],
  ['POST', '/v1/tasks/complete', 'key'],
  ['POST', '/v1/tasks/dispute', 'key'],
  ['GET', '/v1/tasks/mine', 'key'],
  ['POST', '/v1/tasks/{id}/claim', 'key'],
  ['GET', '/v1/tasks/{id}/receipt', 'key'],
  ['GET', '/v1/tasks/{id}/validations', 'key'],
  ['POST', '/v1/validators', 'jwt'],
  ['GET', '/v1/validators', 'jwt'],
  ['POST', '/v1/shadow/tasks/create', 'key'],
  ['GET', '/v1/shadow/simulate/{task_id}', 'key'],
  ['POST', '/v1/sandbox/nodes', 'none'],
  ['POST', '/v1/sandbox/share', 'none'],
  ['POST', '/v1/mcp/hire', 'jwt'],
  ['GET', '/v1/mcp/tasks/{task_id}', 'jwt'],
  ['GET', '/v1/mcp/wallet', 'jwt'],
  ['POST', '/v1/bounties', 'jwt'],
  ['GET', '/v1/bounties', 'none'],
  ['GET', '/v1/bounties/{bounty_id}', 'none'],
  ['POST', '/v1/bounties/{bounty_id}/submissions', 'jwt'],
  ['POST', '/v1/bounties/{bounty_id}/award', 'jwt'],
  ['POST', '/v1/bounties/{bounty_id}/cancel', 'jwt'],
  ['POST', '/v1/report/malfeasance', 'jwt'],
  ['GET', '/v1/genesis', 'none'],
  ['GET', '/v1/verifier-pioneers', 'none'],
  ['POST', '/v1/webhooks', 'jwt'],
  ['GET', '/v1/webhooks', 'jwt'],
  ['DELETE', '/v1/webhooks/{id}', 'jwt'],
  ['GET', '/v1/webhooks/{id}/deliveries', 'jwt'],
  ['POST', '/v1/webhooks/{id}/test', 'jwt'],
  ['POST', '/v1/webhooks/{id}/rotate-secret', 'jwt'],
  ['POST', '/v1/webhooks/{id}/deliveries/{delivery_id}/replay', 'jwt'],
  ['GET', '/.well-known/agent.json', 'none'],
  ['POST', '/v1/a2a/tasks/send', 'key'],
  ['GET', '/v1/a2a/tasks/{task_id}', 'key'],
  ['GET', '/v1/a2a/discover', 'none'],
  ['GET', '/v1/network/stats', 'none'],
  ['GET', '/v1/benchmarks', 'none'],
  ['GET', '/v1/benchmarks/{suite_id}', 'none'],
  ['POST', '/v1/benchmarks/{suite_id}/run', 'key'],
  ['GET', '/v1/seller/stats', 'jwt'],
  ['GET', '/v1/admin/stats', 'admin'],
  ['POST', '/v1/admin/escrows/auto-settle', 'admin'],
  ['POST', '/v1/admin/escrows/auto-refund', 'admin'],
  ['POST', '/v1/admin/disputes/resolve', 'admin'],
  ['POST', '/v1/admin/bounties/expire', 'admin'],
  ['GET', '/v1/admin/metrics', 'admin'],
  ['GET', '/v1/admin/ledger/reconcile', 'admin'],
  ['GET', '/v1/admin/disputes', 'admin'],
  ['GET', '/v1/admin/transactions', 'admin'],
  ['POST', '/api/v1/admin/sync/node', 'sync'],
  ['GET', '/health', 'none'],
  ['GET', '/mission.json', 'none'],
];

let world: TestApis;
let buyer: TestNode;
beforeAll(async () => {
  world = await startApis();
  buyer = await registerNode(world);
});
afterAll(() => world.close());

const filled = (path: string): string => path.replaceAll(/\{\w+\}/g, 'nobody-is-this');
/** What a parameter is called is our own. */
const unnamed = (path: string): string => path.replaceAll(/\{\w+\}/g, '{}');
const ask = (method: string, path: string, headers: Record<string, string> = {}): Promise<Reply> =>
  world.call(method, filled(path), { headers, ...(method !== 'GET' && method !== 'DELETE' && { body: {} }) });

describe.each(OPERATIONS)('%s %s', (method, path, access) => {
  test('is in the OpenAPI document, with who may call it', () => {
    const document = openApiDocument({ apis: world.apis, publicUrl: 'https://freehold.test', version: '1.0.0' });
    const item = Object.entries(document.paths).find(([other]) => unnamed(other) === unnamed(path))?.[1];
    const { security } = item?.[method.toLowerCase()] ?? expect.fail('it is not there');
    const schemes = new Set(security.flatMap((one) => Object.keys(one)));
    const expected = { none: [], sync: ['programToken'], admin: ['adminKey'], jwt: ['apiKey'], key: ['apiKey'] }[
      access
    ];
    for (const scheme of expected) expect(schemes).toContain(scheme);
    if (access !== 'none' && access !== 'sync') expect(security).not.toContainEqual({});
  });

  test('lets in whom it should, and carries the headers', async () => {
    const stranger = await ask(method, path);
    expect(stranger.headers.get('vmp-version')).toBe('2026-03-18');
    if (access === 'none') return expect([401, 403, 405]).not.toContain(stranger.status);
    expect(stranger.status).toBe(401);
    const session = await ask(method, path, { authorization: `Bearer ${buyer.token}` });
    const key = await ask(method, path, { 'x-api-key': buyer.key });
    if (access === 'jwt') expect(session.status).not.toBe(401);
    // Also where the body is wrong: whoever may not call is told nothing else.
    else expect(session.status).toBe(401);
    if (access === 'key') expect(session.body.detail).toBe('Invalid API Key format');
    if (access === 'jwt' || access === 'key') expect(key.status).not.toBe(401);
    if (access === 'admin' || access === 'sync') expect(key.status).toBe(401);
    if (access === 'admin') {
      const operator = await ask(method, path, { authorization: `Bearer ${ADMIN_KEY}` });
      expect([200, 404, 422]).toContain(operator.status);
    }
  });
});
