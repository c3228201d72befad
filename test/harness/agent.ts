import { solveChallenge } from '../../src/cli/solve-challenge.ts';

export type Reply = { status: number; headers: Headers; body: any }; // oxlint-disable-line typescript/no-explicit-any -- what a server answers is looked at by the test
export type Agent = { url: string; accountId: string; key: string; keyId: string };

/** One request as a client makes it; the body of the reply is parsed where it is JSON. */
export async function request(
  url: string,
  method: string,
  path: string,
  options: { key?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const { key, body, headers } = options;
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(key && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('application/json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** Registers a new agent the way any agent does. */
export async function registerAgent(url: string, name = 'test agent'): Promise<Agent> {
  const { body: given } = await request(url, 'GET', '/v1/auth/challenge');
  const answer = { answer: solveChallenge(given.challenge), token: given.token, name };
  const { status, body } = await request(url, 'POST', '/v1/auth/register', { body: answer });
  if (status !== 201) throw new Error(`Registration answered ${status}: ${JSON.stringify(body)}`);
  return { url, accountId: body.account_id, key: body.api_key, keyId: body.key_id };
}

/** Gives an account money as the operator does. */
export async function credit(url: string, adminKey: string, accountId: string, cents: number): Promise<void> {
  const body = { account_id: accountId, amount_cents: cents };
  const reply = await request(url, 'POST', '/v1/admin/credits', { key: adminKey, body });
  if (reply.status !== 200) throw new Error(`Credit answered ${reply.status}: ${JSON.stringify(reply.body)}`);
}

/** Asks again until `done` says so; throws with the last answer when it takes too long. */
export async function eventually<Result>(
  ask: () => Promise<Result>,
  done: (result: Result) => boolean,
  patienceMs = 60_000,
  pauseMs = 100,
): Promise<Result> {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    const result = await ask();
    if (done(result)) return result;
    if (Date.now() > giveUpAt) throw new Error(`Still not there after ${patienceMs} ms: ${JSON.stringify(result)}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
