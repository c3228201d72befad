import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IdentityDeps } from '../../src/domains/identity/index.ts';
import { createFetch } from '../../src/platform/fetch.ts';

export type GithubPerson = {
  id: number;
  login: string;
  name?: string | null;
  /** What the profile shows. */
  email?: string | null;
  emails?: { email: string; primary: boolean; verified: boolean; visibility: string | null }[];
  /** What the person has let us see: all that was asked for, where it is left out. */
  scopes?: string[];
  /** What GitHub answers in place of a token. */
  refusal?: 'unverified_user_email';
};

/** How a path behaves in place of answering: takes the request for ever, breaks off, says something else. */
export type Trouble = 'silence' | 'hangup' | { status: number; body: string; headers?: Record<string, string> };

export type FakeGithub = {
  url: string;
  /** What the application is set up with; `wrong` changes it. */
  app(wrong?: { clientId?: string; clientSecret?: string; url?: string }): NonNullable<IdentityDeps['github']>;
  /** A person says yes in their browser, at the address they were sent to; answers what comes back with them. */
  authorize(url: string, person: GithubPerson): { code: string; state: string | null };
  /** A code without the way to it. */
  codeFor(person: GithubPerson): string;
  /** By path; absent: it answers as GitHub does. */
  trouble: Map<string, Trouble>;
  requests: { method: string; path: string; headers: IncomingMessage['headers'] }[];
  close(): Promise<void>;
};

const CLIENT = { clientId: 'Iv1.8a61f9b3a7aba766', clientSecret: 'a-secret-of-the-tests' };
const API = '/api/v3';
const HELP = 'https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors';
/** Long enough for a busy host, short enough for a test that waits for it. */
const TIME_LIMIT_MS = 1_500;

/**
 * GitHub's login on loopback, as its documentation has it: the authorisation page, codes that hold once, refusals that
 * are answered with 200, and the API's user and addresses with the scopes that were granted.
 */
export async function startFakeGithub(): Promise<FakeGithub> {
  const codes = new Map<string, GithubPerson>();
  const tokens = new Map<string, GithubPerson>();
  const trouble = new Map<string, Trouble>();
  const requests: FakeGithub['requests'] = [];
  const server = createServer(async (request, reply) => {
    const { pathname: path } = new URL(request.url ?? '/', 'http://github.test');
    requests.push({ method: request.method ?? '', path, headers: request.headers });
    const text = (await request.toArray()).join('');
    const how = trouble.get(path);
    if (how === 'silence') return;
    if (how === 'hangup') return void request.socket.destroy();
    if (how) return void reply.writeHead(how.status, how.headers).end(how.body);
    if (path === '/login/oauth/access_token') return exchange({ codes, tokens }, request, text, reply);
    if (path === `${API}/user`) return showUser(tokens, request, reply);
    if (path === `${API}/user/emails`) return showEmails(tokens, request, reply);
    return json(reply, 404, { message: 'Not Found', status: '404' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const codeFor = (person: GithubPerson): string => {
    const code = randomBytes(10).toString('hex');
    codes.set(code, person);
    return code;
  };
  const { send } = createFetch({ privateAddresses: 'allowed', timeLimitMs: TIME_LIMIT_MS, maxReplyBytes: 64_000 });
  return {
    url,
    app: (wrong = {}) => ({ ...CLIENT, url, apiUrl: url + API, send, ...wrong }),
    authorize(page, person) {
      const { origin, pathname, searchParams } = new URL(page);
      if (origin !== url || pathname !== '/login/oauth/authorize' || searchParams.get('client_id') !== CLIENT.clientId)
        throw new Error(`GitHub does not know ${page}`);
      const scopes = searchParams.get('scope')?.split(' ') ?? [];
      return { code: codeFor({ scopes, ...person }), state: searchParams.get('state') };
    },
    codeFor,
    trouble,
    requests,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

type Memory = { codes: Map<string, GithubPerson>; tokens: Map<string, GithubPerson> };

/** Refusals come with 200, and as a form where the caller does not ask for JSON. */
function exchange({ codes, tokens }: Memory, request: IncomingMessage, text: string, reply: ServerResponse): void {
  const answer = (fields: Record<string, string>) =>
    request.headers.accept?.includes('application/json')
      ? json(reply, 200, fields)
      : void reply
          .writeHead(200, { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' })
          .end(new URLSearchParams(fields).toString());
  const refuse = (error: string, error_description: string) => answer({ error, error_description, error_uri: HELP });
  const form = new URLSearchParams(text);
  if (request.method !== 'POST' || form.get('client_id') !== CLIENT.clientId)
    return json(reply, 404, { error: 'Not Found' });
  if (form.get('client_secret') !== CLIENT.clientSecret)
    return refuse('incorrect_client_credentials', 'The client_id and/or client_secret passed are incorrect.');
  const code = form.get('code') ?? '';
  const person = codes.get(code);
  codes.delete(code);
  if (!person) return refuse('bad_verification_code', 'The code passed is incorrect or expired.');
  if (person.refusal) return refuse(person.refusal, 'The user must have a verified primary email.');
  const token = `gho_${randomBytes(18).toString('hex')}`;
  tokens.set(token, person);
  return answer({
    access_token: token,
    token_type: 'bearer',
    scope: (person.scopes ?? ['read:user', 'user:email']).join(','),
  });
}

function whoAsks(tokens: Memory['tokens'], request: IncomingMessage, reply: ServerResponse): GithubPerson | undefined {
  if (!request.headers['user-agent']) {
    reply
      .writeHead(403)
      .end('Request forbidden by administrative rules. Please make sure your request has a User-Agent header');
    return undefined;
  }
  const person = tokens.get(request.headers.authorization?.replace(/^(Bearer|token) /, '') ?? '');
  if (!person)
    json(reply, 401, { message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest', status: '401' });
  return person;
}

function showUser(tokens: Memory['tokens'], request: IncomingMessage, reply: ServerResponse): void {
  const person = whoAsks(tokens, request, reply);
  if (!person) return;
  const { id, login, name = null, email = null } = person;
  const rest = { node_id: 'MDQ6VXNlcjE=', type: 'User', site_admin: false, bio: 'x'.repeat(6_000), public_repos: 2 };
  json(reply, 200, { login, id, name, email, ...rest });
}

function showEmails(tokens: Memory['tokens'], request: IncomingMessage, reply: ServerResponse): void {
  const person = whoAsks(tokens, request, reply);
  if (!person) return;
  if (person.scopes && !person.scopes.includes('user:email'))
    return json(reply, 404, { message: 'Not Found', status: '404' });
  json(reply, 200, person.emails ?? []);
}

const json = (reply: ServerResponse, status: number, body: unknown): void =>
  void reply.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
