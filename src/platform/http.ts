import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { AppError, type FieldError } from '../kernel/errors.ts';
import { createShares } from '../kernel/shares.ts';
import { isDatabaseAway } from './db.ts';
import { createFrontedServer, type Front } from './front.ts';
import { networkOf } from './limits.ts';

/** Request bodies larger than this are refused with 413 unless a route allows more. */
export const DEFAULT_BODY_LIMIT = 1_000_000;
/** So long a client may go on sending what nobody wants any more; then its connection is cut. */
const DRAIN_MS = 10_000;
const MAX_PARAM_LENGTH = 500;
/** An answer of more bytes goes out in pieces of so many, no faster than its caller takes them. */
const PIECE_BYTES = 16_384;
/** Bytes of requests' bodies that are read whole: of one network of callers, and of all. */
export const MAX_READ = { each: 134_217_728, all: 402_653_184 };
/** Bytes of answers that are whole in memory until they are taken: of one network of callers, and of all. */
export const MAX_UNTAKEN = { each: 67_108_864, all: 268_435_456 };
const CLIENT_ERROR_STATUS: Record<string, number> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };
const FULL_SECONDS = 1;
/** A killed PostgreSQL is back by then. */
const DATABASE_BACK_SECONDS = 2;
const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Nobody reads its body but itself. */
    isStreamed?: boolean;
  }
}

export type HttpOptions = {
  /** Addresses of proxies whose word about the client's address counts. */
  trustProxy?: string[] | undefined;
  /** What stands before the routes; the first that takes a request has it. */
  fronts?: readonly Front[] | undefined;
  /** How often is looked whether a client takes anything of its answer; the usual where it is not said. */
  readCheckMs?: number | undefined;
};

/** The HTTP server with everything that is the same for all routes: request ids, body parsing, drain. */
export function createHttpServer({ trustProxy, fronts = [], readCheckMs }: HttpOptions = {}): FastifyInstance {
  const server: FastifyInstance = Fastify({
    logger: false,
    ...(trustProxy && { trustProxy }),
    bodyLimit: DEFAULT_BODY_LIMIT,
    serverFactory: (routes) => createFrontedServer(routes, fronts, { readCheckMs }),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    genReqId: (request) => requestId(request.headers['x-request-id']),
    requestIdHeader: false,
    // While it drains, what still comes on an open connection is answered, and the connection closed after that.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // A path that cannot be decoded matches no route; it is answered like the errors of those that do.
    frameworkErrors: (error, request, reply) => {
      void reply.header('x-request-id', request.id);
      server.errorHandler(error, request, reply);
    },
    clientErrorHandler: refuseMalformedHttp,
  });
  server.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  takeInTurn(server);
  giveInPieces(server);
  parseJson(server);
  return server;
}

/**
 * A body is read before anybody knows whose it is. Who sends too much at a time is asked to wait, whatever of it has
 * come, and takes nothing from what there is for others.
 */
function takeInTurn(server: FastifyInstance): void {
  const reading = createShares<string>(MAX_READ);
  server.addHook('onRequest', (request, reply, done) => {
    const { bodyLimit, config } = request.routeOptions;
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const declared = length === undefined && encoding !== undefined ? bodyLimit : Number(length ?? 0);
    const bytes = config.isStreamed ? 0 : Math.min(declared, bodyLimit);
    if (!(bytes > PIECE_BYTES)) return done();
    const caller = networkOf(request.ip);
    if (!reading.take(caller, bytes))
      return done(
        new AppError('rate_limited', 'Too much is being sent at once: try again in a moment', {
          retryAfterSeconds: FULL_SECONDS,
        }),
      );
    reply.raw.once('close', () => reading.give(caller, bytes));
    done();
  });
}

/**
 * What is whole in memory is there until its caller has taken it, who may take it slowly or never. Who leaves too much
 * untaken is given no more.
 */
function giveInPieces(server: FastifyInstance): void {
  const untaken = createShares<string>(MAX_UNTAKEN);
  server.addHook('onSend', (request, reply, payload, done) => {
    const whole = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : '';
    const bytes = Buffer.byteLength(whole);
    if (bytes <= PIECE_BYTES || request.method === 'HEAD') return done(null, payload);
    const caller = networkOf(request.ip);
    if (!untaken.take(caller, bytes))
      return done(
        new AppError('rate_limited', 'Take what you have asked for already, and then try again', {
          retryAfterSeconds: FULL_SECONDS,
        }),
      );
    reply.raw.once('close', () => untaken.give(caller, bytes));
    void reply.header('content-length', bytes);
    done(null, Readable.from(piecesOf(typeof whole === 'string' ? Buffer.from(whole) : whole), { objectMode: false }));
  });
}

