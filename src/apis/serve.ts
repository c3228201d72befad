import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, isAppError } from '../kernel/errors.ts';
import type { Actor, Op } from '../kernel/op.ts';
import { MINUTE, type Clock } from '../kernel/time.ts';
import { hmacSha256, sameSecret } from '../platform/crypto.ts';
import type { Database } from '../platform/db.ts';
import type { Front, RequestListener } from '../platform/front.ts';
import { failureOf, streamedBody, toAppError, withRawBodies } from '../platform/http.ts';
import { MAX_KEY_LENGTH, onceOnly } from '../platform/idempotency.ts';
import { networkOf, type Limit, type RequestLimits } from '../platform/limits.ts';
import { acceptChannel, closeChannels, createSocketFront } from '../platform/websocket.ts';
import { asksForPage, hasSession } from './browser-session.ts';
import { unlessKnown } from './conditional.ts';
import type { Answer, Api, Authenticate, ProgramSecret, Route } from './contract.ts';
import { frameHeaders, framed } from './framing.ts';
import { serveRaw } from './raw.ts';
import { malformed, refuseHostileJson, refuseHostileText, validate } from './validate.ts';

/** Requests of one account, over all its keys and all processes. */
const ACCOUNT_LIMIT: Limit = { name: 'account', max: 60, windowMs: MINUTE };
/** Requests of one address that carried no valid credential. */
const STRANGER_LIMIT: Limit = { name: 'stranger', max: 120, windowMs: MINUTE };
/** Where no better time is known, a refused caller may come back after this. */
const DEFAULT_RETRY_SECONDS = 5;
const LOOPBACK = /^(::ffff:)?127\.|^::1$/;
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];
const BEARER = /^Bearer +/i;
const IDEMPOTENCY_KEY = 'Idempotency-Key';
const CREDENTIAL_PARAMETERS = new Set(['key', 'api_key', 'apikey', 'token', 'access_token', 'authorization']);

/** What an API answers is for its caller alone, and may hold a secret. */
const PRIVATE = { 'cache-control': 'no-store' };

export type Edge = {
  db: Database;
  clock: Clock;
  limits: RequestLimits;
  authenticate: Authenticate;
  /** Master secret of this installation. */
  secret: Uint8Array;
  /** Told of every answered request; the log and the metrics listen. */
  answered(event: { route: string; method: string; status: number; op: Op; error?: AppError }): void;
};

/** Serves the contracts on one HTTP server. */
export function serve(server: FastifyInstance, apis: readonly Api[], edge: Edge): void {
  for (const api of apis) {
    serveRaw(server, api, { ...edge, opOf, keepTrack });
    const declare = (scope: FastifyInstance, route: Route) => {
      const frame = api.frame ?? apis.find((other) => other.frame?.shared.includes(route.path))?.frame;
      scope.route({
        method: route.method,
        url: route.path,
        ...(route.bodyLimit && { bodyLimit: route.bodyLimit }),
        handler: (request, reply) => answer(edge, api, route, request, reply),
        errorHandler: (error, request, reply) =>
          send(edge, api, opOf(edge, request, reply), route.path, reply, toAppError(error)),
        ...(frame && { onSend: frameHeaders(frame) }),
      });
    };
    for (const route of api.routes) if (!route.stream) declare(server, route);
    withRawBodies(server, (scope) => {
      for (const route of api.routes) if (route.stream) declare(scope, route);
    });
  }
  endOpenStreams(server);
  // The later a contract stands, the narrower is what it owns.
  const fallback = (path: string): Api | undefined => apis.findLast((api) => api.owns(path)) ?? apis[0];
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/';
    const api = fallback(path);
    const allowed = methodsFor(apis, path);
    if (allowed.length > 0) void reply.header('allow', allowed.join(', '));
    const error =
      allowed.length > 0
        ? new AppError('method_not_allowed', 'Method not allowed')
        : new AppError('not_found', 'Not found');
    if (api?.frame) void reply.headers(api.frame.headers(framed(request, reply)));
    return api && send(edge, api, opOf(edge, request, reply), 'unknown', reply, error);
  });
  server.setErrorHandler((error, request, reply) => {
    const api = fallback(request.url.split('?', 1)[0] ?? '/');
    return api && send(edge, api, opOf(edge, request, reply), 'unknown', reply, toAppError(error));
  });
}

async function answer(
  edge: Edge,
  api: Api,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const anonymous = opOf(edge, request, reply);
  const refusal = api.frame?.refuse(framed(request, reply));
  if (refusal) return respond(edge, anonymous, route.path, reply, refusal);
  let op: Op = anonymous;
  let result: Answer;
  try {
    op = { ...anonymous, actor: await admit(edge, api, route, request, anonymous) };
    if (route.enter) op = await route.enter(op);
    result = await perform(edge, route, request, op, readInput(route, request, reply));
  } catch (error) {
    if (route.session && isAppError(error, 'unauthenticated') && asksForPage(request))
      return respond(edge, op, route.path, reply, route.session.signIn(op));
    return send(edge, api, op, route.path, reply, failureOf(error, op));
  }
  if (result.upgrade) return upgrade(edge, api, op, route.path, reply, result.upgrade);
  return respond(edge, op, route.path, reply, result);
}

