import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isAppError, type AppError } from '../kernel/errors.ts';
import type { Op } from '../kernel/op.ts';
import { MINUTE } from '../kernel/time.ts';
import { failureOf, streamedBody, toAppError, withRawBodies } from '../platform/http.ts';
import { networkOf, type Limit } from '../platform/limits.ts';
import type { Api, CountRequest, RawAnswer, RawRoute } from './contract.ts';
import { frameHeaders } from './framing.ts';
import type { Edge } from './serve.ts';
import { refuseHostileJson } from './validate.ts';

/** Requests of one address whose credential did not hold. */
const STRANGER_LIMIT: Limit = { name: 'raw-stranger', max: 120, windowMs: MINUTE };
const DEFAULT_RETRY_SECONDS = 5;
/** What is answered is for its caller alone; a route that knows better says so. */
const PRIVATE = { 'cache-control': 'no-store' };

/** The edge, with what all kinds of routes share. */
type RawEdge = Edge & {
  opOf(edge: Edge, request: FastifyRequest, reply: FastifyReply): Op;
  /** Ends a stream when the server stops. */
  keepTrack(server: FastifyInstance, stream: Readable): void;
};

/** Serves an API's routes that are no JSON: their bodies stay streams, in both directions. */
export function serveRaw(server: FastifyInstance, api: Api, edge: RawEdge): void {
  const routes = api.raw ?? [];
  if (routes.length === 0) return;
  withRawBodies(server, (scope) => {
    for (const route of routes) {
      scope.route({
        method: route.method,
        url: route.path,
        exposeHeadRoute: false,
        handler: (request, reply) => answer(edge, route, edge.opOf(edge, request, reply), request, reply),
        errorHandler: (error, request, reply) =>
          refuse(edge, route, edge.opOf(edge, request, reply), reply, toAppError(error)),
        ...(api.frame && { onSend: frameHeaders(api.frame) }),
      });
    }
  });
}

async function answer(
  edge: RawEdge,
  route: RawRoute,
  op: Op,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  let result: RawAnswer;
  const body = streamedBody(request, reply);
  try {
    refuseHostileJson('query', request.query);
    refuseHostileJson('path', request.params);
    // Whose credentials have not held too often is not worked for.
    await edge.limits.refuseSpent(edge.db, STRANGER_LIMIT, networkOf(op.address), op.now);
    const incoming = {
      method: request.method,
      params: request.params as Record<string, string>,
      query: new URLSearchParams(request.url.split('?').slice(1).join('?')),
      headers: request.headers,
      body,
    };
    const count: CountRequest = (limit, who = networkOf(op.address)) => edge.limits.count(edge.db, limit, who, op.now);
    result = await route.handle(op, incoming, count);
  } catch (error) {
    const failure = await counted(edge, op, failureOf(error, op));
    return refuse(edge, route, op, reply, failure);
  }
  edge.answered({ route: route.path, method: request.method, status: result.status, op });
  void reply.code(result.status).headers({ ...PRIVATE, ...result.headers });
  if (result.body instanceof Readable) edge.keepTrack(reply.server, result.body);
  return reply.send(result.body);
}

/** Credentials that do not hold count against their address; beyond the limit that is what is told. */
async function counted(edge: Edge, op: Op, error: AppError): Promise<AppError> {
  if (!isAppError(error, 'unauthenticated')) return error;
  return edge.limits.count(edge.db, STRANGER_LIMIT, networkOf(op.address), op.now).then(() => error, toAppError);
}

function refuse(edge: Edge, route: RawRoute, op: Op, reply: FastifyReply, error: AppError): FastifyReply {
  const { status, body, headers } = route.presentError(error);
  edge.answered({ route: route.path, method: reply.request.method, status, op, error });
  if (status === 429 || status === 503)
    void reply.header('retry-after', String(error.retryAfterSeconds ?? DEFAULT_RETRY_SECONDS));
  return reply
    .code(status)
    .headers({ ...PRIVATE, ...headers })
    .send(body);
}