function* piecesOf(whole: Buffer): Generator<Buffer> {
  for (let at = 0; at < whole.length; at += PIECE_BYTES) yield whole.subarray(at, at + PIECE_BYTES);
}

/**
 * Declares routes whose bodies nobody reads but they, with `streamedBody`. They stand apart, so that all others go on
 * to take JSON and nothing else.
 */
export function withRawBodies(server: FastifyInstance, declare: (scope: FastifyInstance) => void): void {
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    scope.addHook('onRoute', (route) => void (route.config = { ...route.config, isStreamed: true }));
    declare(scope);
  });
}

/**
 * A request's body as a stream that can be left half-read. What was not read is taken in after the answer: a client
 * that is cut off while it still sends may never see what it was told.
 */
export function streamedBody({ raw }: FastifyRequest, reply: FastifyReply): Readable {
  const { socket } = raw;
  const body = new PassThrough();
  reply.raw.once('finish', () => {
    if (raw.readableEnded || raw.destroyed) return;
    raw.unpipe(body).resume();
    if (raw.complete) return;
    const timer = setTimeout(() => socket.destroy(), DRAIN_MS);
    raw.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
  });
  raw.once('error', (cause) => body.destroy(brokenOff(cause)));
  raw.once('close', () => raw.readableEnded || body.destroy(brokenOff()));
  // Whoever leaves it half-read destroys it, and nobody else need hear of that.
  body.once('error', () => {});
  return raw.pipe(body);
}

const brokenOff = (cause?: unknown): AppError => new AppError('invalid', 'The request body broke off', { cause });

/** Answers where it listens. Throws `unconfigured` with what an operator can do where it cannot. */
export function listenOn(server: FastifyInstance, { host, port }: { host: string; port: number }): Promise<string> {
  return server.listen({ host, port }).catch((cause: NodeJS.ErrnoException) => {
    throw new AppError('unconfigured', whyDeaf(host, port, cause.code), { cause });
  });
}

const whyDeaf = (host: string, port: number, code: string | undefined): string =>
  code === 'EADDRINUSE'
    ? `Port ${port} of ${host} is taken by another program: end that one, or set FREEHOLD_PORT to another.`
    : `Freehold cannot listen on ${host} (${code}): set FREEHOLD_HOST to an address of this host.`;

/** The client's own id of its request where it is a sane one. */
export const requestId = (given: string | string[] | undefined): string =>
  typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();

/** What is no HTTP request, or not a whole one in time, has no route and no contract: it gets the plainest answer. */
function refuseMalformedHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status = CLIENT_ERROR_STATUS[error.code ?? ''] ?? 400;
  const body = JSON.stringify({ error: STATUS_CODES[status] });
  const headers = [
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${randomUUID()}`,
  ];
  const timer = setTimeout(() => socket.destroy(), DRAIN_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...headers, 'connection: close', '', body].join('\r\n'));
}

/** An absent body is `undefined`; a body that is not JSON is the caller's mistake, told in words. */
function parseJson(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (_request, text, done) => {
    if (text.trim() === '') return done(null, undefined);
    try {
      done(null, JSON.parse(text));
    } catch (cause) {
      const message = 'The request body is not valid JSON';
      const fields: FieldError[] = [{ in: 'body', path: [], message, problem: 'malformed' }];
      done(new AppError('invalid', message, { cause, fields }), undefined);
    }
  });
}

/** The same for what was given up because its caller has gone, which is no defect. Nobody is there to be told. */
export const failureOf = (error: unknown, { signal }: { signal: AbortSignal }): AppError =>
  signal.aborted && error === signal.reason
    ? new AppError('conflict', 'The caller has gone', { cause: error })
    : toAppError(error);

/** Fastify's own refusals in our words; anything unknown is a defect of ours. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new AppError('too_large', 'The request body is too large', { cause: error });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new AppError('unsupported_media', 'The request body must be application/json', { cause: error });
  if (code === 'FST_ERR_BAD_URL') {
    const message = 'The request is malformed';
    const fields: FieldError[] = [{ in: 'path', path: [], message, problem: 'malformed' }];
    return new AppError('invalid', message, { cause: error, fields });
  }
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new AppError('not_found', 'Not found', { cause: error });
  if (isDatabaseAway(error))
    return new AppError('at_capacity', 'The server is restarting a part of itself — try again', {
      cause: error,
      retryAfterSeconds: DATABASE_BACK_SECONDS,
    });
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status >= 400 && status < 500) return new AppError('invalid', 'The request is malformed', { cause: error });
  return new AppError('internal', 'Internal server error', { cause: error });
}