function upgrade(
  edge: Edge,
  api: Api,
  op: Op,
  route: string,
  reply: FastifyReply,
  use: NonNullable<Answer['upgrade']>,
): FastifyReply {
  try {
    acceptChannel({ request: reply.request.raw, response: reply.raw, caller: callerScope(op) }, use);
  } catch (error) {
    return send(edge, api, op, route, reply, toAppError(error));
  }
  edge.answered({ route, method: reply.request.method, status: 101, op });
  return reply.hijack();
}

/** What lets requests for a WebSocket through to the routes that have one. */
export const socketFront = (apis: () => readonly Api[], routes: RequestListener): Front =>
  createSocketFront({
    speaks: (path) => apis().some((api) => api.routes.some((route) => route.upgrades && matches(route.path, path))),
    routes,
  });

/** Limits, credential and scope, in that order of cost to us. */
async function admit(edge: Edge, api: Api, route: Route, request: FastifyRequest, op: Op): Promise<Actor> {
  const { db, limits } = edge;
  refuseCredentialInQuery(request);
  if (route.addressLimit) await limits.count(db, route.addressLimit, networkOf(op.address), op.now);
  if (route.secret) await requireSecret(edge, route.secret, request, op);
  if (route.access === 'public')
    return route.recognises && hasCredential(request) ? identify(edge, request, op) : op.actor;
  if (route.access === 'operator' && isFromThisHost(request)) return op.actor;
  if (await hasSession(route.session, request, op)) return { kind: 'admin' };
  if (route.access !== 'account') return requireAdmin(edge, request, op);
  const actor = await identify(edge, request, op);
  if (actor.kind !== 'account') throw new AppError('unauthenticated', 'Invalid API key');
  await limits.count(db, api.accountLimit ?? ACCOUNT_LIMIT, actor.accountId, op.now);
  requireScope(actor, route);
  if (actor.isHeld && (route.method !== 'GET' || route.upgrades))
    throw new AppError('forbidden', 'This account is suspended.');
  return actor;
}

const hasCredential = ({ headers }: FastifyRequest): boolean =>
  headers.authorization !== undefined || headers['x-api-key'] !== undefined;

/** What a proxy on this host passes on comes from anywhere. */
const isFromThisHost = ({ ip, headers }: FastifyRequest): boolean =>
  LOOPBACK.test(ip) && FORWARDING_HEADERS.every((name) => headers[name] === undefined);

/** Wrong credentials count against their address, so that keys cannot be tried out. */
async function identify(edge: Edge, request: FastifyRequest, op: Op): Promise<Actor> {
  try {
    const apiKey = request.headers['x-api-key'];
    const credentials = {
      authorization: request.headers.authorization,
      apiKey: typeof apiKey === 'string' ? apiKey : undefined,
    };
    const actor = await edge.authenticate(credentials, op);
    if (actor.kind === 'anonymous') throw new AppError('unauthenticated', 'Invalid API key');
    return actor;
  } catch (error) {
    await edge.limits.count(edge.db, STRANGER_LIMIT, networkOf(op.address), op.now);
    throw error;
  }
}

/** Secrets that do not hold count against their address, like keys. */
async function requireSecret(edge: Edge, secret: ProgramSecret, request: FastifyRequest, op: Op): Promise<void> {
  if (secret.value === undefined) throw new AppError('unconfigured', 'The secret of this route is not configured');
  const given = request.headers[secret.header];
  if (typeof given === 'string' && sameSecret(given.replace(BEARER, ''), secret.value)) return;
  await edge.limits.count(edge.db, STRANGER_LIMIT, networkOf(op.address), op.now);
  throw new AppError('unauthenticated', secret.refusal);
}

/** Whatever else a credential may be is nothing here. */
async function requireAdmin(edge: Edge, request: FastifyRequest, op: Op): Promise<Actor> {
  const actor = await identify(edge, request, op).catch((error: unknown) => {
    if (!isAppError(error, 'unauthenticated')) throw error;
  });
  if (actor?.kind === 'admin') return actor;
  throw new AppError('unauthenticated', hasCredential(request) ? 'Invalid admin key' : 'The admin key is missing');
}

function requireScope(actor: Extract<Actor, { kind: 'account' }>, route: Route): void {
  const [needed] = route.scopes ?? [];
  if (!needed || actor.scopes === null || route.scopes?.some((scope) => actor.scopes?.includes(scope))) return;
  throw new AppError('forbidden', `Insufficient permissions: requires '${needed}' scope`);
}

function refuseCredentialInQuery(request: FastifyRequest): void {
  const names = Object.keys(request.query as Record<string, unknown>);
  const credential = names.find((name) => CREDENTIAL_PARAMETERS.has(name.toLowerCase()));
  if (credential !== undefined)
    throw malformed('query', [credential], 'Credentials belong in the Authorization header, never in the URL');
}

