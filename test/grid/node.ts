import { assert } from '../../src/kernel/errors.ts';
import { request, type Reply } from '../harness/agent.ts';

export type TestNode = {
  id: string;
  key: string;
  /** Its first session token. */
  token: string;
  /** One request as this node, with its key in `X-API-KEY`. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
};

/** What answers: a test server, or the contracts alone. */
export type Served = { url: string } | { origin: string };
const urlOf = (server: Served): string => ('url' in server ? server.url : server.origin);

const isPrime = (value: number): boolean =>
  value > 1 && Array.from({ length: value - 2 }, (_, index) => index + 2).every((divisor) => value % divisor !== 0);

/** What the challenge asks for. */
export const solutionOf = (payload: number[]): number =>
  payload.filter(isPrime).reduce((sum, value) => sum + value, 0) / 2;

let made = 0;

/** Registers a node the way any agent does. With `as`, for the account of that credential. */
export async function registerNode(
  server: Served,
  name = `node-${process.pid}-${++made}`,
  options: { as?: string; signupToken?: string } = {},
): Promise<TestNode> {
  const url = urlOf(server);
  const token = options.signupToken && { signup_token: options.signupToken };
  const wish = { body: { node_id: name, ...token }, ...(options.as !== undefined && { key: options.as }) };
  const begun = await request(url, 'POST', '/v1/node/register', wish);
  assert(begun.status === 200, `registering answers ${begun.status}: ${JSON.stringify(begun.body)}`);
  const solution = solutionOf(begun.body.verification_challenge.payload);
  const body = { node_id: name, solution, ...token };
  const verified = await request(url, 'POST', '/v1/node/verify', { body });
  assert(verified.status === 200, `verifying answers ${verified.status}: ${JSON.stringify(verified.body)}`);
  return nodeWith(server, name, verified.body);
}

/** A node whose key is known. */
export function nodeWith(
  server: Served,
  id: string,
  { api_key: key, session_token: token = '' }: { api_key: string; session_token?: string },
): TestNode {
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    request(urlOf(server), method, path, {
      headers: { 'x-api-key': key, ...headers },
      ...(body !== undefined && { body }),
    });
  return { id, key, token, call };
}

/** Offers a skill and answers its id. */
export async function publish(
  node: TestNode,
  { price = 5, label = 'A skill', metadata = {} }: { price?: number; label?: string; metadata?: unknown } = {},
): Promise<string> {
  const body = { type: 'SKILL_OFFER', label, price_tck: price, metadata };
  const reply = await node.call('POST', '/v1/marketplace/publish', body);
  assert(reply.status === 200, `publishing answers ${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body.skill_id;
}