function readInput(route: Route, request: FastifyRequest, reply: FastifyReply) {
  refuseHostileJson('query', request.query);
  refuseHostileJson('path', request.params);
  // What is streamed is not looked at: it goes to where the caller wants it.
  if (!route.stream) refuseHostileJson('body', request.body);
  const input = validate(route, { params: request.params, query: request.query, body: request.body });
  return route.stream ? { ...input, body: streamedBody(request, reply) } : input;
}

async function perform(
  edge: Edge,
  route: Route,
  request: FastifyRequest,
  op: Op,
  input: ReturnType<typeof readInput>,
): Promise<Answer> {
  const key = route.idempotent && idempotencyKey(route, request);
  if (!key) return route.handle(op, input);
  const content = JSON.stringify([route.method, request.url, request.body ?? null]);
  const named = { scope: callerScope(op), key, content, secret: callerSecret(edge, op, request) ?? content };
  const reply = await onceOnly(edge.db, edge.secret, named, op.now, (seed) => route.handle({ ...op, seed }, input));
  return { ...reply, headers: { 'idempotent-replayed': String(reply.replayed) } };
}

function idempotencyKey(route: Route, request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key'];
  const field = bodyField(request.body, route.idempotencyField);
  if (header !== undefined && field !== undefined && header !== field)
    throw malformed(
      'header',
      [IDEMPOTENCY_KEY],
      `${route.idempotencyField} and the ${IDEMPOTENCY_KEY} header must be the same where both are given`,
    );
  const key = header ?? field;
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH)
    throw malformed('header', [IDEMPOTENCY_KEY], `${IDEMPOTENCY_KEY} must be 1 to ${MAX_KEY_LENGTH} characters`);
  refuseHostileText('header', key, IDEMPOTENCY_KEY, [IDEMPOTENCY_KEY]);
  return key;
}

const bodyField = (body: unknown, name: string | undefined): unknown =>
  name !== undefined && typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;

/**
 * What only this caller has: its key however it was sent, so that a repetition may send it in another way. An access
 * token lives shorter than a reply is kept, so in its place stands a secret of its login.
 */
function callerSecret(edge: Edge, { actor }: Op, { headers }: FastifyRequest): string | undefined {
  if (actor.kind === 'account' && actor.loginId)
    return hmacSha256(edge.secret, `replies:${actor.loginId}`).toString('hex');
  return (headers.authorization ?? headers['x-api-key'])?.toString().replace(BEARER, '');
}

/** Whose names they are: an account's keys share them, strangers are told apart by address. */
function callerScope(op: Op): string {
  if (op.actor.kind === 'account') return `account:${op.actor.accountId}`;
  return op.actor.kind === 'admin' ? 'admin' : `address:${op.address}`;
}

function opOf(edge: Edge, request: FastifyRequest, reply: FastifyReply): Op {
  const gone = new AbortController();
  reply.raw.once('close', () => reply.raw.writableFinished || gone.abort());
  return {
    actor: { kind: 'anonymous' },
    requestId: request.id,
    now: edge.clock.now(),
    signal: gone.signal,
    address: request.ip,
  };
}

function respond(edge: Edge, op: Op, route: string, reply: FastifyReply, given: Answer): FastifyReply {
  const { method, headers } = reply.request;
  const result = unlessKnown(method, headers, given);
  edge.answered({ route, method, status: result.status, op });
  if (result.body instanceof Readable) keepTrack(reply.server, result.body);
  const sent = reply
    .code(result.status)
    .headers({ ...PRIVATE, ...result.headers })
    .send(result.body);
  // Whoever listens is told that it is listened to, also while there is nothing to tell.
  if (result.body instanceof Readable) reply.raw.flushHeaders();
  return sent;
}

const openStreams = new WeakMap<FastifyInstance['server'], Set<Readable>>();

/** What is being streamed when the server stops would hold it up for ever: it ends, and its reader asks again. */
function endOpenStreams(server: FastifyInstance): void {
  const open = new Set<Readable>();
  openStreams.set(server.server, open);
  server.addHook('preClose', async () => {
    for (const stream of open) stream.destroy();
    closeChannels();
  });
}

function keepTrack({ server }: FastifyInstance, stream: Readable): void {
  const open = openStreams.get(server);
  open?.add(stream);
  stream.once('close', () => open?.delete(stream));
}

function send(edge: Edge, api: Api, op: Op, route: string, reply: FastifyReply, error: AppError): FastifyReply {
  const { status, body, headers } = api.presentError(error);
  edge.answered({ route, method: reply.request.method, status, op, error });
  if (status === 429 || status === 503)
    void reply.header('retry-after', String(error.retryAfterSeconds ?? DEFAULT_RETRY_SECONDS));
  return reply
    .code(status)
    .headers({ ...PRIVATE, ...headers })
    .send(body);
}

const methodsFor = (apis: readonly Api[], path: string): string[] => [
  ...new Set(
    apis.flatMap((api) =>
      [...api.routes, ...(api.raw ?? [])].filter((route) => matches(route.path, path)).map((route) => route.method),
    ),
  ),
];

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith(':') || part === given[index]);
}
